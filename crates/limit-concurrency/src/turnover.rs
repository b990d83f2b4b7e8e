use std::time::{Duration, Instant};

/// How fast requests leave, learned from nothing but the moments of refusal.
///
/// Little's law (J. D. C. Little, *Operations Research* 9(3), 1961) says that a request stays for
/// `L / λ` where `L` are in flight and `λ` leave per second. At a refusal `L` is known, and `λ` is
/// what left since an earlier refusal. So nothing has to be measured while requests are admitted.
///
/// In between, less than `L` may have been in flight. As at both ends `L` were, the estimate is at
/// most the larger of twice the truth and twice the time between the two refusals, which is why
/// refusals further apart than [`MEMORY`] are not compared.
#[derive(Debug, Default)]
pub(crate) struct Turnover {
    window: Option<Window>,
    /// The last estimate, zero until there is one.
    stay: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    /// What had left at that moment, modulo 2³².
    releases: u32,
    last_refusal: Instant,
}

/// Shorter windows say more about chance than about the service.
const WINDOW: Duration = Duration::from_secs(1);

/// After this long without a refusal, what was known is forgotten.
const MEMORY: Duration = Duration::from_secs(10);

/// `Retry-After` has no smaller unit.
const SHORTEST: Duration = Duration::from_secs(1);

/// A client told to stay away for longer than this misses the recovery, and a request that takes
/// longer is one of a few: the next place is free sooner.
const LONGEST: Duration = Duration::from_secs(30);

impl Turnover {
    /// A request was refused at `now`, when `releases` had left (modulo 2³²) and `in_flight` had
    /// not. When should it come back?
    pub(crate) fn refused(&mut self, now: Instant, releases: u32, in_flight: u32) -> Duration {
        let fresh = Window { since: now, releases, last_refusal: now };
        match &mut self.window {
            Some(window) if now.saturating_duration_since(window.last_refusal) <= MEMORY => {
                window.last_refusal = window.last_refusal.max(now);
                let elapsed = now.saturating_duration_since(window.since);
                if elapsed >= WINDOW {
                    let left = releases.wrapping_sub(window.releases);
                    if left == 0 {
                        // Who is in has been for at least this long.
                        self.stay = self.stay.max(elapsed);
                    } else {
                        self.stay = elapsed.saturating_mul(in_flight) / left;
                        *window = fresh;
                    }
                }
            }
            _ => *self = Self { window: Some(fresh), stay: Duration::ZERO },
        }
        self.stay.clamp(SHORTEST, LONGEST)
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods, reason = "the machine is given its times")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_first_refusal_knows_nothing_and_says_one_second() {
        assert_eq!(Turnover::default().refused(start(), 7, 100), SECOND);
    }

    #[test]
    fn a_steady_service_is_measured_by_littles_law() {
        let (mut turnover, start) = (Turnover::default(), start());
        turnover.refused(start, 0, 100);
        // 20 leave each second and 100 are in: each stays 5 seconds.
        assert_eq!(turnover.refused(start + SECOND, 20, 100), 5 * SECOND);
        assert_eq!(turnover.refused(start + 2 * SECOND, 40, 100), 5 * SECOND);
        // It became four times as fast.
        assert_eq!(turnover.refused(start + 4 * SECOND, 200, 100), SECOND * 5 / 4);
    }

    #[test]
    fn refusals_in_quick_succession_share_one_window() {
        let (mut turnover, start) = (Turnover::default(), start());
        for millis in 0..1000 {
            let now = start + Duration::from_millis(millis);
            assert_eq!(turnover.refused(now, u32::try_from(millis / 50).unwrap(), 100), SECOND);
        }
        assert_eq!(turnover.refused(start + SECOND, 20, 100), 5 * SECOND);
    }

    #[test]
    fn while_nobody_leaves_the_estimate_grows_with_the_wait() {
        let (mut turnover, start) = (Turnover::default(), start());
        for second in 0..100 {
            let hint = turnover.refused(start + second * SECOND, 5, 3);
            assert_eq!(hint, (second * SECOND).clamp(SHORTEST, LONGEST));
        }
    }

    #[test]
    fn after_a_quiet_time_it_starts_afresh() {
        let (mut turnover, start) = (Turnover::default(), start());
        turnover.refused(start, 0, 100);
        assert_eq!(turnover.refused(start + SECOND, 10, 100), 10 * SECOND);
        assert_eq!(turnover.refused(start + 12 * SECOND, 11, 100), SECOND);
    }

    #[test]
    fn the_count_of_releases_may_wrap() {
        let (mut turnover, start) = (Turnover::default(), start());
        turnover.refused(start, u32::MAX - 9, 100);
        assert_eq!(turnover.refused(start + SECOND, 10, 100), 5 * SECOND);
    }

    proptest! {
        #[test]
        fn the_hint_stays_in_its_bounds(
            refusals in proptest::collection::vec((0..20_000_u64, 0..3_000_000_000_u32, 0..=u32::MAX), 1..50),
        ) {
            let (mut turnover, start) = (Turnover::default(), start());
            let mut releases = 0_u32;
            for (at, left, in_flight) in refusals {
                // Threads may report out of order: time may step back.
                releases = releases.wrapping_add(left);
                let hint = turnover.refused(start + Duration::from_millis(at), releases, in_flight);
                prop_assert!((SHORTEST..=LONGEST).contains(&hint));
            }
        }
    }
}
