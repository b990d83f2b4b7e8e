//! Where a retry stands.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use palisade::{
    Backoff, Rejection,
    breaker::{BreakerLayer, CIRCUIT_OPEN, Policy, Probes, State, Switch, Trip},
    limit_concurrency::LimitConcurrencyLayer,
    retry::{Attempts, Budget, RetryLayer, RetryPolicy},
    timeout::TimeoutLayer,
};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, buffer::BufferLayer, limit::ConcurrencyLimitLayer};

use crate::{Get, SECOND, get, hangs_before_its_head, is_timeout};

const WAIT: Duration = Duration::from_millis(100);

/// Three attempts, between which it waits so long, and no budget to run out.
fn policy() -> RetryPolicy {
    RetryPolicy::http().backoff(Backoff::constant(WAIT)).budget(Budget::unlimited())
}

fn retry() -> RetryLayer {
    RetryLayer::new(policy())
}

/// Answers 503 to the first calls, and then 200, always with so many bytes.
#[derive(Clone)]
struct Upstream {
    calls: Arc<AtomicUsize>,
    failing: usize,
    bytes: usize,
}

impl Upstream {
    fn failing(failing: usize, bytes: usize) -> Self {
        Self { calls: Arc::default(), failing, bytes }
    }

    fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }
}

impl<B> Service<Request<B>> for Upstream {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let mut response = Response::new(Full::from(vec![0; self.bytes]));
        if self.calls.fetch_add(1, Relaxed) < self.failing {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        ready(Ok(response))
    }
}

fn fails() -> Probe {
    Probe::new().with_head(Pace::AtOnce, Act::Fail)
}

/// A small answer is read at once and lets go of its permit; a large one keeps it until right before the
/// next attempt, which it does not refuse.
#[tokio::test(start_paused = true)]
async fn a_limit_inside_a_retry_is_free_while_that_waits() {
    for (bytes, held) in [(5, 0), (8 << 10, 0), (100_000, 1)] {
        let (limit, upstream) = (LimitConcurrencyLayer::new(1), Upstream::failing(2, bytes));
        let service = retry().layer(limit.layer(upstream.clone()));
        let in_flight = limit.handle();
        let (answer, ()) = tokio::join!(get(service), async {
            sleep(WAIT / 2).await;
            assert_eq!((in_flight.in_flight(), in_flight.admitted()), (held, 1), "{bytes}");
        });
        assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (200, 3));
        assert_eq!((upstream.calls(), in_flight.rejected()), (3, 0));
        drop(answer);
        assert_eq!(in_flight.in_flight(), 0);
    }
}

/// Outside, who waits for nothing keeps others out.
#[tokio::test(start_paused = true)]
async fn a_limit_outside_a_retry_refuses_others_while_that_waits() {
    for (outside, other) in [(false, 200), (true, 429)] {
        let (limit, upstream) = (LimitConcurrencyLayer::new(1), Upstream::failing(1, 0));
        let later = async || sleep(WAIT / 2).await;
        let statuses = if outside {
            let service = limit.layer(retry().layer(upstream));
            let second = async || {
                later().await;
                get(service.clone()).await.status()
            };
            let (first, second) = tokio::join!(get(service.clone()), second());
            [first.status(), second]
        } else {
            let service = retry().layer(limit.layer(upstream));
            let second = async || {
                later().await;
                get(service.clone()).await.status()
            };
            let (first, second) = tokio::join!(get(service.clone()), second());
            [first.status(), second]
        };
        assert_eq!(statuses.map(|status| status.as_u16()), [200, other]);
    }
}

fn breaker(open: Duration) -> (BreakerLayer, Switch) {
    let policy = Policy::new(Trip::consecutive(2))
        .with_open(Backoff::constant(open))
        .with_probes(Probes::new(1));
    let layer = BreakerLayer::new(policy);
    let switch = layer.handle();
    (layer, switch)
}

