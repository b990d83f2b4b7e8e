//! What an attempt holds, until when, and that nothing is lost wherever a request is dropped.

#![allow(clippy::unwrap_used, reason = "a test")]

mod scripts;

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use palisade_core::{Backoff, BoxError};
use palisade_retry::{Attempts, Budget, Eligible, Peek, RetryLayer, RetryPolicy};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use scripts::{DOWN, OK, Script, get, put};

const WAIT: Duration = Duration::from_millis(100);

fn policy() -> RetryPolicy {
    RetryPolicy::http().backoff(Backoff::constant(WAIT)).budget(Budget::unlimited())
}

/// All of a probe's answers are failures, with the body that was planned.
fn failing(
    probe: Probe,
) -> impl Service<
    Request<palisade_retry::RetryBody<Full<Bytes>>>,
    Response = Response<palisade_testkit::ProbeBody>,
    Error = palisade_testkit::ProbeError,
    Future: Send,
> + Clone {
    ServiceBuilder::new()
        .map_response(|mut response: Response<_>| {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        })
        .service(probe)
}

#[tokio::test(start_paused = true)]
async fn a_small_answer_is_over_before_the_wait_and_a_large_one_right_before_the_next_call() {
    for (frames, during) in [(3, 0), (100_000, 1)] {
        let probe = Probe::new().with_body(frames, Pace::AtOnce);
        let service = RetryLayer::new(policy()).layer(failing(probe.clone()));
        let answer = tokio::spawn(service.oneshot(get()));
        tokio::time::sleep(WAIT / 2).await;
        assert_eq!((probe.tally().calls, probe.tally().in_flight), (1, during));
        let body = answer.await.unwrap().unwrap().into_body();
        // Never two at once: the permit of one does not refuse the other.
        assert_eq!((probe.tally().calls, probe.tally().peak), (3, 1));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), frames as usize);
        assert_eq!(probe.tally().in_flight, 0);
    }
}

