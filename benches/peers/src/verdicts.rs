//! Ours against their peers.

use crate::{
    figures::Figures,
    measure::Spread,
    row::{AtMost, Row},
    table::{Table, figure},
};

/// Those of which something was measured.
pub(crate) fn print_bounds(figures: &Figures, rows: &[Row]) {
    let all = rows.iter().flat_map(|row| row.bounds.iter().map(move |bound| (row, bound)));
    let measured: Vec<_> = all
        .filter(|(row, bound)| {
            figures.time_of(row, bound.driver).is_some()
                || figures.instructions(row, bound.driver).is_some()
        })
        .collect();
    if measured.is_empty() {
        return;
    }
    println!("\nOurs against their peers:\n");
    let mut table = Table::new([
        "ours",
        "driven",
        "peer",
        "ratio",
        "quartiles",
        "of the least",
        "bound",
        "met",
        "instr. ratio",
    ]);
    for (row, bound) in measured {
        if let Some(AtMost::Over(at_most)) = bound.at_most {
            let more = figures.more_than(row, bound.peer, bound.driver);
            let nanoseconds = |more: Option<f64>| format!("{} ns more", figure(more, 1));
            table.row([
                row.name.to_owned(),
                bound.driver.name().to_owned(),
                bound.peer.to_owned(),
                nanoseconds(more.map(|more| more.median)),
                more.map_or_else(String::new, |more| format!("{:.1}–{:.1}", more.low, more.high)),
                nanoseconds(figures.least_net(row.name, bound.peer, bound.driver)),
                nanoseconds(Some(at_most)),
                more.map_or_else(String::new, |more| verdict(more, at_most).to_owned()),
                String::new(),
            ]);
            continue;
        }
        let at_most = match bound.at_most {
            Some(AtMost::Times(times)) => Some(times),
            _ => None,
        };
        let ratio = figures.against(row, bound, rows);
        let quartiles = ratio.map(|ratio| format!("{:.2}–{:.2}", ratio.low, ratio.high));
        table.row([
            row.name.to_owned(),
            bound.driver.name().to_owned(),
            bound.peer.to_owned(),
            figure(ratio.map(|ratio| ratio.median), 3),
            quartiles.unwrap_or_else(|| figure(None, 0)),
            figure(figures.least_against(row, bound, rows), 2),
            figure(at_most, 2),
            ratio.zip(at_most).map_or_else(
                || figure(None, 0),
                |(ratio, at_most)| verdict(ratio, at_most).to_owned(),
            ),
            figure(figures.instructions_against(row, bound, rows), 2),
        ]);
    }
    table.print();
}

/// Half of the rounds decide where the other half does not contradict them.
fn verdict(ratio: Spread, at_most: f64) -> &'static str {
    if ratio.high <= at_most {
        "yes"
    } else if ratio.low > at_most {
        "no"
    } else if ratio.median <= at_most {
        "yes, barely"
    } else {
        "no, barely"
    }
}
