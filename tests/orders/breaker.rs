//! Where a breaker stands.

use http::Response;
use http_body::Body;
use palisade::{
    Backoff, Rejection,
    breaker::{BreakerLayer, CIRCUIT_OPEN, Policy, Probes, State, Switch, Trip},
    limit_concurrency::LimitConcurrencyLayer,
    timeout::TimeoutLayer,
};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::{Get, SECOND, get, hangs_before_its_head, hangs_in_its_body, is_timeout};

fn breaker(trip: Trip) -> (BreakerLayer, Switch) {
    let policy = Policy::new(trip)
        .with_open(Backoff::constant(5 * SECOND))
        .with_probes(Probes::new(1).lease(10 * SECOND));
    let layer = BreakerLayer::new(policy);
    let switch = layer.handle();
    (layer, switch)
}

fn is_open<B>(response: &Response<B>) -> bool {
    Rejection::of(response).is_some_and(|rejection| rejection.reason() == CIRCUIT_OPEN)
}

fn fails() -> Probe {
    Probe::new().with_head(Pace::AtOnce, Act::Fail)
}

async fn times_out<S, B>(service: S, times: usize)
where
    S: Service<Get, Response = Response<B>, Error: std::fmt::Debug> + Clone,
    B: Body,
{
    for _ in 0..times {
        assert!(is_timeout(&get(service.clone()).await));
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_outside_a_timeout_takes_its_answers_for_failures() {
    let (breaker, switch) = breaker(Trip::consecutive(2));
    let service = breaker.layer(TimeoutLayer::client(SECOND).layer(hangs_before_its_head()));
    times_out(service.clone(), 2).await;
    assert_eq!(switch.state(), State::Open);
    assert!(is_open(&get(service).await));
}

/// The other way round calls are only given up, as by a caller that lost interest, and an upstream that
/// hangs is asked for ever.
#[tokio::test(start_paused = true)]
async fn a_breaker_inside_a_timeout_learns_nothing_of_what_hangs() {
    let (breaker, switch) = breaker(Trip::consecutive(2));
    let service = TimeoutLayer::client(SECOND).layer(breaker.layer(hangs_before_its_head()));
    times_out(service, 50).await;
    let stats = switch.stats();
    assert_eq!((stats.state, stats.calls, stats.ignored), (State::Closed, 0, 50));
}

/// Unless it was told what is slow, and that is less than the timeout's limit.
#[tokio::test(start_paused = true)]
async fn a_breaker_inside_a_timeout_is_to_know_what_is_slow() {
    for (slow, state) in [(SECOND, State::Open), (3 * SECOND, State::Closed)] {
        let (breaker, switch) = breaker(Trip::slow(slow, 1.0).min(2));
        let service =
            TimeoutLayer::client(2 * SECOND).layer(breaker.layer(hangs_before_its_head()));
        times_out(service, 2).await;
        assert_eq!(switch.state(), state, "{slow:?}");
    }
}

/// As a total deadline is, around the one of an attempt: what is refused is refused in no time.
#[tokio::test(start_paused = true)]
async fn between_two_timeouts_the_inner_one_is_the_one_that_counts() {
    let (breaker, switch) = breaker(Trip::consecutive(2));
    let attempt = TimeoutLayer::client(SECOND);
    let total = TimeoutLayer::client(5 * SECOND).shared();
    let service = total.layer(breaker.layer(attempt.layer(hangs_before_its_head())));
    times_out(service.clone(), 2).await;
    assert!(is_open(&get(service).await));
    assert_eq!((attempt.handle().timed_out(), total.handle().timed_out()), (2, 0));
    assert_eq!(switch.stats().refused, 1);

    // Where the total ends first, no attempt has failed.
    let (breaker, switch) = self::breaker(Trip::consecutive(2));
    let total = TimeoutLayer::client(SECOND / 2).shared();
    let service = total.layer(breaker.layer(attempt.layer(hangs_before_its_head())));
    times_out(service, 9).await;
    assert_eq!((switch.state(), switch.stats().ignored), (State::Closed, 9));
}

/// A limit that is full has not asked the service. Nor does it keep an upstream from being probed.
#[tokio::test(start_paused = true)]
async fn a_full_limit_inside_a_breaker_is_no_failure() {
    let (breaker, switch) = breaker(Trip::consecutive(2));
    let limit = LimitConcurrencyLayer::new(1);
    let held = get(limit.layer(hangs_in_its_body())).await;
    let probe = Probe::new();
    let service = breaker.layer(limit.layer(probe.clone()));
    for _ in 0..50 {
        assert_eq!(get(service.clone()).await.status(), 429);
    }
    let stats = switch.stats();
    assert_eq!((stats.state, stats.calls, stats.ignored), (State::Closed, 0, 50));

    for _ in 0..2 {
        breaker.layer(fails()).oneshot(Get::default()).await.unwrap_err();
    }
    advance(5 * SECOND).await;
    assert_eq!(get(service.clone()).await.status(), 429);
    assert_eq!((switch.state(), switch.stats().probes_in_flight), (State::HalfOpen, 0));
    drop(held);
    assert_eq!(get(service).await.status(), 200);
    assert_eq!((switch.state(), probe.tally().calls), (State::Closed, 1));
}

/// Outside, it has places taken by refusals, if only for as long as they are read.
#[tokio::test(start_paused = true)]
async fn a_limit_outside_a_breaker_holds_a_permit_for_its_refusals() {
    let (breaker, switch) = breaker(Trip::consecutive(2));
    let limit = LimitConcurrencyLayer::new(1);
    let in_flight = limit.handle();
    switch.force_open();
    let refused = get(limit.layer(breaker.layer(Probe::new()))).await;
    assert!(is_open(&refused));
    assert_eq!(in_flight.in_flight(), 1);
    drop(refused);
    let refused = get(breaker.layer(limit.layer(Probe::new()))).await;
    assert!(is_open(&refused));
    assert_eq!(in_flight.in_flight(), 0);
}

/// Say one of an upstream, inside one of all that stand in the same place: what is broken does not take
/// along what is beside it.
#[tokio::test(start_paused = true)]
async fn of_two_breakers_the_outer_one_does_not_count_the_inner_ones_refusals() {
    let ((outer, all), (inner, one)) =
        (breaker(Trip::consecutive(3)), breaker(Trip::consecutive(2)));
    let (beside, broken) = (outer.layer(Probe::new()), outer.layer(inner.layer(fails())));
    for _ in 0..2 {
        broken.clone().oneshot(Get::default()).await.unwrap_err();
    }
    for _ in 0..50 {
        assert!(is_open(&get(broken.clone()).await));
    }
    assert_eq!((one.state(), all.state(), all.stats().ignored), (State::Open, State::Closed, 50));
    assert_eq!(get(beside).await.status(), 200);
}
