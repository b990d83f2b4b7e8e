//! Numbers in a query, and an answer for each way to get them wrong.

use std::{array, fmt};

use crate::problem::Problem;

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

/// The numbers that were `given`, in the order in which they are `known`.
///
/// # Errors
///
/// A 400 that names the first field which is unknown, given twice, or not such a number.
pub(crate) fn numbers<const N: usize>(
    known: [Number; N],
    given: Vec<(String, String)>,
) -> Result<[u64; N], Problem> {
    let mut found = [None; N];
    for (name, value) in given {
        let Some(at) = known.iter().position(|number| number.name == name) else {
            let names = known.map(|number| number.name).join(" or ");
            let accepted = format!("left out: this route knows only {names}");
            return Err(Problem::field(&name, &value, &accepted));
        };
        let number = parse(known[at], &value)?;
        if found[at].replace(number).is_some() {
            return Err(Problem::field(&name, &value, "given only once"));
        }
    }
    Ok(array::from_fn(|at| found[at].unwrap_or(known[at].default)))
}

fn parse(number: Number, value: &str) -> Result<u64, Problem> {
    value
        .parse()
        .ok()
        .filter(|given| (number.least..=number.most).contains(given))
        .ok_or_else(|| Problem::field(number.name, value, &number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Number = Number {
        name: "a",
        default: 3,
        least: 1,
        most: 9,
    };
    const B: Number = Number { name: "b", ..A };

    fn ask(query: &[(&str, &str)]) -> Result<[u64; 2], String> {
        let given = query
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        numbers([A, B], given.collect()).map_err(|problem| format!("{problem:?}"))
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
            let problem = ask(&[("a", "4"), ("b", value)]).unwrap_err();
            let expected = format!("b is {value:?}, but must be a whole number from 1 to 9.");
            assert!(problem.contains(&format!("{expected:?}")), "{problem}");
        }
        assert!(
            ask(&[("a", "1"), ("a", "1")])
                .unwrap_err()
                .contains("given only once")
        );
        assert!(
            ask(&[("c", "1")])
                .unwrap_err()
                .contains("knows only a or b")
        );
    }
}
