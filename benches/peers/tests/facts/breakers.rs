//! Not to call what is broken. tower, tower-http and `tower_governor` have no breaker.

use axum::body::Body;
use http::{Request, Response};
use http_body_util::Empty;
use palisade::{
    Backoff,
    breaker::{BreakerLayer, Policy, Probes, State, Trip},
};
use std::time::Duration;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, CircuitState};

use crate::upstream::{Act, Asked, Broken, SECOND, Upstream, get};

async fn ask<S>(service: &S, request: Asked)
where
    S: Service<Asked> + Clone,
{
    let _ = service.clone().oneshot(request).await;
}

/// As long as it took to open by nothing but failures, after a thousand successes.
#[tokio::test(start_paused = true)]
async fn a_window_of_ten_calls_of_tower_resilience_is_one_of_all_since_the_circuit_changed() {
    let (layer, handle) = CircuitBreakerLayer::builder()
        .sliding_window_size(10)
        .failure_rate_threshold(0.5)
        .build_with_handle()
        .unwrap();
    let (well, broken) = (layer.layer(Upstream::hello()), layer.layer(Upstream::new(Act::Fails)));
    for _ in 0..1000 {
        ask(&well, get()).await;
    }
    let mut failures = 0;
    while handle.state() == CircuitState::Closed {
        ask(&broken, get()).await;
        failures += 1;
    }
    assert_eq!(failures, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_window_of_ten_seconds_of_palisade_is_one_of_the_last_ten_seconds() {
    let layer = BreakerLayer::new(Trip::rate(0.5).min(10).window(10 * SECOND));
    let (well, broken) = (layer.layer(Upstream::hello()), layer.layer(Upstream::new(Act::Fails)));
    for _ in 0..1000 {
        ask(&well, get()).await;
    }
    advance(11 * SECOND).await;
    let mut failures = 0;
    while layer.handle().state() == State::Closed {
        ask(&broken, get()).await;
        failures += 1;
    }
    assert_eq!(failures, 10);
}

/// Opens at two failures in a row.
async fn opens(act: Act, request: fn() -> Asked) -> [bool; 2] {
    let ours = BreakerLayer::new(Trip::consecutive(2));
    let (theirs, handle) =
        CircuitBreakerLayer::builder().consecutive_failures(2).build_with_handle().unwrap();
    let here = ours.layer(Upstream::new(act));
    let there = theirs.layer(Upstream::new(act));
    for _ in 0..20 {
        ask(&here, request()).await;
        ask(&there, request()).await;
    }
    [ours.handle().state() == State::Open, handle.state() == CircuitState::Open]
}

#[tokio::test(start_paused = true)]
async fn an_error_opens_both() {
    assert_eq!(opens(Act::Fails, get).await, [true, true]);
}

#[tokio::test(start_paused = true)]
async fn answers_500_open_palisade_s_and_by_default_not_tower_resilience_s() {
    assert_eq!(opens(Act::Answers(500), get).await, [true, false]);
}

#[tokio::test(start_paused = true)]
async fn answers_500_open_tower_resilience_s_if_a_classifier_says_so() {
    let failed = |answer: &Result<Response<Body>, Broken>| {
        answer.as_ref().map_or(true, |answer| answer.status().is_server_error())
    };
    let (layer, handle) = CircuitBreakerLayer::builder()
        .consecutive_failures(2)
        .failure_classifier(failed)
        .build_with_handle()
        .unwrap();
    let service = layer.layer(Upstream::new(Act::Answers(500)));
    ask(&service, get()).await;
    ask(&service, get()).await;
    assert_eq!(handle.state(), CircuitState::Open);
}

fn call() -> Asked {
    let call = Request::post("/menu.Menu/Today").header("content-type", "application/grpc");
    call.body(Empty::new()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn grpc_statuses_open_palisade_s_and_by_default_not_tower_resilience_s() {
    assert_eq!(opens(Act::AnswersGrpc("14"), call).await, [true, false]);
}

/// Answers when it is told to, by a sender that comes with the request.
type Told = tokio::sync::oneshot::Receiver<bool>;

fn told()
-> impl Service<Request<Told>, Response = Response<Body>, Error = Broken, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    service_fn(async |request: Request<Told>| {
        let well = request.into_body().await.unwrap();
        if well { Ok(Response::new(Body::empty())) } else { Err(Broken) }
    })
}

/// A call of before it opened succeeds while the one that is to find out is still under way.
#[tokio::test(start_paused = true)]
async fn an_old_success_closes_tower_resilience_s_circuit_and_not_palisade_s() {
    let (theirs, handle) = CircuitBreakerLayer::builder()
        .consecutive_failures(1)
        .wait_duration_in_open(Duration::ZERO)
        .build_with_handle()
        .unwrap();
    let there = theirs.layer(told());
    late(there, async || {}).await;
    assert_eq!(handle.state(), CircuitState::Closed);

    let policy = Policy::new(Trip::consecutive(1)).with_open(Backoff::constant(SECOND));
    let ours = BreakerLayer::new(policy.with_probes(Probes::new(1)));
    let here = ours.layer(told());
    late(here, async || advance(SECOND).await).await;
    assert_eq!(ours.handle().state(), State::HalfOpen);
}

async fn late<S>(service: S, opened: impl AsyncFn())
where
    S: Service<Request<Told>, Future: Send + 'static, Response: Send, Error: Send>
        + Clone
        + Send
        + 'static,
{
    let begin = |service: &S| {
        let (tell, told) = tokio::sync::oneshot::channel();
        let under_way = tokio::spawn(service.clone().oneshot(Request::new(told)));
        (tell, under_way)
    };
    let settle = async || {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    };
    let (old, old_call) = begin(&service);
    settle().await;
    let (fails, failure) = begin(&service);
    fails.send(false).unwrap();
    let _ = failure.await;
    opened().await;
    let (_probe, _under_way) = begin(&service);
    settle().await;
    old.send(true).unwrap();
    let _ = old_call.await;
    settle().await;
}
