use std::time::Duration;

use palisade_core::Rng;

use super::*;

mod throttle;

const SECOND: Duration = Duration::from_secs(1);

#[allow(clippy::disallowed_methods, reason = "the machine is given its times")]
fn start() -> Instant {
    Instant::now()
}

/// Takes and spends as many as there are.
fn drain(budget: &Budget, now: Instant) -> u64 {
    let before = budget.taken();
    while let Some(mut token) = budget.take(now) {
        token.spend();
    }
    budget.taken() - before
}

fn succeed(budget: &Budget, times: u32) {
    (0..times).for_each(|_| budget.succeeded());
}

fn fail(budget: &Budget, times: u32) {
    (0..times).for_each(|_| budget.failed());
}

fn is(balance: f64, tokens: f64) -> bool {
    (balance - tokens).abs() < 1e-9
}

/// tower#857: of 0.6, an integer reciprocal makes 1.
#[test]
fn a_share_is_what_it_says() {
    let now = start();
    for (share, successes, retries) in [
        (0.6, 1000, 600),
        (0.1, 1000, 100),
        (0.2, 1000, 200),
        (0.07, 100, 7),
        (0.3, 10, 3),
        (0.7, 10, 7),
        (0.9, 10, 9),
        (0.001, 1000, 1),
        (0.001, 999, 0),
        (1.0, 5, 5),
    ] {
        let budget = Budget::ratio(share).floor(0).burst(1000);
        assert_eq!(drain(&budget, now), 1000);
        succeed(&budget, successes);
        assert_eq!(drain(&budget, now), retries, "{share} of {successes}");
    }
}

#[test]
fn the_least_share_is_more_than_nothing() {
    let budget = Budget::ratio(f64::MIN_POSITIVE).floor(0).burst(1);
    assert_eq!(drain(&budget, start()), 1);
    budget.succeeded();
    assert!(is(budget.balance(), 1e-9) && budget.balance() > 0.0);
}

#[test]
fn the_default_is_a_tenth_and_ten_at_once() {
    let now = start();
    let budget = Budget::default();
    assert!(is(budget.balance(), 10.0));
    assert_eq!(drain(&budget, now), 10);
    succeed(&budget, 25);
    assert!(is(budget.balance(), 2.5));
    assert_eq!(drain(&budget, now), 2);
    // Nothing comes of waiting.
    assert_eq!(drain(&budget, now + 3600 * SECOND), 0);
}

#[test]
fn no_more_is_saved_up_than_may_be() {
    let now = start();
    let budget = Budget::ratio(0.6).burst(2);
    succeed(&budget, 1000);
    assert!(is(budget.balance(), 2.0));
    drain(&budget, now);
    succeed(&budget, 1000);
    assert!(is(budget.balance(), 2.0));
    assert_eq!(drain(&budget, now + 1000 * SECOND), 2);
}

/// What is left of a token when somebody asks is not lost.
#[test]
fn the_floor_is_as_many_a_second_as_it_says_however_often_it_is_asked() {
    let begin = start();
    for (every, seconds) in [
        (Duration::from_millis(10), 100),
        (Duration::from_millis(7), 70),
        (Duration::from_micros(333), 10),
        (Duration::from_nanos(1_234_567), 10),
        (10 * SECOND, 100),
    ] {
        let budget = Budget::ratio(0.1).floor(3).burst(30);
        assert_eq!(drain(&budget, begin), 30);
        let mut now = begin;
        let mut retries = 0;
        while now + every <= begin + seconds * SECOND {
            now += every;
            retries += drain(&budget, now);
        }
        retries += drain(&budget, begin + seconds * SECOND);
        assert_eq!(retries, 3 * u64::from(seconds), "every {every:?}");
    }
}

#[test]
fn a_clock_that_stands_still_or_goes_back_does_no_harm() {
    let before = start();
    let now = before + 50 * SECOND;
    let budget = Budget::ratio(0.1).floor(1).burst(2);
    assert_eq!(drain(&budget, now), 2);
    assert_eq!(drain(&budget, now), 0);
    assert_eq!(drain(&budget, before), 0);
    assert_eq!(drain(&budget, now + SECOND), 1);
    for earlier in [now + SECOND, now, before] {
        assert_eq!(drain(&budget, earlier), 0);
    }
    assert_eq!(drain(&budget, now + SECOND), 0);
    assert_eq!(drain(&budget, now + 2 * SECOND), 1);
}

