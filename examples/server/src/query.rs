//! Numbers in a query, and an answer for each way to get them wrong.

use std::{array, fmt};

use crate::problem::InvalidField;

/// What a query calls a number, which are accepted, and which it is when it is not given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    pub(crate) name: &'static str,
    pub(crate) default: u64,
    pub(crate) least: u64,
    pub(crate) most: u64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from {} to {}", self.least, self.most)
    }
}

impl Number {
    fn parse(self, value: &str) -> Option<u64> {
        let number = value.parse().ok()?;
        (self.least..=self.most).contains(&number).then_some(number)
    }

    /// What is accepted, for people in a hurry.
    pub(crate) fn range(self) -> String {
        format!("{} to {}, default {}", self.least, self.most, self.default)
    }
}

/// The numbers that were `given`, in the order in which they are `known`.
///
/// # Errors
///
/// The first field which is unknown, given twice, or not such a number.
pub(crate) fn numbers<const N: usize>(
    known: [Number; N],
    given: Vec<(String, String)>,
) -> Result<[u64; N], InvalidField> {
    let mut found = [None; N];
    for (name, value) in given {
        let known_at = known.iter().position(|number| number.name == name);
        let accepted = match known_at {
            None => {
                let names = known.map(|number| number.name).join(" or ");
                format!("left out: this route knows only {names}")
            }
            Some(at) if found[at].is_some() => "given only once".into(),
            Some(at) => {
                found[at] = known[at].parse(&value);
                if found[at].is_some() {
                    continue;
                }
                known[at].to_string()
            }
        };
        return Err(InvalidField { name, value, accepted });
    }
    Ok(array::from_fn(|at| found[at].unwrap_or(known[at].default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Number = Number { name: "a", default: 3, least: 1, most: 9 };
    const B: Number = Number { name: "b", ..A };

    fn ask(query: &[(&str, &str)]) -> Result<[u64; 2], InvalidField> {
        let given = query.iter().map(|&(name, value)| (name.into(), value.into()));
        numbers([A, B], given.collect())
    }

    fn refused(query: &[(&str, &str)], name: &str, value: &str, accepted: &str) {
        let expected =
            InvalidField { name: name.into(), value: value.into(), accepted: accepted.into() };
        assert_eq!(ask(query), Err(expected));
    }

    #[test]
    fn what_is_not_given_is_the_default() {
        assert_eq!(ask(&[]), Ok([3, 3]));
        assert_eq!(ask(&[("b", "9")]), Ok([3, 9]));
        assert_eq!(ask(&[("b", "9"), ("a", "1")]), Ok([1, 9]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for value in ["0", "10", "", "x", "-1", "1.5", "99999999999999999999"] {
            let query = [("a", "4"), ("b", value)];
            refused(&query, "b", value, "a whole number from 1 to 9");
        }
        refused(&[("a", "1"), ("a", "2")], "a", "2", "given only once");
        refused(&[("c", "1")], "c", "1", "left out: this route knows only a or b");
    }
}
