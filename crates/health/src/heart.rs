use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    Status,
    clock::{Clock, END, nanos},
    standing::Look,
    sync::AtomicU64,
};

/// The machine behind a heartbeat: when it beat last, whether it has anything to do, whether its owner is
/// still there.
///
/// All in one word, so that no interleaving sees one of these without the others: a beat is a store, and
/// who looks is told what was true at one moment.
#[derive(Debug)]
pub(crate) struct Heart {
    /// A moment, and perhaps `BUSY`; or one of those below.
    word: AtomicU64,
    clock: Clock,
    /// In nanoseconds.
    allowed: u64,
    /// Whether it must beat while it has nothing to do.
    always: bool,
}

/// It has something to do.
const BUSY: u64 = 1 << 62;
/// Its owner was told that it is over.
const RETIRED: u64 = u64::MAX;
/// Its owner was dropped.
const LOST: u64 = u64::MAX - 1;
/// Its owner was dropped by a panic.
const PANICKED: u64 = u64::MAX - 2;

/// How soon one that has stopped is looked at again, at the latest: it beats without telling anybody.
const AGAIN: Duration = Duration::from_secs(1);
/// And at the earliest.
const SOON: Duration = Duration::from_millis(10);

/// How a heart's owner ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    Retired = 0,
    Lost = 1,
    Panicked = 2,
}

impl Heart {
    /// One that beats as it is made.
    pub(crate) fn new(clock: Clock, allowed: Duration, always: bool, now: Instant) -> Self {
        let word = AtomicU64::new(clock.nanos(now));
        Self { word, clock, allowed: nanos(allowed.max(SOON)), always }
    }

    #[inline]
    pub(crate) fn beat(&self, busy: bool, now: Instant) {
        let mark = if busy { BUSY } else { 0 };
        self.word.store(self.clock.nanos(now) | mark, Relaxed);
    }

    pub(crate) fn end(&self, gone: Gone) {
        self.word.store(RETIRED - gone as u64, Relaxed);
    }

    /// Whether its owner is gone.
    pub(crate) fn gone(&self) -> Option<Gone> {
        match self.word.load(Relaxed) {
            RETIRED => Some(Gone::Retired),
            LOST => Some(Gone::Lost),
            PANICKED => Some(Gone::Panicked),
            _ => None,
        }
    }

    /// `None` if it is over, and nothing is to be said of it any more.
    pub(crate) fn look(&self, now: Instant) -> Option<Look> {
        let word = self.word.load(Relaxed);
        let failed = |detail: Arc<str>, until| {
            Some(Look { status: Status::Fail, detail: Some(detail), until })
        };
        match word {
            RETIRED => return None,
            LOST => return failed("its owner is gone".into(), None),
            PANICKED => return failed("its owner has panicked".into(), None),
            _ => {}
        }
        let is_awaited = self.always || word & BUSY != 0;
        let from = if is_awaited { word & END } else { self.clock.nanos(now) };
        let until = from.saturating_add(self.allowed);
        if self.clock.nanos(now) < until {
            let until = self.clock.moment(until);
            return Some(Look { status: Status::Pass, detail: None, until });
        }
        let allowed = Duration::from_nanos(self.allowed);
        let detail = if self.always { "no beat for" } else { "no progress for" };
        failed(format!("{detail} {allowed:?}").into(), now.checked_add(allowed.min(AGAIN)))
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn heart(always: bool) -> (Heart, Instant) {
        let now = crate::clock::now();
        (Heart::new(Clock::new(now), 10 * SECOND, always, now), now)
    }

    fn status(heart: &Heart, now: Instant) -> Status {
        heart.look(now).expect("it is not over").status
    }

    #[test]
    fn one_that_must_always_beat_fails_when_it_does_not() {
        let (heart, now) = heart(true);
        assert_eq!(heart.look(now).unwrap().until, Some(now + 10 * SECOND));
        assert_eq!(status(&heart, now + 9 * SECOND), Status::Pass);
        let look = heart.look(now + 10 * SECOND).unwrap();
        assert_eq!((look.status, look.until), (Status::Fail, Some(now + 11 * SECOND)));
        assert_eq!(look.detail.as_deref(), Some("no beat for 10s"));
        heart.beat(false, now + 12 * SECOND);
        assert_eq!(status(&heart, now + 21 * SECOND), Status::Pass);
    }

    #[test]
    fn one_that_has_nothing_to_do_is_well_for_ever() {
        let (heart, now) = heart(false);
        assert_eq!(status(&heart, now + 1000 * SECOND), Status::Pass);
        heart.beat(true, now + 1000 * SECOND);
        assert_eq!(status(&heart, now + 1009 * SECOND), Status::Pass);
        assert_eq!(status(&heart, now + 1010 * SECOND), Status::Fail);
        heart.beat(false, now + 1011 * SECOND);
        assert_eq!(status(&heart, now + 9999 * SECOND), Status::Pass);
    }

    #[test]
    fn a_lost_owner_is_a_failure_and_a_clean_end_is_none() {
        let (heart, now) = heart(false);
        for gone in [Gone::Lost, Gone::Panicked] {
            heart.end(gone);
            assert_eq!((status(&heart, now), heart.gone()), (Status::Fail, Some(gone)));
        }
        heart.end(Gone::Retired);
        assert_eq!((heart.look(now), heart.gone()), (None, Some(Gone::Retired)));
    }

    #[test]
    fn a_clock_that_steps_back_fails_nobody() {
        let (heart, now) = heart(true);
        heart.beat(false, now + 100 * SECOND);
        assert_eq!(status(&heart, now), Status::Pass);
    }

    proptest! {
        /// The naive one remembers each beat, and each moment from which there was something to do.
        #[test]
        fn is_judged_as_by_one_that_remembers_every_beat(
            always in any::<bool>(),
            steps in proptest::collection::vec((0..15_u32, any::<bool>(), any::<bool>()), 0..50),
        ) {
            let (heart, mut now) = heart(always);
            let mut beats = vec![(now, false)];
            for (pause, beats_now, busy) in steps {
                now += pause * SECOND;
                if beats_now {
                    heart.beat(busy, now);
                    beats.push((now, busy));
                }
                let (last, busy) = *beats.last().unwrap();
                let fails = (always || busy) && now - last >= 10 * SECOND;
                let look = heart.look(now).unwrap();
                prop_assert_eq!(look.status == Status::Fail, fails);
                // What was said to hold until then holds until then.
                let until = look.until.unwrap();
                prop_assert!(until > now);
                if !fails {
                    let almost = until.checked_sub(Duration::from_nanos(1)).unwrap();
                    prop_assert_eq!(heart.look(almost).unwrap().status, Status::Pass);
                }
            }
        }
    }
}
