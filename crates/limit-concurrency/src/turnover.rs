use std::time::{Duration, Instant};

/// How long requests stay, learned from nothing but the moments of refusal.
///
/// Little's law (J. D. C. Little, *Operations Research* 9(3), 1961) says that a request stays for
/// `L / λ` where `L` are in flight and `λ` leave per second. At a refusal `L` is known, and `λ` is
/// what left since an earlier refusal. So nothing has to be measured while requests are admitted.
///
/// A few that leave say little of the rest, so a window is only believed once as many left as are
/// in. Until then the estimate is the window's age. Where every refusal finds the same number in, it
/// is thus never more than the longest stay (or a second), plus the time to the next refusal: whoever
/// was in when the window began has left by then.
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

/// Refusals further apart do not tell that there was no room in between.
const MEMORY: Duration = Duration::from_secs(2);

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
            Some(window)
                if in_flight > 0
                    && now.saturating_duration_since(window.last_refusal) <= MEMORY =>
            {
                window.last_refusal = window.last_refusal.max(now);
                let elapsed = now.saturating_duration_since(window.since);
                let left = releases.wrapping_sub(window.releases);
                if left < in_flight {
                    self.stay = self.stay.max(elapsed);
                } else if elapsed >= WINDOW {
                    // `elapsed` times a ratio of at most one.
                    self.stay = elapsed.mul_f64(f64::from(in_flight) / f64::from(left));
                    *window = fresh;
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
        // 20 leave each second and 100 are in: each stays 5 seconds.
        for second in 0..5 {
            let hint = turnover.refused(start + second * SECOND, 20 * second, 100);
            assert_eq!(hint, (second * SECOND).max(SECOND), "as long as it is known to be");
        }
        assert_eq!(turnover.refused(start + 5 * SECOND, 100, 100), 5 * SECOND);
        assert_eq!(turnover.refused(start + 6 * SECOND, 120, 100), 5 * SECOND);
        // It became ten times as fast.
        assert_eq!(turnover.refused(start + 7 * SECOND, 320, 100), SECOND);
    }

    #[test]
    fn refusals_in_quick_succession_share_one_window() {
        let (mut turnover, start) = (Turnover::default(), start());
        for millis in 0..1000 {
            let now = start + Duration::from_millis(millis);
            // In at most a second three times as many leave as are in.
            let left = u32::try_from(millis * 3 / 10).unwrap();
            assert_eq!(turnover.refused(now, left, 100), SECOND);
        }
        assert_eq!(turnover.refused(start + 3 * SECOND / 2, 300, 200), SECOND);
    }

    #[test]
    fn one_that_leaves_says_little_of_the_rest() {
        let (mut turnover, start) = (Turnover::default(), start());
        turnover.refused(start, 0, 100);
        assert_eq!(turnover.refused(start + SECOND, 1, 100), SECOND);
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
    fn where_nobody_is_in_there_is_nothing_to_wait_for() {
        let (mut turnover, start) = (Turnover::default(), start());
        for second in 0..100 {
            assert_eq!(turnover.refused(start + second * SECOND, 5, 0), SECOND);
        }
        assert_eq!(turnover.refused(start + 100 * SECOND, 5, 100), SECOND);
    }

    #[test]
    fn bursts_with_quiet_between_them_are_not_taken_for_one() {
        let (mut turnover, start) = (Turnover::default(), start());
        for burst in 0..10 {
            let hint = turnover.refused(start + burst * 9 * SECOND, 100 * burst, 100);
            assert_eq!(hint, SECOND);
        }
    }

    #[test]
    fn the_count_of_releases_may_wrap() {
        let (mut turnover, start) = (Turnover::default(), start());
        turnover.refused(start, u32::MAX - 9, 10);
        assert_eq!(turnover.refused(start + 2 * SECOND, 0, 10), 2 * SECOND);
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

        /// A service that is always full, whose requests stay between nothing and `longest`.
        #[test]
        fn the_hint_is_never_much_longer_than_the_longest_stay(
            stays in proptest::collection::vec(0.0..1.0_f64, 1..40),
            longest in 0.01..20.0_f64,
            gaps in proptest::collection::vec(0.0..2.0_f64, 1..60),
        ) {
            let (mut turnover, start) = (Turnover::default(), start());
            let mut stays = stays.into_iter().map(|share| share * longest).collect::<Vec<_>>();
            let in_flight = u32::try_from(stays.len()).unwrap();
            // When those who are in will leave. Who follows stays as long as they did.
            let mut leaving = stays.clone();
            let (mut now, mut left, mut widest) = (0.0, 0_u32, 0.0_f64);
            for gap in gaps {
                now += gap;
                widest = widest.max(gap);
                for (leaves, stay) in leaving.iter_mut().zip(&mut stays) {
                    *stay = stay.max(0.001);
                    while *leaves <= now {
                        *leaves += *stay;
                        left += 1;
                    }
                }
                let hint = turnover.refused(start + Duration::from_secs_f64(now), left, in_flight);
                let bound = longest.max(1.0) + widest;
                prop_assert!(hint.as_secs_f64() <= bound + 1e-6, "{hint:?} over {bound}");
            }
        }
    }
}
