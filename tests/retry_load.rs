//! Retries do not make a bad minute worse: the bounds that `examples/04_retry_with_a_budget.rs` prints the
//! figures of.
#![allow(missing_docs, reason = "a test")]

#[path = "../examples/04_retry_with_a_budget.rs"]
#[allow(dead_code, reason = "it prints, and this looks")]
mod example;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::response::IntoResponse;
use example::{
    DEFAULTS, ONCE, STAMPED, UNLIMITED, UNLIMITED_STAMPED, Upstream, WORK, WORKERS, bad_minute,
    guarded, overload, overload_of, plain,
};
use http::StatusCode;
use palisade::Rng;
use tokio::{sync::oneshot, time::sleep};
use tower::{service_fn, util::BoxCloneSyncService};

#[tokio::test(start_paused = true)]
async fn three_hops_add_a_quarter_at_most_to_the_load_of_what_is_down_or_fails_half_of_its_calls() {
    for (percent, least) in [(100, 1.0005), (50, 1.15)] {
        let alone = bad_minute(ONCE, percent, plain).await;
        assert!((0.99..1.01).contains(&alone.calls()), "{}", alone.calls());
        for policy in [DEFAULTS, STAMPED] {
            let seen = bad_minute(policy, percent, plain).await;
            assert!((least..=1.25).contains(&seen.calls()), "{percent} %: {}", seen.calls());
            assert!(seen.answered() >= alone.answered(), "{percent} %: {}", seen.answered());
        }
    }
}

/// Why there is a budget. Of three hops that hand on a stamp, each tries first attempts only.
#[tokio::test(start_paused = true)]
async fn without_a_budget_three_hops_call_what_is_down_27_times_and_with_a_stamp_7_times() {
    for (policy, expected) in [(UNLIMITED, 27.0), (UNLIMITED_STAMPED, 7.0)] {
        let calls = bad_minute(policy, 100, plain).await.calls();
        assert!((calls - expected).abs() < 1e-6, "{calls}");
    }
}

/// A tenth for each hop where there is enough to try again and enough that succeeds, 1.331 times in all; the
/// floors and bursts bring a little more.
#[tokio::test(start_paused = true)]
async fn three_hops_add_a_third_at_most_where_that_leaves_hardly_any_failure() {
    for percent in [5, 15, 25, 35] {
        let seen = bad_minute(DEFAULTS, percent, plain).await;
        assert!(seen.calls() <= 1.35, "{percent} %: {}", seen.calls());
        assert!(percent > 25 || seen.answered() > 0.96, "{percent} %: {}", seen.answered());
    }
}

#[tokio::test(start_paused = true)]
async fn breakers_inside_the_retries_leave_what_is_down_alone() {
    let seen = bad_minute(DEFAULTS, 100, guarded).await;
    assert!(seen.calls() < 0.01, "{}", seen.calls());
}

/// Of many clients as of one. With a floor of three retries a second for each it was never.
#[tokio::test(start_paused = true)]
async fn after_an_overload_goodput_is_back_as_soon_as_without_retries_and_without_a_budget_never() {
    for clients in [1, 20, 50] {
        let without_retries =
            overload(ONCE, clients).await.well_again().expect("its queue empties");
        let seen = overload(DEFAULTS, clients).await.well_again();
        assert!(seen.is_some_and(|seconds| seconds <= without_retries + 1), "{clients}: {seen:?}");
        assert!(seen.is_some_and(|seconds| seconds <= 5), "{clients}: {seen:?}");
    }
    assert_eq!(overload(UNLIMITED, 1).await.well_again(), None);
}

/// As the example's queue, but who waits is taken in any order: so some are always answered in time, and with
/// them succeed retries, however many are in vain.
fn in_any_order(calls: Arc<AtomicU64>) -> Upstream {
    #[derive(Default)]
    struct Queue {
        busy: usize,
        waiting: Vec<oneshot::Sender<()>>,
    }
    let queue = Arc::new(Mutex::new(Queue::default()));
    BoxCloneSyncService::new(service_fn(move |_| {
        let number = calls.fetch_add(1, Relaxed);
        let (turn, done) = (oneshot::channel(), oneshot::channel());
        let taken = {
            let mut queue = queue.lock().expect("nobody panics");
            if queue.busy < WORKERS {
                queue.busy += 1;
                turn.0.send(()).is_ok()
            } else if queue.waiting.len() < 10 * WORKERS {
                queue.waiting.push(turn.0);
                true
            } else {
                false
            }
        };
        if taken {
            let queue = Arc::clone(&queue);
            // Whether or not its caller waits.
            tokio::spawn(async move {
                if turn.1.await.is_err() {
                    return;
                }
                sleep(WORK).await;
                let mut queue = queue.lock().expect("nobody panics");
                let waiting = queue.waiting.len() as u64;
                match Rng::seeded(number).next_u64().checked_rem(waiting) {
                    Some(next) => {
                        let next = usize::try_from(next).expect("there are not as many");
                        let _ = queue.waiting.swap_remove(next).send(());
                    }
                    None => queue.busy -= 1,
                }
                let _ = done.0.send(());
            });
        }
        async move {
            let well = taken && done.1.await.is_ok();
            let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            Ok(status.into_response())
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn so_it_is_where_some_are_always_answered() {
    for clients in [1, 20, 100, 500] {
        let without_retries = overload_of(in_any_order, ONCE, clients).await.well_again();
        let without_retries = without_retries.expect("its queue empties");
        let seen = overload_of(in_any_order, DEFAULTS, clients).await.well_again();
        assert!(
            seen.is_some_and(|seconds| seconds <= without_retries + 1),
            "{clients}: {seen:?}, and {without_retries} without"
        );
    }
    assert_eq!(overload_of(in_any_order, UNLIMITED, 20).await.well_again(), None);
}