/// What it says of when to come back holds for a retry too: later than is waited, it is not asked at all.
#[tokio::test(start_paused = true)]
async fn a_breaker_inside_a_retry_is_not_hammered_while_it_is_open() {
    let ((breaker, switch), probe, retry) = (breaker(60 * SECOND), fails(), retry());
    let service = retry.layer(breaker.layer(probe.clone()));
    // The third attempt is refused, and there is no fourth.
    let refused = get(service.clone()).await;
    assert_eq!(Rejection::of(&refused).unwrap().reason(), CIRCUIT_OPEN);
    assert_eq!((probe.tally().calls, retry.handle().exhausted()), (2, 1));
    let began = Instant::now();
    for answer in join_all((0..50).map(|_| get(service.clone()))).await {
        assert_eq!(Rejection::of(&answer).unwrap().reason(), CIRCUIT_OPEN);
    }
    assert_eq!((began.elapsed(), probe.tally().calls), (Duration::ZERO, 2));
    assert_eq!((switch.stats().refused, retry.handle().too_late()), (51, 50));
}

/// Who waits until then comes back when it may be probed, one after the other, and none before.
#[tokio::test(start_paused = true)]
async fn a_breaker_inside_a_retry_is_asked_again_when_it_said() {
    for well in [true, false] {
        let ((breaker, switch), probe) = (breaker(3 * SECOND), fails());
        let service = retry().layer(breaker.layer(probe.clone()));
        get(service.clone()).await;
        assert_eq!((switch.state(), probe.tally().calls), (State::Open, 2));
        let (answers, ()) = tokio::join!(
            join_all((0..50).map(|_| service.clone().oneshot(Get::default()))),
            async {
                sleep(2 * SECOND).await;
                assert_eq!(probe.tally().calls, 2, "before it may");
                if well {
                    probe.replan(|plan| plan.head.1 = Act::Succeed);
                }
            }
        );
        let answered = answers
            .iter()
            .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 200));
        if well {
            assert_eq!((answered.count(), probe.tally().calls), (50, 52));
        } else {
            // One probe for the second attempts of all, and one for their third.
            assert_eq!((answered.count(), probe.tally().calls), (0, 4));
            assert_eq!(switch.stats().opened, 3);
        }
    }
}

/// Outside, it sees one outcome of three attempts: it opens after three times as many calls, or not at all.
#[tokio::test(start_paused = true)]
async fn a_breaker_outside_a_retry_sees_only_what_came_of_it_in_the_end() {
    for (outside, calls) in [(false, 2), (true, 6)] {
        let ((breaker, switch), probe) = (breaker(60 * SECOND), fails());
        while switch.state() == State::Closed {
            if outside {
                let service = breaker.layer(retry().layer(probe.clone()));
                service.oneshot(Get::default()).await.unwrap_err();
            } else {
                // The third attempt is refused, which is an answer.
                get(retry().layer(breaker.layer(probe.clone()))).await;
            }
        }
        assert_eq!(probe.tally().calls, calls);
    }
    let ((breaker, switch), upstream) = (breaker(60 * SECOND), Upstream::failing(2, 0));
    let answer = get(breaker.layer(retry().layer(upstream.clone()))).await;
    assert_eq!((answer.status().as_u16(), upstream.calls()), (200, 3));
    assert_eq!((switch.state(), switch.stats().failures), (State::Closed, 0));
}

const TOTAL: Duration = Duration::from_millis(950);
const ATTEMPT: Duration = Duration::from_millis(400);

/// The second attempt is over at 900 ms, and another could only begin at 1,000.
#[tokio::test(start_paused = true)]
async fn a_total_deadline_that_is_shared_ends_a_retry_that_has_no_time_left() {
    let (total, attempt) = (TimeoutLayer::client(TOTAL).shared(), TimeoutLayer::client(ATTEMPT));
    let (retry, probe) = (retry(), hangs_before_its_head());
    let began = Instant::now();
    let answer = get(total.layer(retry.layer(attempt.layer(probe.clone())))).await;
    assert!(is_timeout(&answer));
    assert_eq!((began.elapsed(), probe.tally().calls), (2 * ATTEMPT + WAIT, 2));
    assert_eq!((total.handle().timed_out(), attempt.handle().timed_out()), (0, 2));
    assert_eq!((retry.handle().too_late(), retry.handle().budget().taken()), (1, 1));
}

