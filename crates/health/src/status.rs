use std::{fmt, sync::Arc};

use palisade_core::BoxError;

/// How well something is, from the best to the worst.
///
/// The words are those of `application/health+json` (draft-inadarei-api-health-check-06), and `Unknown`
/// for what that has no word for. They are ordered, so the [greatest](Ord::max) of several is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It is well.
    Pass = 0,
    /// It works, and somebody should look at it.
    Warn = 1,
    /// Nothing is known of it: it was never looked at, or too long ago.
    Unknown = 2,
    /// It does not work.
    Fail = 3,
}

impl Status {
    /// Whether a probe that asks for this is answered with yes: it passes, or does with a warning.
    #[inline]
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Pass | Self::Warn)
    }

    /// The word for it, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Fail => "fail",
        }
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Pass,
            1 => Self::Warn,
            2 => Self::Unknown,
            _ => Self::Fail,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a check has found: a [`Status`], and for people why.
///
/// Made of what a check returns: nothing or `Ok` is a pass, an error a failure with its text and that of
/// its causes, a [`Status`] itself.
///
/// ```
/// use palisade_health::{Finding, Status};
///
/// assert_eq!(Finding::from(()).status(), Status::Pass);
/// let refused = Finding::from(Err::<(), _>("connection refused"));
/// assert_eq!((refused.status(), refused.detail()), (Status::Fail, Some("connection refused")));
/// let late = Finding::from(Status::Warn).with_detail("12 s behind");
/// assert_eq!(late.detail(), Some("12 s behind"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    status: Status,
    detail: Option<Arc<str>>,
}

/// No detail is longer, in bytes: it stays in memory, and goes to the log.
const LONGEST: usize = 1024;

impl Finding {
    /// What was found.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Why, for the log and for those who may see it.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Says why. Of more than 1024 bytes the beginning is kept.
    #[must_use]
    pub fn with_detail(mut self, detail: impl AsRef<str>) -> Self {
        let mut detail = detail.as_ref();
        if detail.len() > LONGEST {
            let mut end = LONGEST;
            while !detail.is_char_boundary(end) {
                end -= 1;
            }
            detail = &detail[..end];
        }
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn into_parts(self) -> (Status, Option<Arc<str>>) {
        (self.status, self.detail)
    }
}

impl From<()> for Finding {
    fn from((): ()) -> Self {
        Status::Pass.into()
    }
}

impl From<Status> for Finding {
    fn from(status: Status) -> Self {
        Self { status, detail: None }
    }
}

impl<T: Into<Self>, E: Into<BoxError>> From<Result<T, E>> for Finding {
    fn from(result: Result<T, E>) -> Self {
        result.map_or_else(
            |error| {
                let error: BoxError = error.into();
                let mut text = error.to_string();
                let mut cause = error.source();
                while let Some(error) = cause {
                    // A chain that has no end would be one of our own making.
                    if text.len() > LONGEST {
                        break;
                    }
                    text = format!("{text}: {error}");
                    cause = error.source();
                }
                Self::from(Status::Fail).with_detail(text)
            },
            Into::into,
        )
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use std::{error::Error, fmt, io};

    use super::*;

    #[derive(Debug)]
    struct Unreachable(io::Error);

    impl fmt::Display for Unreachable {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no database")
        }
    }

    impl Error for Unreachable {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_worst_of_several_is_the_greatest() {
        let ordered = [Status::Pass, Status::Warn, Status::Unknown, Status::Fail];
        assert!(ordered.is_sorted());
        for (bits, status) in (0..).zip(ordered) {
            assert_eq!(Status::from_bits(bits), status);
            assert_eq!(status.is_up(), bits < 2);
        }
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let found = Finding::from(Err::<(), _>(Unreachable(io::Error::other("refused"))));
        assert_eq!(found.status(), Status::Fail);
        assert_eq!(found.detail(), Some("no database: refused"));
        let looked = Finding::from(Ok::<_, Unreachable>(Status::Warn));
        assert_eq!(looked, Status::Warn.into());
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let found = Finding::from(Status::Fail).with_detail("é".repeat(2000) + "x");
        assert_eq!(found.detail().map(str::len), Some(LONGEST));
        let found = Finding::from(Status::Fail).with_detail(format!("x{}", "é".repeat(2000)));
        assert_eq!(found.detail().map(str::len), Some(LONGEST - 1));
    }
}
