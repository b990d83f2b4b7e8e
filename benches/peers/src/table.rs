//! Markdown tables whose columns line up in a terminal too.

use std::iter;

#[derive(Debug)]
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self(vec![header.map(str::to_owned).into()])
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.0[0].len());
        self.0.push(cells.into());
    }

    /// The first column to the left, figures to the right. A column without a figure is left out.
    pub(crate) fn print(mut self) {
        let empty = |column: usize| self.0[1..].iter().all(|row| row[column] == NOTHING);
        let kept: Vec<_> = (0..self.0[0].len()).filter(|&column| !empty(column)).collect();
        for row in &mut self.0 {
            *row = kept.iter().map(|&column| std::mem::take(&mut row[column])).collect();
        }
        let width = |column: usize| self.0.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<_> = (0..kept.len()).filter_map(width).collect();
        for (nth, row) in self.0.iter().enumerate() {
            let cells = iter::zip(row, &widths).enumerate().map(|(column, (cell, &width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
            if nth == 0 {
                let rules = widths.iter().enumerate().map(|(column, &width)| {
                    if column == 0 { "-".repeat(width) } else { "-".repeat(width - 1) + ":" }
                });
                println!("| {} |", rules.collect::<Vec<_>>().join(" | "));
            }
        }
    }
}

/// What was not measured.
pub(crate) const NOTHING: &str = "–";

/// A figure, if there is one.
pub(crate) fn figure(value: Option<f64>, decimals: usize) -> String {
    // Adding zero makes a negative zero positive.
    let scale = 10_f64.powi(i32::try_from(decimals).unwrap_or(0));
    let rounded =
        value.filter(|value| !value.is_nan()).map(|value| (value * scale).round() / scale + 0.0);
    rounded.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:.decimals$}"))
}