/// Else it goes on as if there were time, waits for nothing, and takes from the budget for it.
#[tokio::test(start_paused = true)]
async fn a_total_deadline_that_is_not_shared_cuts_a_retry_off_as_it_waits() {
    let (total, attempt) = (TimeoutLayer::client(TOTAL), TimeoutLayer::client(ATTEMPT));
    let (retry, probe) = (retry(), hangs_before_its_head());
    let began = Instant::now();
    let answer = get(total.layer(retry.layer(attempt.layer(probe.clone())))).await;
    assert!(is_timeout(&answer));
    assert_eq!((began.elapsed(), probe.tally().calls), (TOTAL, 2));
    assert_eq!((total.handle().timed_out(), attempt.handle().timed_out()), (1, 2));
    assert_eq!((retry.handle().too_late(), retry.handle().budget().taken()), (0, 2));
    assert_eq!(retry.handle().budget().in_use(), 0);
}

/// An attempt that is still under way at the total's end has been cut off by that.
#[tokio::test(start_paused = true)]
async fn no_attempt_goes_on_past_the_total_deadline() {
    for total in (100..1_500).step_by(50).map(Duration::from_millis) {
        let timeout = TimeoutLayer::client(total).shared();
        let probe = hangs_before_its_head();
        let attempt = TimeoutLayer::client(ATTEMPT);
        let began = Instant::now();
        let answer = get(timeout.layer(retry().layer(attempt.layer(probe.clone())))).await;
        assert!(is_timeout(&answer) && began.elapsed() <= total, "{total:?}");
        assert_eq!(probe.tally().in_flight, 0);
    }
}

/// What was meant for the whole is then given to each attempt.
#[tokio::test(start_paused = true)]
async fn a_total_timeout_inside_a_retry_is_three_times_as_long() {
    let (total, probe) = (TimeoutLayer::client(TOTAL).shared(), hangs_before_its_head());
    let began = Instant::now();
    assert!(is_timeout(&get(retry().layer(total.layer(probe.clone()))).await));
    assert_eq!((began.elapsed(), probe.tally().calls), (3 * TOTAL + 2 * WAIT, 3));
}

/// The inner one leaves second attempts to the outer.
#[tokio::test(start_paused = true)]
async fn two_retries_by_mistake_are_five_calls_and_not_nine() {
    let (outer, inner, probe) = (retry(), retry(), fails());
    let service = outer.layer(inner.layer(probe.clone()));
    service.oneshot(Get::default()).await.unwrap_err();
    assert_eq!(probe.tally().calls, 5);
    assert_eq!((outer.handle().retried(), inner.handle().retried()), (2, 2));
}

/// A probe panics when it is called and was not ready.
#[tokio::test(start_paused = true)]
async fn what_is_inside_a_retry_is_readied_before_each_attempt() {
    let (probe, buffered, shed) = (fails(), fails(), fails());
    let limited = retry().layer(ConcurrencyLimitLayer::new(1).layer(probe.clone()));
    limited.oneshot(Get::default()).await.unwrap_err();
    let buffer = BufferLayer::new(1).layer(buffered.clone());
    retry().layer(buffer).oneshot(Get::default()).await.map(drop).unwrap_err();
    let stack = tower::ServiceBuilder::new().load_shed().concurrency_limit(1);
    let stack = stack.service(shed.clone());
    retry().layer(stack).oneshot(Get::default()).await.map(drop).unwrap_err();
    for probe in [probe, buffered, shed] {
        assert_eq!((probe.tally().calls, probe.tally().in_flight), (3, 0));
    }
}

/// It takes no place while it waits, and waits for none after that.
#[tokio::test(start_paused = true)]
async fn a_queue_inside_a_retry_is_not_stood_in_twice() {
    let probe = fails();
    let (layer, limit) = (retry(), ConcurrencyLimitLayer::new(1).layer(probe.clone()));
    let service = layer.layer(limit.clone());
    let began = Instant::now();
    let (answer, ()) = tokio::join!(service.oneshot(Get::default()), async {
        sleep(WAIT / 2).await;
        probe.replan(|plan| plan.head.0 = Pace::After(SECOND));
        // There is room, and so this goes in.
        limit.oneshot(Get::default()).await.unwrap_err();
    });
    answer.unwrap_err();
    assert_eq!((layer.handle().not_ready(), layer.handle().retried()), (1, 0));
    assert_eq!((probe.tally().calls, began.elapsed()), (2, WAIT / 2 + SECOND));
}
