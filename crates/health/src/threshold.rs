use std::num::NonZeroU32;

/// The machine that keeps a check from flapping: it takes several results of one kind in a row to change
/// what is thought of it.
///
/// Kubernetes' `failureThreshold` and `successThreshold`. Before as many of either have come in a row,
/// nothing is thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    failures: NonZeroU32,
    successes: NonZeroU32,
    thought: Option<bool>,
    /// The kind of the last result, and how many of it came in a row.
    last: bool,
    row: u32,
}

impl Threshold {
    pub(crate) fn new(failures: NonZeroU32, successes: NonZeroU32) -> Self {
        Self { failures, successes, thought: None, last: false, row: 0 }
    }

    /// Counts a result. Returns whether it is thought to be good, if anything is.
    pub(crate) fn count(&mut self, good: bool) -> Option<bool> {
        self.row = if self.last == good { self.row.saturating_add(1) } else { 1 };
        self.last = good;
        let needed = if good { self.successes } else { self.failures };
        if self.row >= needed.get() {
            self.thought = Some(good);
        }
        self.thought
    }

    pub(crate) fn thought(&self) -> Option<bool> {
        self.thought
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn threshold(failures: u32, successes: u32) -> Threshold {
        let number = |number| NonZeroU32::new(number).expect("it is not zero");
        Threshold::new(number(failures), number(successes))
    }

    /// `+` and `-` are results; beside them what is thought after each, `?` for nothing.
    #[test]
    fn it_takes_as_many_in_a_row_as_was_said() {
        for (failures, successes, results, thoughts) in [
            (1, 1, "+-+-", "+-+-"),
            (3, 1, "---+", "??-+"),
            (3, 1, "+--+---+", "++++++-+"),
            (2, 3, "++-+++--+++", "?????++---+"),
            (3, 2, "-+-+-+-+", "????????"),
        ] {
            let mut threshold = threshold(failures, successes);
            let thought: String = results
                .chars()
                .map(|result| match threshold.count(result == '+') {
                    None => '?',
                    Some(good) => {
                        if good {
                            '+'
                        } else {
                            '-'
                        }
                    }
                })
                .collect();
            assert_eq!(thought, thoughts, "{failures} failures, {successes} successes: {results}");
        }
    }

    /// Thinks it all over from the beginning each time.
    fn naive(results: &[bool], failures: usize, successes: usize) -> Option<bool> {
        (1..=results.len()).rev().find_map(|end| {
            let ends_in = |kind: bool, row: usize| {
                end >= row && results[end - row..end].iter().all(|&result| result == kind)
            };
            match (ends_in(true, successes), ends_in(false, failures)) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                _ => None,
            }
        })
    }

    proptest! {
        #[test]
        fn thinks_like_one_that_remembers_every_result(
            results in proptest::collection::vec(any::<bool>(), 0..60),
            failures in 1..6_u32,
            successes in 1..6_u32,
        ) {
            let mut threshold = threshold(failures, successes);
            for (at, &result) in results.iter().enumerate() {
                let expected = naive(&results[..=at], failures as usize, successes as usize);
                prop_assert_eq!(threshold.count(result), expected);
                prop_assert_eq!(threshold.thought(), expected);
            }
        }
    }
}
