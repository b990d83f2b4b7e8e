//! Every interleaving of a budget's atomics:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-retry --release --lib`

use std::time::Duration;

use loom::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[allow(clippy::disallowed_methods, reason = "the machine is given its times")]
fn start() -> Instant {
    Instant::now()
}

/// All interleavings with three switches of one thread to another at any places, which are known to show
/// most of what there is (M. Musuvathi, S. Qadeer, PLDI 2007).
fn model(f: impl Fn(Instant) + Send + Sync + 'static) {
    let now = start();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || f(now));
}

/// Runs `f` beside, for `thread::JoinHandle::join`.
fn beside<T: 'static>(
    budget: &Budget,
    f: impl FnOnce(&Budget) -> T + 'static,
) -> thread::JoinHandle<T> {
    let budget = budget.clone();
    thread::spawn(move || f(&budget))
}

fn spend(budget: &Budget, now: Instant) -> u32 {
    budget.take(now).map_or(0, |mut token| {
        token.spend();
        1
    })
}

fn is(budget: &Budget, tokens: f64) -> bool {
    (budget.balance() - tokens).abs() < 1e-9
}

#[test]
fn no_token_is_given_twice_or_refused_to_all() {
    model(|now| {
        let budget = Budget::ratio(0.5).floor(0).burst(2);
        let others = [0, 1].map(|_| beside(&budget, move |budget| spend(budget, now)));
        let spent = others.into_iter().map(|other| other.join().unwrap()).sum::<u32>();
        assert_eq!((spent, spend(&budget, now)), (2, 0));

        budget.succeeded();
        budget.succeeded();
        let other = beside(&budget, move |budget| spend(budget, now));
        assert_eq!(spend(&budget, now) + other.join().unwrap(), 1);
        assert!(is(&budget, 0.0));
        assert_eq!((budget.taken(), budget.refused(), budget.in_use()), (3, 2, 0));
    });
}

/// Who sees the time already moved may be refused, but then the other is not.
#[test]
fn what_flowed_in_is_added_once() {
    model(|now| {
        let budget = Budget::ratio(0.5).floor(1).burst(3);
        (0..3).for_each(|_| assert_eq!(spend(&budget, now), 1));
        let later = now + SECOND;
        let other = beside(&budget, move |budget| spend(budget, later));
        assert_eq!(spend(&budget, later) + other.join().unwrap(), 1);
        assert!(is(&budget, 0.0));
    });
}

#[test]
fn of_two_who_come_at_different_times_none_adds_what_the_other_did() {
    model(|now| {
        let budget = Budget::ratio(0.5).floor(1).burst(3);
        (0..3).for_each(|_| assert_eq!(spend(&budget, now), 1));
        let other = beside(&budget, move |budget| spend(budget, now + 2 * SECOND));
        let spent = spend(&budget, now + SECOND) + other.join().unwrap();
        assert!(spent >= 1);
        assert!(is(&budget, 2.0 - f64::from(spent)));
    });
}

#[test]
fn what_is_earned_given_back_and_spent_at_once_adds_up() {
    model(|now| {
        let budget = Budget::ratio(0.5).floor(0).burst(4);
        (0..3).for_each(|_| assert_eq!(spend(&budget, now), 1));
        let gives_back = beside(&budget, move |budget| drop(budget.take(now)));
        let earns = beside(&budget, Budget::succeeded);
        let spent = spend(&budget, now);
        gives_back.join().unwrap();
        earns.join().unwrap();
        assert!(is(&budget, 1.5 - f64::from(spent)));
        assert_eq!(budget.in_use(), 0);
    });
}

#[test]
fn what_a_throttle_is_brought_and_loses_at_once_adds_up() {
    model(|now| {
        let budget = Budget::throttle(4, 0.5);
        budget.failed();
        let fails = beside(&budget, Budget::failed);
        let succeeds = beside(&budget, Budget::succeeded);
        // There are 2 to 3.5 of 4, and 2 are not more than half.
        drop(budget.take(now));
        assert_eq!(budget.taken() + budget.refused(), 1);
        fails.join().unwrap();
        succeeds.join().unwrap();
        assert!(is(&budget, 2.5));
    });
}

#[test]
fn no_more_retries_than_may_be_at_once_and_no_place_is_lost() {
    model(|now| {
        let budget = Budget::ratio(0.5).floor(0).burst(3).max_concurrent(1);
        let held = Arc::new(AtomicUsize::new(0));
        let retries = move |budget: &Budget, held: &AtomicUsize, spends: bool| {
            let token = budget.take(now);
            let allowed = token.is_some();
            if let Some(mut token) = token {
                assert_eq!(held.fetch_add(1, SeqCst), 0, "two at once");
                if spends {
                    token.spend();
                }
                held.fetch_sub(1, SeqCst);
            }
            u32::from(allowed)
        };
        let other = {
            let held = Arc::clone(&held);
            beside(&budget, move |budget| {
                let spent = retries(budget, &held, true);
                (spent, retries(budget, &held, false))
            })
        };
        let mine = retries(&budget, &held, true);
        let (spent, given_back) = other.join().unwrap();
        assert!(mine + spent + given_back >= 1);
        assert!(is(&budget, 3.0 - f64::from(mine + spent)));
        assert_eq!(budget.in_use(), 0);
    });
}

#[test]
fn of_two_who_are_refused_one_is_told() {
    model(|now| {
        let budget = Budget::ratio(0.5).burst(0);
        let refused = |budget: &Budget, now| {
            assert!(budget.take(now).is_none());
            budget.untold(now)
        };
        let other = beside(&budget, move |budget| refused(budget, now));
        let told = [refused(&budget, now), other.join().unwrap()];
        assert_eq!(told.iter().flatten().count(), 1, "{told:?}");
        let rest = refused(&budget, now + 10 * SECOND);
        assert_eq!(told.into_iter().chain([rest]).flatten().sum::<u64>(), budget.refused());
    });
}
