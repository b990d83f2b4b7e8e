//! What goes wrong where layers stand in another order than ARCHITECTURE.md's.
//!
//! Each test states what the right order gives and what the wrong one costs.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod orders;

use std::{num::NonZeroU32, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use palisade::{
    Rejection,
    key::Global,
    limit_concurrency::{InFlight, LimitConcurrencyLayer},
    limit_rate::{LimitRateLayer, Quota},
    timeout::{BodyLimit, TIMED_OUT, TimeoutLayer},
};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

fn limit() -> (LimitConcurrencyLayer, InFlight) {
    let layer = LimitConcurrencyLayer::new(1);
    let in_flight = layer.handle();
    (layer, in_flight)
}

/// Answers at once, with a body that never comes to its end.
fn hangs_in_its_body() -> Probe {
    Probe::new().with_body(2, Pace::Never)
}

fn hangs_before_its_head() -> Probe {
    Probe::new().with_head(Pace::Never, Act::Succeed)
}

/// What is asked: a retry needs a body that is one.
type Get = Request<Empty<Bytes>>;

async fn get<S, B>(service: S) -> Response<B>
where
    S: Service<Get, Response = Response<B>, Error: std::fmt::Debug>,
{
    service.oneshot(Get::default()).await.unwrap()
}

fn is_timeout<B>(response: &Response<B>) -> bool {
    Rejection::of(response).is_some_and(|rejection| rejection.reason() == TIMED_OUT)
}

async fn read_to_the_end<B: Body<Error: std::fmt::Debug>>(response: Response<B>) -> bool {
    response.into_body().collect().await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_the_limit_has_the_permit_back_before_it_answers() {
    let (limit, in_flight) = limit();
    let service = TimeoutLayer::server(SECOND).layer(limit.layer(hangs_before_its_head()));
    let began = Instant::now();
    let response = get(service).await;
    assert!(is_timeout(&response));
    assert_eq!((began.elapsed(), in_flight.in_flight()), (SECOND, 0));
    assert_eq!(in_flight.admitted(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_the_limit_has_the_permit_back_when_it_cuts_a_body_off() {
    let (limit, in_flight) = limit();
    let service = TimeoutLayer::server(SECOND).layer(limit.layer(hangs_in_its_body()));
    let began = Instant::now();
    let mut body = get(service).await.into_body();
    assert_eq!(in_flight.in_flight(), 1);
    body.frame().await.unwrap().unwrap_err();
    assert_eq!((began.elapsed(), in_flight.in_flight()), (SECOND, 0), "while the body is there");
    drop(body);
}

/// The other way round, whoever does not read its refusal to the end keeps the permit.
#[tokio::test(start_paused = true)]
async fn a_timeout_inside_the_limit_leaves_the_permit_to_whoever_holds_its_answer() {
    let (limit, in_flight) = limit();
    let service = limit.layer(TimeoutLayer::server(SECOND).layer(hangs_before_its_head()));
    let response = get(service).await;
    assert!(is_timeout(&response));
    assert_eq!(in_flight.in_flight(), 1);
    assert!(read_to_the_end(response).await);
    assert_eq!(in_flight.in_flight(), 0);
}

/// The time a request waits for room counts only if the timeout stands outside of what it waits in.
#[tokio::test(start_paused = true)]
async fn a_timeout_bounds_only_what_is_inside_of_it() {
    let queue = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    let slow = || Probe::new().with_head(Pace::After(3 * SECOND), Act::Succeed);
    let inside = queue.layer(TimeoutLayer::server(4 * SECOND).layer(slow()));
    let (first, (second, took)) = tokio::join!(get(inside.clone()), async {
        let began = Instant::now();
        (get(inside.clone()).await, began.elapsed())
    });
    assert!(!is_timeout(&first) && !is_timeout(&second));
    assert_eq!(took, 6 * SECOND, "two seconds over the limit");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_meant_to_stay_open_needs_another_rule_than_within() {
    let stream = || Probe::new().with_body(5, Pace::After(SECOND));
    let strict = TimeoutLayer::server(2 * SECOND);
    assert!(!read_to_the_end(get(strict.clone().layer(stream())).await).await);
    let idle = strict.with_body(BodyLimit::Idle(2 * SECOND));
    assert!(read_to_the_end(get(idle.layer(stream())).await).await);
}

#[tokio::test(start_paused = true)]
async fn a_total_deadline_outside_is_what_an_attempt_inside_keeps_to() {
    let total = TimeoutLayer::client(2 * SECOND).shared();
    let attempt = TimeoutLayer::client(5 * SECOND);
    let outside = total.layer(attempt.layer(hangs_before_its_head()));
    let began = Instant::now();
    assert!(is_timeout(&get(outside).await));
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert_eq!((total.handle().timed_out(), attempt.handle().timed_out()), (1, 0));
}

fn a_token_an_hour() -> LimitRateLayer<Global> {
    LimitRateLayer::new(Quota::per_hour(NonZeroU32::MIN), Global)
}

/// Who is refused by the limit of all has asked all the same. Where each client's share is what
/// counts, that is what it should: being turned away would otherwise be free.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_outside_the_concurrency_limit_charges_for_what_that_refuses() {
    for outside in [true, false] {
        let (limit, _) = limit();
        let (rate, probe) = (a_token_an_hour(), Probe::new());
        let _held = get(limit.layer(hangs_in_its_body())).await;
        let status = if outside {
            get(rate.layer(limit.layer(probe))).await.status()
        } else {
            get(limit.layer(rate.layer(probe))).await.status()
        };
        assert_eq!(status, 429);
        assert_eq!(rate.handle().get(&()).remaining(), u32::from(!outside));
    }
}

/// Inside of it, a refusal takes one of the places that are few, if only for as long as it is read.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_inside_the_concurrency_limit_holds_a_permit_for_its_refusals() {
    let (limit, in_flight) = limit();
    let rate = a_token_an_hour();
    get(rate.layer(Probe::new())).await;
    let refused = get(limit.layer(rate.layer(Probe::new()))).await;
    assert_eq!((refused.status().as_u16(), in_flight.in_flight()), (429, 1));
    drop(refused);
    let refused = get(rate.layer(limit.layer(Probe::new()))).await;
    assert_eq!((refused.status().as_u16(), in_flight.in_flight()), (429, 0));
}

/// A token is not given back by a request that then runs out of time, wherever the limit stands.
#[tokio::test(start_paused = true)]
async fn a_request_that_times_out_was_counted() {
    let (rate, timeout) = (a_token_an_hour(), TimeoutLayer::server(SECOND));
    assert!(is_timeout(&get(timeout.layer(rate.layer(hangs_before_its_head()))).await));
    assert_eq!(rate.handle().get(&()).remaining(), 0);
}

/// But where the answer decides what is charged, only a limit outside of the timeout sees one.
#[tokio::test(start_paused = true)]
async fn a_limit_that_charges_by_the_answer_has_none_inside_a_timeout() {
    for outside in [true, false] {
        let rate = a_token_an_hour().charge_when(|answer| answer.status != 200);
        let (timeout, hangs) = (TimeoutLayer::server(SECOND), hangs_before_its_head());
        let response = if outside {
            get(rate.layer(timeout.layer(hangs))).await.map(drop)
        } else {
            get(timeout.layer(rate.layer(hangs))).await.map(drop)
        };
        assert!(is_timeout(&response));
        assert_eq!(rate.handle().get(&()).remaining(), u32::from(!outside));
    }
}

/// Until the first answer nothing is charged, so that it alone does not bound who asks all at once.
#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_inside_bounds_what_is_let_in_before_the_first_answer() {
    for bounded in [true, false] {
        let rate = a_token_an_hour().charge_when(|answer| answer.status == 200);
        let slow = Probe::new().with_head(Pace::After(SECOND), Act::Succeed);
        let max = if bounded { 1 } else { 9 };
        let service = rate.layer(LimitConcurrencyLayer::new(max).layer(slow.clone()));
        let three = [(); 3].map(|()| get(service.clone()));
        let answers = futures_util::future::join_all(three).await;
        let let_in = answers.iter().filter(|answer| answer.status() == 200).count();
        assert_eq!(let_in, if bounded { 1 } else { 3 });
        assert_eq!(slow.tally().calls, let_in);
        assert_eq!(get(service).await.status(), 429);
    }
}
