use std::time::{Duration, Instant};

use palisade_core::log::RefusalLog;

use crate::Status;

/// The machine that keeps what flaps from filling the log: a change is told at once if none was in the last
/// [`PERIOD`]; else with all others when that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// As it was last told.
    status: Status,
    /// When that was.
    at: Option<Instant>,
    /// How many changes nobody was told of.
    untold: u64,
}

/// The least time between two lines about one thing, as between two about refusals.
const PERIOD: Duration = RefusalLog::PERIOD;

impl Told {
    pub(crate) fn new(status: Status) -> Self {
        Self { status, at: None, untold: 0 }
    }

    pub(crate) fn changed(&mut self) {
        self.untold = self.untold.saturating_add(1);
    }

    /// When there will be something to be told.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.at.filter(|_| self.untold > 0).map(|at| at + PERIOD)
    }

    /// From what it has changed to this, and how often, if that is to be told now.
    pub(crate) fn due(&mut self, to: Status, now: Instant) -> Option<(Status, u64)> {
        let is_due = self.untold > 0 && self.until().is_none_or(|until| until <= now);
        let told = is_due.then_some((self.status, self.untold));
        if is_due {
            *self = Self { status: to, at: Some(now), untold: 0 };
        }
        told
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_first_is_told_at_once_and_what_follows_when_it_is_time() {
        let now = crate::clock::now();
        let mut told = Told::new(Status::Unknown);
        assert_eq!((told.due(Status::Unknown, now), told.until()), (None, None));
        told.changed();
        assert_eq!(told.due(Status::Pass, now), Some((Status::Unknown, 1)));
        for status in [Status::Fail, Status::Pass, Status::Fail] {
            told.changed();
            assert_eq!(told.due(status, now + 9 * SECOND), None);
        }
        assert_eq!(told.until(), Some(now + 10 * SECOND));
        assert_eq!(told.due(Status::Fail, now + 10 * SECOND), Some((Status::Pass, 3)));
        assert_eq!((told.due(Status::Fail, now + 99 * SECOND), told.until()), (None, None));
        told.changed();
        assert_eq!(told.due(Status::Pass, now + 99 * SECOND), Some((Status::Fail, 1)));
    }

    proptest! {
        /// Of every change somebody is told, in lines that are a period apart.
        #[test]
        fn every_change_is_counted_once_and_no_two_lines_are_near(
            pauses in proptest::collection::vec(0..8_u32, 0..60),
        ) {
            let (mut now, mut last, mut told, mut sum) =
                (crate::clock::now(), None, Told::new(Status::Pass), 0);
            let changes = pauses.len() as u64;
            for pause in pauses.into_iter().map(Some).chain([None]) {
                match pause {
                    Some(pause) => {
                        now += pause * SECOND;
                        told.changed();
                    }
                    None => now = told.until().unwrap_or(now),
                }
                if let Some((_, times)) = told.due(Status::Pass, now) {
                    prop_assert!(last.is_none_or(|last| now - last >= PERIOD));
                    (last, sum) = (Some(now), sum + times);
                }
            }
            prop_assert_eq!(sum, changes);
        }
    }
}
