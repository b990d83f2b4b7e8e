use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{Finding, Status, threshold::Threshold};

/// What is thought of something now, and until when if nobody says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) status: Status,
    pub(crate) detail: Option<Arc<str>>,
    /// When it is to be looked at again, because time alone may have changed it.
    pub(crate) until: Option<Instant>,
}

/// The machine behind a check: what its results come to, and for how long they are believed.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    threshold: Threshold,
    max_age: Duration,
    /// When the last result came that said anything.
    heard: Option<Instant>,
    /// The last result that was good: a pass, or a warning.
    good: Status,
    detail: Option<Arc<str>>,
    /// Whether nobody looks any more.
    dead: bool,
}

impl Standing {
    pub(crate) fn new(threshold: Threshold, max_age: Duration) -> Self {
        Self { threshold, max_age, heard: None, good: Status::Pass, detail: None, dead: false }
    }

    /// Takes a result. One that is unknown says nothing, and is not counted.
    pub(crate) fn found(&mut self, finding: Finding, now: Instant) {
        let (status, detail) = finding.into_parts();
        self.detail = detail;
        if status == Status::Unknown {
            return;
        }
        self.heard = Some(now);
        if self.threshold.count(status.is_up()) == Some(true) && status.is_up() {
            self.good = status;
        }
    }

    /// Who looked has panicked.
    pub(crate) fn died(&mut self) {
        self.dead = true;
    }

    pub(crate) fn look(&self, now: Instant) -> Look {
        if self.dead {
            let detail = Some("its task has panicked".into());
            return Look { status: Status::Fail, detail, until: None };
        }
        let until = self.heard.and_then(|heard| heard.checked_add(self.max_age));
        let stale = until.is_some_and(|until| until <= now);
        let status = match self.threshold.thought() {
            _ if stale => Status::Unknown,
            Some(true) => self.good,
            Some(false) => Status::Fail,
            None => Status::Unknown,
        };
        let detail = if stale {
            Some(format!("nothing was heard of it for {:?}", self.max_age).into())
        } else {
            self.detail.clone()
        };
        Look { status, detail, until: until.filter(|_| !stale) }
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn standing(failures: u32) -> (Standing, Instant) {
        let threshold =
            Threshold::new(NonZeroU32::new(failures).expect("it is not zero"), NonZeroU32::MIN);
        (Standing::new(threshold, 30 * SECOND), crate::clock::now())
    }

    fn failure(text: &str) -> Finding {
        Finding::from(Status::Fail).with_detail(text)
    }

    #[test]
    fn nothing_is_known_before_the_first_result() {
        let (standing, now) = standing(3);
        let look = standing.look(now + 1000 * SECOND);
        assert_eq!(look, Look { status: Status::Unknown, detail: None, until: None });
    }

    #[test]
    fn a_failure_that_does_not_count_yet_is_told_all_the_same() {
        let (mut standing, now) = standing(2);
        standing.found(().into(), now);
        standing.found(failure("refused"), now);
        let look = standing.look(now);
        assert_eq!((look.status, look.detail.as_deref()), (Status::Pass, Some("refused")));
        standing.found(failure("refused again"), now);
        let look = standing.look(now);
        assert_eq!((look.status, look.detail.as_deref()), (Status::Fail, Some("refused again")));
        standing.found(().into(), now);
        assert_eq!((standing.look(now).status, standing.look(now).detail), (Status::Pass, None));
    }

    #[test]
    fn a_warning_is_a_success_with_a_word_to_it() {
        let (mut standing, now) = standing(1);
        standing.found(Status::Warn.into(), now);
        assert_eq!(standing.look(now).status, Status::Warn);
        standing.found(Status::Pass.into(), now);
        assert_eq!(standing.look(now).status, Status::Pass);
    }

    #[test]
    fn an_old_result_is_not_believed_at_the_moment_that_was_told() {
        let (mut standing, now) = standing(1);
        standing.found(().into(), now);
        let until = standing.look(now).until.expect("results age");
        assert_eq!(until, now + 30 * SECOND);
        let almost = until.checked_sub(Duration::from_nanos(1)).unwrap();
        assert_eq!(standing.look(almost).status, Status::Pass);
        let look = standing.look(until);
        assert_eq!((look.status, look.until), (Status::Unknown, None));
        assert_eq!(look.detail.as_deref(), Some("nothing was heard of it for 30s"));
        standing.found(().into(), until);
        assert_eq!(standing.look(until).status, Status::Pass);
    }

    #[test]
    fn who_does_not_look_any_more_has_failed_whatever_was_found() {
        let (mut standing, now) = standing(3);
        standing.found(().into(), now);
        standing.died();
        let look = standing.look(now + 1000 * SECOND);
        assert_eq!((look.status, look.until), (Status::Fail, None));
        assert_eq!(look.detail.as_deref(), Some("its task has panicked"));
    }

    #[test]
    fn who_finds_nothing_out_says_nothing() {
        let (mut standing, now) = standing(1);
        standing.found(().into(), now);
        standing.found(Status::Unknown.into(), now + 20 * SECOND);
        assert_eq!(standing.look(now + 29 * SECOND).status, Status::Pass);
        assert_eq!(standing.look(now + 30 * SECOND).status, Status::Unknown);
    }
}