/// At every poll of a request that is tried three times, before the first and in its body.
#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_nothing_is_lost() {
    let budget = Budget::ratio(1.0).floor(0).burst(1_000).max_concurrent(1_000);
    let layer = RetryLayer::new(policy().budget(budget.clone()));
    let mut polls = 0;
    loop {
        let probe =
            Probe::new().with_head(Pace::Polls(2), Act::Succeed).with_body(3, Pace::Polls(1));
        let whole = {
            let mut future = pin!(layer.layer(failing(probe.clone())).oneshot(put("soup")));
            let mut body = None;
            let mut left = polls;
            loop {
                if left == 0 {
                    break false;
                }
                left -= 1;
                let mut cx = Context::from_waker(Waker::noop());
                match &mut body {
                    None => match future.as_mut().poll(&mut cx) {
                        Poll::Ready(answer) => body = Some(answer.unwrap().into_body()),
                        Poll::Pending => tokio::time::advance(WAIT / 4).await,
                    },
                    Some(body) => {
                        if let Poll::Ready(None) = pin!(body.frame()).poll(&mut cx) {
                            break true;
                        }
                    }
                }
            }
        };
        assert_eq!(probe.tally().in_flight, 0, "{polls}");
        assert_eq!((budget.in_use(), layer.handle().buffered()), (0, 0), "{polls}");
        polls += 1;
        if whole {
            break;
        }
    }
    assert!(polls > 10, "{polls}");
    // What was taken was spent, or went back.
    let spent = layer.handle().retried();
    #[allow(clippy::cast_precision_loss, reason = "it is small")]
    let left = 1_000.0 - spent as f64;
    assert!((budget.balance() - left).abs() < 1e-6, "{} of {left}", budget.balance());
}

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_its_place_until_its_body_is_over() {
    let budget = Budget::unlimited().max_concurrent(1);
    let layer = RetryLayer::new(policy().max_attempts(2).budget(budget.clone()));
    let script = Script::new([DOWN, OK]);
    let response = layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), budget.in_use()), (200, 1));
    let other = Script::new([DOWN, OK]);
    assert_eq!(layer.layer(other).oneshot(get()).await.unwrap().status(), 503);
    response.into_body().collect().await.unwrap();
    assert_eq!(budget.in_use(), 0);
    // Its own place is free for its next attempt.
    let layer = RetryLayer::new(policy().budget(budget.clone()));
    let third = layer.layer(Script::new([DOWN, DOWN, OK])).oneshot(get()).await.unwrap();
    assert_eq!(third.status(), 200);
    drop(third);
    assert_eq!(budget.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_takes_nothing_along() {
    let budget = Budget::ratio(1.0).floor(0).burst(5).max_concurrent(5);
    let layer = RetryLayer::new(policy().budget(budget.clone()));
    let panics = service_fn(async |request: Request<palisade_retry::RetryBody<Full<Bytes>>>| {
        assert!(Attempts::of(request.extensions()) == 1, "as planned");
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        Ok::<_, Infallible>(response)
    });
    let panicked = tokio::spawn(layer.layer(panics).oneshot(put("soup"))).await;
    assert!(panicked.unwrap_err().is_panic());
    assert_eq!((budget.in_use(), layer.handle().buffered()), (0, 0));
    assert!((budget.balance() - 4.0).abs() < 1e-9);
}

type Frames = UnsyncBoxBody<Bytes, Infallible>;

/// An answer over gRPC: so many messages, each after a wait, and then this status.
fn answer(messages: usize, wait: Duration, status: &'static str) -> Response<Frames> {
    let frames = stream::unfold(0, move |sent| async move {
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        match sent {
            sent if sent < messages => Some((Ok(Frame::data(Bytes::from("message"))), sent + 1)),
            sent if sent == messages => Some((Ok(Frame::trailers(trailers)), sent + 1)),
            _ => None,
        }
    });
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

async fn calls_of(
    peek: Peek,
    answers: impl Fn(u32) -> Response<Frames> + Clone + Send + 'static,
) -> (u32, Duration, String) {
    let policy = RetryPolicy::grpc().idempotent(["menu.Menu"]).peek(peek);
    let policy = policy.backoff(Backoff::constant(WAIT)).budget(Budget::unlimited());
    let inner = service_fn(move |request: Request<_>| {
        let request: Request<palisade_retry::RetryBody<Full<Bytes>>> = request;
        let answer = answers(Attempts::of(request.extensions()));
        async move { Ok::<_, BoxError>(answer) }
    });
    let began = Instant::now();
    let response = RetryLayer::new(policy).layer(inner).oneshot(scripts::grpc("/menu.Menu/Today"));
    let response = response.await.unwrap();
    let attempts = Attempts::of(response.extensions());
    let (took, body) = (began.elapsed(), response.into_body().collect().await.unwrap());
    let status = body.trailers().unwrap()["grpc-status"].to_str().unwrap().to_owned();
    assert_eq!(body.to_bytes().len() % "message".len(), 0);
    (attempts, took, status)
}

#[tokio::test(start_paused = true)]
async fn a_status_in_trailers_that_are_there_is_seen() {
    let flaky = |attempt| {
        answer(usize::from(attempt == 3), Duration::ZERO, ["14", "14", "0"][attempt as usize - 1])
    };
    for peek in [Peek::Ready, Peek::FirstFrame] {
        assert_eq!(calls_of(peek, flaky).await, (3, 2 * WAIT, "0".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_late_is_waited_for_only_if_asked_to() {
    let flaky =
        |attempt| answer(usize::from(attempt == 2), WAIT, ["14", "0", "0"][attempt as usize - 1]);
    assert_eq!(calls_of(Peek::Ready, flaky).await, (1, Duration::ZERO, "14".to_owned()));
    assert_eq!(calls_of(Peek::FirstFrame, flaky).await, (2, 3 * WAIT, "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_is_final() {
    for peek in [Peek::Ready, Peek::FirstFrame] {
        let (attempts, _, status) = calls_of(peek, |_| answer(2, Duration::ZERO, "14")).await;
        assert_eq!((attempts, &*status), (1, "14"));
    }
}

/// The clone that is called again is one that was ready: tower's limit and its buffer panic otherwise.
#[tokio::test(start_paused = true)]
async fn services_that_must_be_ready_are_asked_first() {
    let script = Script::new([DOWN, DOWN, OK]);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .concurrency_limit(1)
        .service(script.clone());
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(script.count(), 3);

    let script = Script::new([DOWN, DOWN, OK]);
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(policy()))
        .buffer::<Request<palisade_retry::RetryBody<Full<Bytes>>>>(1)
        .service(script.clone());
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(script.count(), 3);
}

/// What tower's own limit would queue for, a retry does not.
#[tokio::test(start_paused = true)]
async fn a_retry_does_not_queue() {
    let probe = Probe::new().with_head(Pace::After(10 * WAIT), Act::Succeed);
    let limit = ServiceBuilder::new().concurrency_limit(1).service(probe.clone());
    let layer = RetryLayer::new(policy().eligible(|_| Eligible::Always));
    let down = ServiceBuilder::new()
        .map_response(|mut response: Response<palisade_testkit::ProbeBody>| {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        })
        .service(limit);
    let first = tokio::spawn(layer.layer(down.clone()).oneshot(get()));
    tokio::task::yield_now().await;
    let second = tokio::spawn(layer.layer(down).oneshot(get()));
    assert_eq!(first.await.unwrap().unwrap().status(), 503);
    // The second had waited for its first attempt, and has the place now.
    assert_eq!((layer.handle().not_ready(), layer.handle().retried()), (1, 0));
    second.abort();
}
