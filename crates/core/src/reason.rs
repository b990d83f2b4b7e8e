use std::fmt;

/// Why a request was turned away, as a short constant: `at-capacity`, `timed-out`.
///
/// It is the suffix of the problem's `type` and a label for metrics, so there are only ever a few.
/// Each layer's crate defines its own.
///
/// ```
/// use palisade_core::Reason;
///
/// const CLOSED: Reason = Reason::new("closed-for-lunch");
/// assert_eq!(CLOSED.as_str(), "closed-for-lunch");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason(&'static str);

impl Reason {
    /// A reason by its name, made of `a`–`z`, `0`–`9` and single `-` between them.
    ///
    /// # Panics
    ///
    /// When the name is not of that form. In a `const` that is a compile error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let bytes = name.as_bytes();
        let mut after_letter = false;
        let mut at = 0;
        while at < bytes.len() {
            let letter = matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9');
            assert!(
                letter || (bytes[at] == b'-' && after_letter),
                "a reason is made of a-z, 0-9 and single dashes between them"
            );
            after_letter = letter;
            at += 1;
        }
        assert!(after_letter, "a reason begins and ends with a letter or a digit");
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// Whether a request had reached the inner service when it was turned away. There are no other answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sent {
    /// It had not: it may be sent again whatever its method.
    No,
    /// It may have.
    Maybe,
    /// It had.
    Yes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_lower_case_words_with_single_dashes() {
        for good in ["closed", "at-capacity", "h2-goaway-2"] {
            assert_eq!(Reason::new(good).as_str(), good);
        }
        for bad in ["", "-", "a-", "-a", "a--b", "At", "a b", "a_b", "é"] {
            assert!(std::panic::catch_unwind(|| Reason::new(bad)).is_err(), "{bad:?}");
        }
    }
}