#[test]
fn decades_do_not_overflow() {
    let begin = start();
    let decades = Duration::from_secs(60 * 365 * 86_400);
    let budget = Budget::ratio(1.0).floor(u32::MAX).burst(u32::MAX);
    assert!(is(budget.balance(), f64::from(u32::MAX)));
    budget.take(begin).unwrap().spend();
    budget.take(begin + decades).unwrap().spend();
    assert!(is(budget.balance(), f64::from(u32::MAX) - 1.0));
    let few = Budget::default().floor(3);
    drain(&few, begin);
    assert_eq!(drain(&few, begin + decades), 10);
}

#[test]
fn a_token_that_is_not_spent_goes_back() {
    let now = start();
    let budget = Budget::ratio(0.1).floor(0).burst(2);
    let (mut one, two) = (budget.take(now).unwrap(), budget.take(now).unwrap());
    assert!(budget.take(now).is_none());
    one.spend();
    drop((one, two));
    assert!(is(budget.balance(), 1.0));
    assert_eq!((drain(&budget, now), budget.taken(), budget.in_use()), (1, 3, 0));
}

#[test]
fn what_goes_back_is_not_saved_up_above_the_burst() {
    let now = start();
    let budget = Budget::ratio(1.0).floor(0).burst(2);
    let token = budget.take(now);
    succeed(&budget, 1);
    drop(token);
    assert!(is(budget.balance(), 2.0));
}

/// envoy#30205.
#[test]
fn a_retry_has_its_place_from_the_decision_to_the_end() {
    let now = start();
    for budget in [Budget::unlimited(), Budget::default(), Budget::throttle(10, 0.1)] {
        let budget = budget.max_concurrent(2);
        let waits = budget.take(now).unwrap();
        let mut sent = budget.take(now).unwrap();
        sent.spend();
        let balance = budget.balance();
        assert!(budget.take(now).is_none());
        assert!(balance.is_infinite() || is(budget.balance(), balance), "a refusal took a token");
        assert_eq!((budget.in_use(), budget.refused()), (2, 1));
        drop(sent);
        let next = budget.take(now).unwrap();
        assert!(budget.take(now).is_none());
        drop((waits, next));
        assert_eq!((budget.in_use(), budget.taken(), budget.refused()), (0, 3, 2));
    }
    assert!(Budget::unlimited().max_concurrent(0).take(now).is_none());
}

#[test]
fn who_is_refused_for_want_of_a_token_takes_no_place() {
    let now = start();
    let budget = Budget::ratio(0.5).floor(0).burst(1).max_concurrent(1);
    drain(&budget, now);
    assert!(budget.take(now).is_none());
    assert_eq!(budget.in_use(), 0);
    succeed(&budget, 2);
    assert!(budget.take(now).is_some());
}

#[test]
fn failures_take_nothing_where_retries_pay() {
    let now = start();
    for budget in [Budget::default(), Budget::unlimited()] {
        fail(&budget, 1000);
        assert!((0..10).all(|_| budget.take(now).is_some()));
        assert!(budget.balance() >= 10.0);
    }
}

#[test]
fn without_a_limit_nothing_is_refused() {
    let now = start();
    let budget = Budget::unlimited().floor(0).burst(0);
    let tokens: Vec<_> = (0..10_000).map(|_| budget.take(now).unwrap()).collect();
    assert_eq!((budget.in_use(), budget.refused()), (10_000, 0));
    assert!(budget.balance().is_infinite());
    drop(tokens);
    assert_eq!(budget.in_use(), 0);
}

#[test]
fn a_burst_of_nothing_allows_nothing() {
    let now = start();
    for budget in [Budget::default().burst(0), Budget::throttle(1, 1.0).burst(0)] {
        succeed(&budget, 100);
        assert!(budget.take(now).is_none() && budget.take(now + 100 * SECOND).is_none());
    }
}

#[test]
fn clones_are_the_same_budget_and_what_is_set_makes_another() {
    let now = start();
    let budget = Budget::default().floor(0);
    let clone = budget.clone();
    assert_eq!(drain(&clone, now), 10);
    assert!(budget.take(now).is_none());
    let other = budget.clone().max_concurrent(5);
    assert_eq!((other.taken(), other.refused()), (0, 0));
    assert_eq!((drain(&other, now), drain(&budget, now)), (10, 0));
}

