//! What the layer does, in paused time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod support;

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use palisade_core::{GrpcCode, Rejection, Sent};
use palisade_testkit::{Act, Pace, Probe, ProbeBody};
use palisade_timeout::{BodyLimit, DEADLINE_EXPIRED, ResponseBody, TIMED_OUT, TimeoutLayer};
use support::{SECOND, call, get, grpc, ms, passed, since};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt, service_fn};

fn late(by: Duration) -> Probe {
    Probe::new().with_head(Pace::After(by), Act::Succeed)
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_passes_as_it_is() {
    let layer = TimeoutLayer::server(SECOND);
    let response = call(&layer, late(ms(999)), get()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(Rejection::of(&response).is_none());
    assert_eq!((layer.handle().timed_out(), layer.handle().expired()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_is_a_refusal_at_the_very_moment() {
    for (layer, status) in [
        (TimeoutLayer::server(SECOND), 503),
        (TimeoutLayer::client(SECOND), 504),
        (TimeoutLayer::client(SECOND).with_status(StatusCode::BAD_GATEWAY), 502),
    ] {
        let (probe, began) = (late(2 * SECOND), Instant::now());
        let response = call(&layer, probe.clone(), get()).await.unwrap();
        assert_eq!((response.status().as_u16(), began.elapsed()), (status, SECOND));
        let rejection = Rejection::of(&response).unwrap();
        assert_eq!((rejection.reason(), rejection.sent()), (TIMED_OUT, Sent::Maybe));
        assert_eq!(rejection.retry_after(), None);
        assert_eq!((layer.handle().timed_out(), layer.handle().expired()), (1, 0));
        assert_eq!((probe.tally().cancelled, probe.tally().in_flight), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn over_grpc_it_is_deadline_exceeded_whatever_the_status() {
    let layers = [TimeoutLayer::server(SECOND), TimeoutLayer::client(SECOND)];
    for layer in layers {
        let response = call(&layer, late(2 * SECOND), grpc(&[])).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "4");
        let layer = layer.with_grpc_code(GrpcCode::Unavailable);
        let response = call(&layer, late(2 * SECOND), grpc(&[])).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], "14");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_has_the_id_of_its_request() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = Request::get("/").header("traceparent", trace).body(()).unwrap();
    let response = call(&TimeoutLayer::server(SECOND), late(2 * SECOND), request).await.unwrap();
    let id = Rejection::of(&response).unwrap().id();
    assert_eq!(id.to_string(), "4bf92f35-77b3-4da6-a3ce-929d0e0e4736");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_ready_in_the_same_tick_wins() {
    let layer = TimeoutLayer::server(SECOND);
    let response = call(&layer, late(SECOND), get()).await.unwrap();
    assert_eq!((response.status().as_u16(), layer.handle().timed_out()), (200, 0));
}

/// Polls without a runtime, where making a timer would panic.
fn status_without_runtime(layer: &TimeoutLayer, probe: Probe) -> u16 {
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = layer.layer(probe);
    assert!(Service::<Request<()>>::poll_ready(&mut service, &mut cx).is_ready());
    let mut answer = pin!(service.call(get()));
    let response = loop {
        if let Poll::Ready(response) = answer.as_mut().poll(&mut cx) {
            break response.unwrap();
        }
    };
    let status = response.status().as_u16();
    let mut frames = pin!(response.into_body().collect());
    while frames.as_mut().poll(&mut cx).is_pending() {}
    status
}

#[test]
fn what_is_there_at_once_needs_no_timer() {
    let probe = Probe::new().with_body(1, Pace::AtOnce);
    assert_eq!(status_without_runtime(&TimeoutLayer::server(SECOND), probe), 200);
}

#[test]
fn the_longest_time_of_all_is_no_limit_and_needs_no_timer() {
    let by = TimeoutLayer::server(SECOND).by(|_| Some(Duration::MAX));
    for layer in [TimeoutLayer::server(Duration::MAX), by] {
        let probe =
            Probe::new().with_head(Pace::Polls(3), Act::Succeed).with_body(3, Pace::Polls(1));
        assert_eq!(status_without_runtime(&layer, probe), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_may_have_its_own_limit() {
    let layer = TimeoutLayer::server(SECOND).by(|head| match head.uri().path() {
        "/upload" => Some(10 * SECOND),
        "/never" => Some(Duration::ZERO),
        _ => None,
    });
    for (path, took, status) in [("/upload", 10 * SECOND, 503), ("/", SECOND, 503)] {
        let (began, request) = (Instant::now(), Request::get(path).body(()).unwrap());
        let response = call(&layer, late(20 * SECOND), request).await.unwrap();
        assert_eq!((response.status().as_u16(), began.elapsed()), (status, took), "{path}");
    }
    let probe = late(SECOND);
    let never = Request::get("/never").body(()).unwrap();
    let response = call(&layer, probe.clone(), never).await.unwrap();
    assert_eq!(Rejection::of(&response).unwrap().reason(), DEADLINE_EXPIRED);
    assert_eq!(probe.tally().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn the_operator_changes_the_limit_of_all_services_at_once() {
    let layer = TimeoutLayer::server(SECOND);
    let (timeouts, other) = (layer.handle(), layer.clone().with_status(StatusCode::IM_A_TEAPOT));
    timeouts.set_limit(ms(10));
    assert_eq!(other.handle().limit(), ms(10));
    assert!(passed(call(&other, late(SECOND), get())).await.1 == ms(10));
    timeouts.set_limit(Duration::MAX);
    assert_eq!(timeouts.limit(), Duration::MAX);
    let (response, took) = passed(call(&layer, late(9 * SECOND), get())).await;
    assert_eq!((response.unwrap().status().as_u16(), took), (200, 9 * SECOND));
    timeouts.set_limit(Duration::ZERO);
    let response = call(&layer, late(SECOND), get()).await.unwrap();
    assert_eq!(Rejection::of(&response).unwrap().sent(), Sent::No);
    assert_eq!((timeouts.timed_out(), timeouts.expired()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_passes_as_it_is_even_late() {
    let probe = Probe::new().with_head(Pace::After(SECOND), Act::Fail);
    let layer = TimeoutLayer::client(SECOND).shared();
    assert!(call(&layer, probe, get()).await.is_err());
}

/// Over gRPC the transport may know the time as well, and give up by an error of its own.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_grpc_transport_that_was_told_the_time_is_a_timeout_once_it_is_up() {
    let fails = |after| Probe::new().with_head(Pace::After(after), Act::Fail);
    let request = || grpc(&[("grpc-timeout", "1S")]);
    let layer = TimeoutLayer::client(SECOND);
    assert!(call(&layer, fails(ms(999)), request()).await.is_err(), "before its time");
    let response = call(&layer, fails(SECOND), request()).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
    let layer = layer.forward();
    assert!(call(&layer, fails(ms(994)), grpc(&[])).await.is_err(), "before its time");
    let response = call(&layer, fails(ms(995)), grpc(&[])).await.unwrap();
    assert_eq!(response.headers()["grpc-status"], "4");
    assert_eq!(layer.handle().timed_out(), 2);
    assert!(call(&layer, fails(ms(995)), get()).await.is_err(), "no gRPC");
}

/// And so may the server behind it, which then answers by itself.
#[tokio::test(start_paused = true)]
async fn an_answer_that_the_time_we_told_was_up_is_a_timeout_once_it_is() {
    let answers = |layer: &TimeoutLayer, after, status: &'static str| {
        layer.layer(service_fn(move |_: Request<()>| async move {
            tokio::time::sleep(after).await;
            let response = Response::builder().header("grpc-status", status);
            Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
        }))
    };
    let told = TimeoutLayer::client(SECOND).forward();
    let untold = TimeoutLayer::client(SECOND);
    for (layer, after, status, expected) in [
        (&told, 994, "1", "1"),
        (&told, 995, "1", "4"),
        (&told, 995, "5", "5"),
        (&untold, 995, "1", "1"),
    ] {
        let response = answers(layer, ms(after), status).oneshot(grpc(&[])).await.unwrap();
        assert_eq!(response.headers()["grpc-status"], expected);
    }
    assert_eq!((told.handle().timed_out(), untold.handle().timed_out()), (1, 0));
}

async fn body(
    layer: &TimeoutLayer,
    probe: &Probe,
    request: Request<()>,
) -> ResponseBody<ProbeBody> {
    call(layer, probe.clone(), request).await.unwrap().into_body()
}

#[tokio::test(start_paused = true)]
async fn head_and_body_share_one_deadline() {
    let probe = late(ms(300)).with_body(9, Pace::After(ms(300)));
    let layer = TimeoutLayer::server(SECOND);
    let began = Instant::now();
    let mut body = body(&layer, &probe, get()).await;
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().unwrap().is_data());
    }
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(began.elapsed(), SECOND);
    let rejection = error.downcast_ref::<Rejection>().unwrap();
    assert_eq!((rejection.reason(), rejection.sent()), (TIMED_OUT, Sent::Yes));
    assert_eq!((probe.tally().bodies_dropped, probe.tally().in_flight), (1, 0), "dropped first");
    assert!(body.frame().await.is_none());
    assert_eq!((layer.handle().cut(), layer.handle().timed_out()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_that_is_cut_ends_with_a_status() {
    let probe = Probe::new().with_body(9, Pace::After(ms(400)));
    let collected = body(&TimeoutLayer::server(SECOND), &probe, grpc(&[])).await.collect().await;
    let collected = collected.unwrap();
    let trailers = collected.trailers().unwrap();
    assert_eq!(trailers["grpc-status"], "4");
    assert_eq!(
        trailers["grpc-message"],
        "The answer did not end in the time allowed for this request."
    );
    assert!(!trailers.contains_key("content-type"));
    assert_eq!(collected.to_bytes(), "..");
    assert_eq!(probe.tally().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_web_stream_that_is_cut_fails() {
    let probe = Probe::new().with_body(9, Pace::After(ms(400)));
    let request = Request::post("/").header("content-type", "application/grpc-web+proto");
    let body = body(&TimeoutLayer::server(SECOND), &probe, request.body(()).unwrap()).await;
    assert!(body.collect().await.unwrap_err().downcast_ref::<Rejection>().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_there_in_the_same_tick_wins() {
    for trailers in [false, true] {
        let probe = Probe::new().with_body(2, Pace::After(ms(500)));
        probe.replan(|plan| plan.body.trailers = trailers);
        // The last frame comes at one second, and what ends the body half a second later.
        let limit = if trailers { ms(1500) } else { SECOND };
        let body = body(&TimeoutLayer::server(limit), &probe, get()).await;
        let collected = body.collect().await.unwrap();
        assert_eq!(collected.trailers().is_some(), trailers);
        assert_eq!(collected.to_bytes(), "..");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_waits_is_cut_all_the_same() {
    let probe = Probe::new().with_body(u32::MAX, Pace::AtOnce);
    let mut body = body(&TimeoutLayer::server(SECOND), &probe, get()).await;
    for _ in 0..100 {
        body.frame().await.unwrap().unwrap();
    }
    tokio::time::sleep(ms(1100)).await;
    body.frame().await.unwrap().unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(probe.tally().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_be_bounded_between_its_frames_alone() {
    let layer = TimeoutLayer::server(SECOND).with_body(BodyLimit::Idle(ms(500)));
    // Ten times 400 milliseconds, all of it later than the second that the head may take.
    let probe = Probe::new().with_body(10, Pace::After(ms(400)));
    let (collected, took) = passed(body(&layer, &probe, get()).await.collect()).await;
    assert_eq!((collected.unwrap().to_bytes().len(), took), (10, 4 * SECOND));

    let probe = Probe::new().with_body(10, Pace::After(ms(501)));
    let (collected, took) = passed(body(&layer, &probe, get()).await.collect()).await;
    assert!(collected.unwrap_err().downcast_ref::<Rejection>().is_some());
    assert_eq!((took, probe.tally().in_flight), (ms(500), 0));
}

/// What a body waits for does not come sooner for being asked late.
#[tokio::test(start_paused = true)]
async fn time_in_which_nobody_reads_counts_as_silence_only_once_the_body_was_asked() {
    let layer = TimeoutLayer::server(SECOND).with_body(BodyLimit::Idle(ms(500)));
    let probe = Probe::new().with_body(2, Pace::After(ms(400)));
    let mut body = body(&layer, &probe, get()).await;
    tokio::time::sleep(9 * SECOND).await;
    body.frame().await.unwrap().unwrap();
    tokio::time::sleep(9 * SECOND).await;
    body.frame().await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_excluded() {
    let layer = TimeoutLayer::server(SECOND).with_body(BodyLimit::Excluded);
    let probe = Probe::new().with_body(10, Pace::After(SECOND));
    let (collected, took) = passed(body(&layer, &probe, get()).await.collect()).await;
    assert_eq!((collected.unwrap().to_bytes().len(), took), (10, 10 * SECOND));
    let response = call(&layer, late(2 * SECOND), get()).await.unwrap();
    assert_eq!(response.status(), 503, "the head is not");
}

#[tokio::test(start_paused = true)]
async fn the_time_begins_when_something_first_waits_and_not_with_readiness() {
    let probe = late(ms(900)).with_ready(Pace::After(5 * SECOND), Act::Succeed);
    let began = Instant::now();
    let response = call(&TimeoutLayer::server(SECOND), probe, get()).await.unwrap();
    assert_eq!((response.status().as_u16(), since(began)), (200, ms(5900)));
}

#[test]
#[should_panic(expected = "must be 4xx or 5xx, not 200 OK")]
fn a_refusal_cannot_look_like_success() {
    let _ = TimeoutLayer::server(SECOND).with_status(StatusCode::OK);
}
