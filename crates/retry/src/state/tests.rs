#![allow(clippy::unwrap_used, reason = "a test")]

use palisade_core::Jitter;

use super::*;
use crate::Budget;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[allow(clippy::disallowed_methods, reason = "any moment will do")]
fn now() -> Instant {
    Instant::now()
}

fn common(policy: RetryPolicy) -> Arc<Common> {
    Arc::clone(&Shared::new(policy).common)
}

fn failed(attempt: u32, hint: Option<Duration>, deadline: Option<Deadline>) -> Failed {
    Failed { attempt, hint: hint.map(RetryHint::After), deadline }
}

#[test]
fn waits_grow_from_attempt_to_attempt() {
    let backoff = Backoff::new(10 * MILLISECOND, SECOND).with_jitter(Jitter::None);
    let common = common(
        RetryPolicy::http().max_attempts(u32::MAX).backoff(backoff).budget(Budget::unlimited()),
    );
    for (attempt, millis) in [(1, 10), (2, 20), (3, 40), (8, 1000), (u32::MAX - 1, 1000)] {
        let again = common.again(&failed(attempt, None, None), now()).unwrap();
        assert_eq!(again.delay, millis * MILLISECOND, "{attempt}");
    }
}

#[test]
fn a_wait_is_never_shorter_than_was_asked_for() {
    let common =
        common(RetryPolicy::http().honor_retry_after(Duration::MAX).budget(Budget::unlimited()));
    for asked in [0, 1, 2, 3, 1_000, 1_000_000_007, u64::MAX].map(Duration::from_nanos) {
        for _ in 0..100 {
            let delay = common.again(&failed(1, Some(asked), None), now()).unwrap().delay;
            assert!(delay >= asked, "{delay:?} for {asked:?}");
            let most = asked.saturating_add(asked / 2).max(50 * MILLISECOND);
            assert!(
                delay <= most.saturating_add(Duration::from_nanos(1)),
                "{delay:?} for {asked:?}"
            );
        }
    }
}

/// Each reason by itself, and the budget is asked last: for what is not done it gives nothing.
#[test]
fn there_is_a_reason_for_each_no() {
    let budget = Budget::ratio(1.0).floor(0).burst(1);
    let common = common(RetryPolicy::http().budget(budget.clone()));
    let now = now();
    let deadline = |left| Some(Deadline::at(now + left));
    for (failed, fate) in [
        (failed(3, None, None), Fate::Exhausted),
        (failed(1, Some(6 * SECOND), None), Fate::TooLate),
        (Failed { attempt: 1, hint: Some(RetryHint::Never), deadline: None }, Fate::TooLate),
        (failed(1, None, deadline(Duration::ZERO)), Fate::TooLate),
        (failed(1, None, deadline(4 * MILLISECOND)), Fate::TooLate),
        (failed(1, Some(SECOND), deadline(SECOND)), Fate::TooLate),
    ] {
        assert_eq!(common.again(&failed, now).unwrap_err(), fate);
    }
    assert_eq!((budget.taken(), budget.refused()), (0, 0));
    let held = common.again(&failed(1, None, deadline(SECOND)), now).unwrap();
    assert_eq!(common.again(&failed(1, None, None), now).unwrap_err(), Fate::Refused);
    drop(held);
    assert!(common.again(&failed(1, None, None), now).is_ok(), "it was given back");
}