#[test]
fn a_token_outlives_its_budget() {
    fn is_free<T: Send + Sync + 'static>(value: T) -> T {
        value
    }
    let token = is_free(is_free(Budget::default()).take(start()).unwrap());
    assert_eq!(format!("{token:?}"), "Token { spent: false, .. }");
}

#[test]
fn a_budget_shows_its_state_and_not_its_words() {
    let budget = Budget::default();
    let token = budget.take(start());
    let text = "Budget { balance: 9.0, taken: 1, refused: 0, in_use: 1 }";
    assert_eq!(format!("{budget:?}"), text);
    drop(token);
}

#[test]
fn of_refusals_one_is_told_at_once_and_then_one_in_ten_seconds() {
    let now = start();
    let budget = Budget::ratio(0.1).floor(0).burst(0);
    assert_eq!(budget.untold(now), None);
    let mut told = Vec::new();
    for tenth in 0..400 {
        let now = now + tenth * SECOND / 10;
        assert!(budget.take(now).is_none());
        told.extend(budget.untold(now).map(|refused| (tenth, refused)));
        assert_eq!(budget.clone().untold(now), None);
    }
    assert_eq!(told, [(0, 1), (100, 100), (200, 100), (300, 100)]);
    // The rest with the next one, of which nobody hears of before there is one.
    let later = now + 3600 * SECOND;
    assert!(budget.take(later).is_none());
    assert_eq!((budget.untold(later), budget.untold(later + 60 * SECOND)), (Some(100), None));
    assert!(budget.take(now).is_none());
    assert_eq!(budget.untold(now), None, "a clock that went back tells nothing");
}

#[test]
fn what_is_out_of_bounds_is_named_with_its_bounds() {
    let error = |budget: Result<Budget, InvalidBudget>| budget.expect_err("no budget").to_string();
    for share in [0.0, -0.1, 1.000_001, f64::NAN, f64::INFINITY] {
        assert_eq!(
            error(Budget::try_ratio(share)),
            format!(
                "{share} is no share of successes that may be retries: it is above 0 and at most 1"
            )
        );
    }
    for tokens in [0, 1001] {
        assert_eq!(
            error(Budget::try_throttle(tokens, 0.1)),
            format!("{tokens} tokens throttle no retries: 1 to 1000 do")
        );
    }
    for ratio in [0.0, -1.0, 0.0004, f64::NAN, f64::INFINITY] {
        assert_eq!(
            error(Budget::try_throttle(10, ratio)),
            format!("{ratio} tokens are nothing that a success brings: at least 0.001 are")
        );
    }
}

#[test]
fn a_budget_that_cannot_be_panics_where_it_is_written() {
    let panics = |budget: fn() -> Budget| std::panic::catch_unwind(budget).is_err();
    assert!(panics(|| Budget::ratio(0.0)));
    assert!(panics(|| Budget::ratio(1.5)));
    assert!(panics(|| Budget::throttle(0, 0.1)));
    assert!(panics(|| Budget::throttle(1001, 0.1)));
    assert!(panics(|| Budget::throttle(10, 0.0)));
}

/// However many fail, retries are a tenth of what succeeds, and not much less where there is a use for them.
#[test]
fn of_a_million_outcomes_retries_are_a_tenth_of_the_successes() {
    for (seed, failing) in [(1, 5), (2, 30), (3, 60), (4, 99), (5, 100)] {
        let mut rng = Rng::seeded(seed);
        let now = start();
        let budget = Budget::ratio(0.1).floor(0);
        let (mut outcomes, mut successes) = (0, 0);
        while outcomes < 1_000_000 {
            for _attempt in 0..3 {
                outcomes += 1;
                if rng.next_u64() % 100 >= failing {
                    successes += 1;
                    budget.succeeded();
                    break;
                }
                budget.failed();
                match budget.take(now) {
                    Some(mut token) => token.spend(),
                    None => break,
                }
            }
        }
        let taken = budget.taken();
        assert!(10 * taken <= 100 + successes, "{taken} for {successes} successes");
        if failing == 5 {
            assert!(budget.refused() < outcomes / 1000, "of few failures nearly all are retried");
        } else {
            // All but what was earned last, and the few that came while it was full.
            assert!(10 * taken + 1000 >= successes, "{taken} for {successes} successes");
        }
    }
}
