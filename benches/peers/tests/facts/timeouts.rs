//! A bound on how long an exchange may take.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use palisade::timeout::TimeoutLayer;
use tokio::time::{Instant, timeout};
use tower::{
    BoxError, Layer, Service, ServiceExt,
    timeout::{TimeoutLayer as TowerTimeoutLayer, error::Elapsed},
};
use tower_http::timeout::{ResponseBodyDeadlineLayer, TimeoutLayer as HttpTimeoutLayer};
use tower_resilience_timelimiter::{FixedTimeout, TimeLimiterError, TimeLimiterLayer};

use crate::upstream::{Act, Asked, HOUR, SECOND, Upstream, get};

fn hangs() -> Upstream {
    Upstream::new(Act::Hangs)
}

fn tower_http() -> HttpTimeoutLayer {
    HttpTimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, SECOND)
}

fn tower_resilience() -> TimeLimiterLayer<FixedTimeout> {
    TimeLimiterLayer::builder().timeout_duration(SECOND).build()
}

#[tokio::test(start_paused = true)]
async fn out_of_time_palisade_answers_and_says_why() {
    for (layer, status) in
        [(TimeoutLayer::server(SECOND), 503), (TimeoutLayer::client(SECOND), 504)]
    {
        let response = layer.layer(hangs()).oneshot(get()).await.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(br#"{"type":"urn:palisade:timed-out""#));
    }
}

#[tokio::test(start_paused = true)]
async fn out_of_time_tower_fails_with_a_boxed_error() {
    let timeout = TowerTimeoutLayer::new(SECOND).layer(hangs());
    let error: BoxError = timeout.oneshot(get()).await.unwrap_err();
    assert!(error.is::<Elapsed>());
}

#[tokio::test(start_paused = true)]
async fn out_of_time_tower_http_answers_with_a_status_of_one_s_choice_and_an_empty_body() {
    let response = tower_http().layer(hangs()).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 504);
    assert!(response.into_body().is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn out_of_time_tower_resilience_fails_with_an_error_of_its_own() {
    let error = tower_resilience().layer(hangs()).oneshot(get()).await.unwrap_err();
    assert!(matches!(error, TimeLimiterError::Timeout));
}

/// A head in nine tenths of the time, and a body that never ends: when it is cut off, if ever.
async fn cut_after<S, B>(service: S) -> Option<Duration>
where
    S: Service<Asked, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    let began = Instant::now();
    let mut body = pin!(service.oneshot(get()).await.unwrap().into_body());
    let frame = timeout(HOUR, body.frame()).await.ok()?;
    assert!(frame.unwrap().is_err());
    Some(began.elapsed())
}

fn streams() -> Upstream {
    Upstream::new(Act::StreamsAfter(SECOND / 10 * 9))
}

#[tokio::test(start_paused = true)]
async fn palisade_bounds_head_and_body_together() {
    assert_eq!(cut_after(TimeoutLayer::server(SECOND).layer(streams())).await, Some(SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_timeouts_of_tower_tower_http_and_tower_resilience_do_not_bound_the_body() {
    assert_eq!(cut_after(TowerTimeoutLayer::new(SECOND).layer(streams())).await, None);
    assert_eq!(cut_after(tower_http().layer(streams())).await, None);
    assert_eq!(cut_after(tower_resilience().layer(streams())).await, None);
}

#[tokio::test(start_paused = true)]
async fn tower_http_bounds_the_body_by_another_layer_whose_clock_begins_with_the_body() {
    // Inside it cannot stand: `TimeoutLayer` wants bodies that have a `Default`.
    let both = ResponseBodyDeadlineLayer::new(SECOND).layer(tower_http().layer(streams()));
    assert_eq!(cut_after(both).await, Some(SECOND / 10 * 19));
}

/// Whether it answers where there is no runtime, and so no timer to be had.
fn without_a_timer<S, B>(mut service: S) -> bool
where
    S: Service<Asked, Response = Response<B>, Error: std::fmt::Debug>,
{
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        matches!(pin!(service.call(get())).poll(&mut cx), Poll::Ready(Ok(_)))
    }));
    answered.unwrap_or(false)
}

#[test]
fn for_an_answer_that_is_there_at_once_palisade_makes_no_timer() {
    let service = TimeoutLayer::server(SECOND).layer(Upstream::hello());
    assert!(without_a_timer(service));
}

#[test]
fn for_an_answer_that_is_there_at_once_tower_tower_http_and_tower_resilience_make_a_timer() {
    let service = TowerTimeoutLayer::new(SECOND).layer(Upstream::hello());
    assert!(!without_a_timer(service));
    assert!(!without_a_timer(tower_http().layer(Upstream::hello())));
    assert!(!without_a_timer(tower_resilience().layer(Upstream::hello())));
}

/// A gRPC call whose caller waits for 10 ms, to what never answers: when it ends.
async fn ended_after<S>(service: S) -> Duration
where
    S: Service<Asked>,
{
    let request = Request::post("/menu.Menu/Today")
        .header("content-type", "application/grpc")
        .header("grpc-timeout", "10m");
    let began = Instant::now();
    let _ = service.oneshot(request.body(Empty::new()).unwrap()).await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn palisade_keeps_to_the_time_that_a_grpc_caller_waits() {
    let service = TimeoutLayer::server(SECOND).layer(hangs());
    assert_eq!(ended_after(service).await, Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn tower_tower_http_and_tower_resilience_do_not_look_at_grpc_timeout() {
    assert_eq!(ended_after(TowerTimeoutLayer::new(SECOND).layer(hangs())).await, SECOND);
    assert_eq!(ended_after(tower_http().layer(hangs())).await, SECOND);
    assert_eq!(ended_after(tower_resilience().layer(hangs())).await, SECOND);
}
