//! What the layer does, in paused time.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod edges;
mod streams;

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, response::Parts};
use http_body_util::Full;
use palisade_breaker::{
    BreakerLayer, CIRCUIT_OPEN, Cause, Mode, Policy, Probes, State, Switch, Trip,
};
use palisade_core::{Backoff, GrpcCode, Outcome, Reason, Rejection, Sent};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

/// Opens after two failures in a row, for five seconds, and asks one probe.
fn policy() -> Policy {
    Policy::new(Trip::consecutive(2))
        .with_open(Backoff::constant(5 * SECOND))
        .with_probes(Probes::new(1))
}

fn get() -> Request<()> {
    Request::new(())
}

fn grpc() -> Request<()> {
    Request::post("/a.B/C").header("content-type", "application/grpc").body(()).unwrap()
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Sends a request for an answer of this status.
async fn send(layer: &BreakerLayer, status: u16) -> Response<()> {
    let inner = service_fn(move |_| ready(Ok::<_, Infallible>(answer(status))));
    layer.layer(inner).oneshot(get()).await.unwrap().map(drop)
}

async fn opened() -> (BreakerLayer, Switch) {
    let layer = BreakerLayer::new(policy());
    send(&layer, 500).await;
    send(&layer, 500).await;
    let switch = layer.handle();
    assert_eq!(switch.state(), State::Open);
    (layer, switch)
}

#[tokio::test(start_paused = true)]
async fn it_opens_refuses_probes_and_closes() {
    let (layer, switch) = opened().await;
    let refused = send(&layer, 200).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "5");
    let rejection = Rejection::of(&refused).unwrap();
    assert_eq!((rejection.reason(), rejection.sent()), (CIRCUIT_OPEN, Sent::No));
    advance(4 * SECOND).await;
    assert_eq!(send(&layer, 200).await.headers()["retry-after"], "1");
    advance(SECOND).await;
    assert_eq!(switch.state(), State::HalfOpen, "without any traffic");
    assert_eq!(send(&layer, 200).await.status(), 200);
    assert_eq!(switch.state(), State::Closed);
    let stats = switch.stats();
    assert_eq!((stats.opened, stats.refused, stats.total_failures), (1, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_client_is_told_unavailable_and_when_to_come_back() {
    let (layer, _) = opened().await;
    let refused = layer.layer(Probe::new()).oneshot(grpc()).await.unwrap();
    assert_eq!(refused.status(), 200);
    assert_eq!(refused.headers()["grpc-status"], "14");
    assert_eq!(refused.headers()["grpc-retry-pushback-ms"], "5000");
    let layer = layer.with_status(StatusCode::TOO_MANY_REQUESTS);
    let refused = layer.layer(Probe::new()).oneshot(grpc()).await.unwrap();
    assert_eq!(Rejection::of(&refused).unwrap().grpc_code(), GrpcCode::ResourceExhausted);
}

#[test]
#[should_panic(expected = "the status of a refusal must be 4xx or 5xx, not 200 OK")]
fn a_refusal_cannot_look_like_success() {
    let _ = BreakerLayer::default().with_status(StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_callers_faults_are_nobodys_failures() {
    let layer = BreakerLayer::new(policy());
    for status in [404, 400, 501, 500, 401, 505, 429, 409] {
        send(&layer, status).await;
    }
    assert_eq!(layer.handle().state(), State::Closed, "a row of one");
    send(&layer, 503).await;
    assert_eq!(layer.handle().state(), State::Open);
}

/// Trap 11.
#[tokio::test(start_paused = true)]
async fn a_refusal_by_a_layer_inside_says_nothing_of_the_service() {
    const FULL: Reason = Reason::new("at-capacity");
    let layer = BreakerLayer::new(policy());
    for (sent, state) in [(Sent::No, State::Closed), (Sent::Maybe, State::Open)] {
        let refusing = service_fn(move |_: Request<()>| {
            let rejection = Rejection::new(FULL, StatusCode::SERVICE_UNAVAILABLE).with_sent(sent);
            ready(Ok::<_, Infallible>(rejection.respond(palisade_core::Protocol::Http)))
        });
        for _ in 0..3 {
            let answer = layer.layer(refusing).oneshot(get()).await.unwrap();
            assert!(Rejection::of(&answer).is_some());
        }
        assert_eq!(layer.handle().state(), state, "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_passes_as_it_is_and_is_a_failure() {
    let layer = BreakerLayer::new(policy());
    let probe = Probe::new().with_head(Pace::AtOnce, Act::Fail);
    for _ in 0..2 {
        layer.layer(probe.clone()).oneshot(get()).await.unwrap_err();
    }
    assert_eq!(layer.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_of_ones_own_decides() {
    let classifier = |result: Result<&Parts, &Infallible>| match result {
        Ok(parts) if parts.status == 404 => Outcome::Failure,
        _ => Outcome::Success,
    };
    let layer = BreakerLayer::new(policy());
    let switch = layer.handle();
    let layer = layer.with_classifier(classifier);
    for _ in 0..2 {
        let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(answer(404))));
        layer.layer(inner).oneshot(get()).await.unwrap();
    }
    assert_eq!(switch.state(), State::Open, "the handle is still the layer's");
}

/// Traps 6 and 17, defect D4.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_a_failure_once_it_was_slow_and_nothing_before() {
    let layer =
        BreakerLayer::new(policy().with_trip(Trip::consecutive(2).or(Trip::slow(2 * SECOND, 1.0))));
    for (patience, state) in [(1, State::Closed), (2, State::Open)] {
        for _ in 0..5 {
            let hanging =
                service_fn(|_: Request<()>| pending::<Result<Response<Full<Bytes>>, Infallible>>());
            let call = layer.layer(hanging).oneshot(get());
            let given_up = tokio::time::timeout(patience * SECOND, call).await;
            assert!(given_up.is_err() || state == State::Open);
        }
        assert_eq!(layer.handle().state(), state, "{patience} s");
    }
}

/// Trap 12.
#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure() {
    for stage in [0, 1] {
        let layer = BreakerLayer::new(policy());
        let probe = Probe::new();
        probe.replan(|plan| match stage {
            0 => plan.call_panics = true,
            _ => plan.head.1 = Act::Panic,
        });
        for _ in 0..2 {
            let mut service = layer.layer(probe.clone());
            let call = || {
                let mut cx = Context::from_waker(Waker::noop());
                assert!(Service::<Request<()>>::poll_ready(&mut service, &mut cx).is_ready());
                let _ = pin!(service.call(get())).poll(&mut cx);
            };
            assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        }
        assert_eq!(layer.handle().state(), State::Open, "stage {stage}");
    }
}

/// A task that dies while its call is in flight says nothing of the service.
#[tokio::test(start_paused = true)]
async fn a_panic_beside_a_call_is_no_failure() {
    let layer = BreakerLayer::new(policy());
    for _ in 0..3 {
        let probe = Probe::new().with_head(Pace::Never, Act::Succeed);
        let call = || {
            let mut future = pin!(layer.layer(probe).oneshot(get()));
            let mut cx = Context::from_waker(Waker::noop());
            assert!(future.as_mut().poll(&mut cx).is_pending());
            panic!("something else")
        };
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    }
    assert_eq!(layer.handle().state(), State::Closed);
}

/// Traps 3 and 5.
#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_or_ignored_gives_its_place_back() {
    let (layer, switch) = opened().await;
    advance(5 * SECOND).await;
    let probe = Probe::new().with_head(Pace::Never, Act::Succeed);
    for _ in 0..3 {
        let mut service = layer.layer(probe.clone());
        drop(ServiceExt::<Request<()>>::ready(&mut service).await.unwrap().call(get()));
        assert_eq!(send(&layer, 404).await.status(), 404);
        assert_eq!((switch.state(), switch.stats().probes_in_flight), (State::HalfOpen, 0));
    }
    assert_eq!(send(&layer, 200).await.status(), 200);
    assert_eq!(switch.state(), State::Closed);
}

/// Traps 4 and 9.
#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_keeps_others_out_until_its_lease_is_over() {
    let (layer, switch) = opened().await;
    advance(5 * SECOND).await;
    let probe = Probe::new().with_head(Pace::Never, Act::Succeed);
    let mut service = layer.layer(probe);
    let _hanging = ServiceExt::<Request<()>>::ready(&mut service).await.unwrap().call(get());
    for _ in 0..9 {
        let refused = send(&layer, 200).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
    }
    advance(30 * SECOND).await;
    assert_eq!(send(&layer, 200).await.status(), 503);
    assert_eq!(switch.state(), State::Open);
    assert_eq!(switch.stats().opened, 2);
}

/// Trap 1, defect D3.
#[tokio::test(start_paused = true)]
async fn what_was_sent_before_it_opened_decides_nothing_after() {
    let layer = BreakerLayer::new(policy());
    let probe = Probe::new().with_head(Pace::After(7 * SECOND), Act::Succeed);
    let early = tokio::spawn(layer.layer(probe).oneshot(get()));
    tokio::task::yield_now().await;
    send(&layer, 500).await;
    send(&layer, 500).await;
    advance(6 * SECOND).await;
    assert_eq!(layer.handle().state(), State::HalfOpen);
    early.await.unwrap().unwrap();
    assert_eq!(layer.handle().state(), State::HalfOpen);
    assert_eq!(layer.handle().stats().late, 1);
}

/// Defect D5.
#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_share_its_circuit() {
    let (layer, _) = opened().await;
    assert_eq!(send(&layer.clone(), 200).await.status(), 503);
    let stacked = layer.layer(Probe::new());
    assert_eq!(stacked.clone().oneshot(get()).await.unwrap().status(), 503);
}

/// Trap 21, tower-resilience#381.
#[tokio::test(start_paused = true)]
async fn while_it_is_open_the_inner_service_is_not_asked() {
    let (layer, _) = opened().await;
    let probe = Probe::new().with_ready(Pace::Never, Act::Succeed);
    for _ in 0..3 {
        let answer = layer.layer(probe.clone()).oneshot(get()).await.unwrap();
        assert_eq!(answer.status(), 503);
    }
    assert_eq!((probe.tally().readiness_polls, probe.tally().calls), (0, 0));
}

/// Trap 19: the probe panics when it is called without having been ready.
#[tokio::test(start_paused = true)]
async fn who_was_told_ready_on_the_ground_of_a_refusal_is_refused() {
    let (layer, switch) = opened().await;
    let probe = Probe::new();
    let mut service = layer.layer(probe.clone());
    ServiceExt::<Request<()>>::ready(&mut service).await.unwrap();
    advance(5 * SECOND).await;
    assert_eq!(switch.state(), State::HalfOpen);
    let refused = service.call(get()).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(switch.stats().probes_in_flight, 0);
    let service = ServiceExt::<Request<()>>::ready(&mut service).await.unwrap();
    assert_eq!(service.call(get()).await.unwrap().status(), 200);
    assert_eq!(probe.tally().calls, 1);
}

/// Trap 18.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_ready_and_idle_holds_no_probe() {
    let (layer, switch) = opened().await;
    advance(5 * SECOND).await;
    let mut idle = [layer.layer(Probe::new()), layer.layer(Probe::new())];
    for service in &mut idle {
        ServiceExt::<Request<()>>::ready(service).await.unwrap();
    }
    assert_eq!(send(&layer, 200).await.status(), 200);
    assert_eq!(switch.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_operator_forces_it_and_lets_it_go_again() {
    let layer = BreakerLayer::new(policy());
    let switch = layer.handle();
    switch.force_open();
    let refused = send(&layer, 200).await;
    assert_eq!(refused.status(), 503);
    assert!(!refused.headers().contains_key("retry-after"), "nobody knows when");
    switch.automatic();
    assert_eq!(send(&layer, 500).await.status(), 500);
    switch.force_closed();
    for _ in 0..5 {
        assert_eq!(send(&layer, 500).await.status(), 500);
    }
    assert_eq!((switch.state(), switch.mode()), (State::Closed, Mode::ForcedClosed));
    switch.reset();
    switch.observe_only();
    for _ in 0..5 {
        assert_eq!(send(&layer, 500).await.status(), 500);
    }
    assert_eq!((switch.state(), switch.stats().observed), (State::Open, 3));
    switch.automatic();
    assert_eq!(send(&layer, 200).await.status(), 503);
    switch.reset();
    assert_eq!(send(&layer, 200).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn whoever_subscribed_is_told_all_transitions_in_order() {
    let layer = BreakerLayer::new(policy());
    let mut transitions = layer.handle().subscribe();
    let told = tokio::spawn(async move {
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(transitions.next().await.unwrap());
        }
        told
    });
    send(&layer, 500).await;
    send(&layer, 500).await;
    advance(5 * SECOND).await;
    send(&layer, 200).await;
    let told = told.await.unwrap();
    let causes: Vec<_> = told.iter().map(|one| (one.sequence, one.to, one.cause)).collect();
    assert_eq!(
        causes,
        [
            (1, State::Open, Cause::Consecutive),
            (2, State::HalfOpen, Cause::OpenTimeOver),
            (3, State::Closed, Cause::ProbesPassed),
        ]
    );
    let mut late = layer.handle().subscribe();
    assert!(late.try_next().is_none(), "what was before is not told");
}

/// Defect D6: what is behind an error is still found.
#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_its_source_for_the_log() {
    let (layer, _) = opened().await;
    let refused = send(&layer, 200).await;
    let source = std::error::Error::source(Rejection::of(&refused).unwrap()).unwrap();
    assert_eq!(source.to_string(), "the circuit is open");
}
