//! What answers say to the budget and to the counters, and when.

#![allow(clippy::unwrap_used, reason = "a test")]

mod scripts;

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use palisade_core::{Backoff, BoxError, Deadline, RejectionErrorLayer, Sent};
use palisade_retry::{Attempts, Budget, Retries, RetryBody, RetryLayer, RetryPolicy};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use scripts::{DOWN, OK, REFUSED, Say, Script, get, grpc, post};

const WAIT: Duration = Duration::from_millis(100);

fn with(policy: RetryPolicy, budget: &Budget) -> RetryPolicy {
    policy.backoff(Backoff::constant(WAIT)).budget(budget.clone())
}

fn few() -> Budget {
    Budget::ratio(0.5).floor(0).burst(2).max_concurrent(9)
}

fn is(balance: f64, expected: f64) -> bool {
    (balance - expected).abs() < 1e-6
}

type Frames = UnsyncBoxBody<Bytes, Infallible>;

/// A gRPC answer whose status comes in the trailers, after a message or at once.
fn trailing(message: bool, status: &'static str) -> Response<Frames> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let message = message.then(|| Ok(Frame::data(Bytes::from_static(b"message"))));
    let frames = message.into_iter().chain([Ok(Frame::trailers(trailers))]);
    Response::new(BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))))
}

/// Calls a named method once, and reads the answer to its end.
async fn call(
    policy: RetryPolicy,
    answers: impl Fn(u32) -> Response<Frames> + Clone + Send + 'static,
) -> (u32, Retries) {
    let layer = RetryLayer::new(policy.idempotent(["menu.Menu"]));
    let inner = service_fn(move |request: Request<RetryBody<Full<Bytes>>>| {
        let answer = answers(Attempts::of(request.extensions()));
        async move { Ok::<_, BoxError>(answer) }
    });
    let response = layer.layer(inner).oneshot(grpc("/menu.Menu/Today")).await.unwrap();
    let attempts = Attempts::of(response.extensions());
    response.into_body().collect().await.unwrap();
    (attempts, layer.handle())
}

#[tokio::test(start_paused = true)]
async fn the_last_attempts_failure_in_the_trailers_is_a_failure() {
    let budget = Budget::throttle(10, 0.1);
    let (attempts, retries) =
        call(with(RetryPolicy::grpc(), &budget), |_| trailing(false, "14")).await;
    assert_eq!((attempts, retries.recovered(), retries.exhausted()), (3, 0, 1));
    assert!(is(budget.balance(), 7.0), "{}", budget.balance());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_begun_earns_when_it_is_over_and_only_if_it_went_well() {
    for (status, earned, begun) in [("0", 0.5, 0), ("5", 0.5, 0), ("14", 0.0, 1)] {
        let budget = few();
        for _ in 0..2 {
            budget.take(Instant::now().into_std()).unwrap().spend();
        }
        let policy = with(RetryPolicy::grpc(), &budget);
        let (attempts, retries) = call(policy, move |_| trailing(true, status)).await;
        assert_eq!((attempts, retries.begun()), (1, begun), "{status}");
        assert!(is(budget.balance(), earned), "{status}: {}", budget.balance());
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_answered_that_there_is_no_such_thing_earns_as_well() {
    let budget = few();
    let layer = RetryLayer::new(with(RetryPolicy::http(), &budget));
    let not_found = Say::Status(404, &[]);
    for _ in 0..20 {
        // Each time the retry is answered 404, which is final and shows that somebody is there.
        let script = Script::new([DOWN, not_found.clone(), not_found.clone()]);
        let service = layer.layer(script.clone());
        assert_eq!(service.clone().oneshot(get()).await.unwrap().status(), 404);
        assert_eq!(service.oneshot(get()).await.unwrap().status(), 404);
        assert_eq!(script.count(), 3);
    }
    assert_eq!((layer.handle().retried(), layer.handle().recovered()), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_given_for_an_attempt_that_is_not_made_goes_back_with_the_answer() {
    let budget = few();
    let layer = RetryLayer::new(with(RetryPolicy::http(), &budget));
    let script = Script::new([DOWN]).with_ready([true, false]);
    let response = layer.layer(script).oneshot(get()).await.unwrap();
    assert_eq!((response.status().as_u16(), budget.in_use()), (503, 0));
    assert!(is(budget.balance(), 2.0));
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn refusals_that_were_made_errors_are_tried_again_all_the_same() {
    let refusal = Say::Refusal(StatusCode::TOO_MANY_REQUESTS, Sent::No, None);
    let script = Script::new([refusal, OK]);
    let layer = RetryLayer::new(with(RetryPolicy::http(), &Budget::unlimited()));
    let stack = ServiceBuilder::new().layer(layer).layer(RejectionErrorLayer::new());
    let response = stack.service(script.clone()).oneshot(post("order")).await.unwrap();
    assert_eq!((response.status().as_u16(), script.count()), (200, 2));
}

/// tonic's `Request::set_timeout` writes the header, and nothing else.
#[tokio::test(start_paused = true)]
async fn the_time_that_a_grpc_call_may_take_is_that_of_all_its_attempts() {
    for (timeout, expected) in [("150m", 2), ("1S", 3), ("soon", 3)] {
        let script = Script::new([REFUSED]);
        let layer = RetryLayer::new(with(RetryPolicy::grpc(), &Budget::unlimited()));
        let mut request = grpc("/menu.Menu/Order");
        request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        layer.layer(script.clone()).oneshot(request).await.unwrap_err();
        assert_eq!(script.count(), expected, "{timeout}");
        let told: Vec<_> =
            script.calls().iter().map(|call| call.parts.headers["grpc-timeout"].clone()).collect();
        let left = match timeout {
            "150m" => vec!["150m", "50000000n"],
            "1S" => vec!["1S", "900000u", "800000u"],
            _ => vec!["soon"; 3],
        };
        assert_eq!(told, left);
        assert_eq!(layer.handle().too_late(), u64::from(timeout == "150m"));
    }
}

/// The task was busy with something else.
#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_deadline() {
    let script = Script::new([DOWN]);
    let layer = RetryLayer::new(with(RetryPolicy::http(), &few()));
    let mut request = get();
    let deadline = Instant::now() + 2 * WAIT;
    Deadline::at(deadline.into_std()).attach(request.extensions_mut());
    let mut call = tokio_test::task::spawn(layer.layer(script.clone()).oneshot(request));
    assert!(call.poll().is_pending());
    tokio::time::advance(3 * WAIT).await;
    assert!(call.poll().is_ready());
    assert_eq!((script.count(), layer.handle().too_late()), (1, 1));
}

/// The permit of an answer whose body comes right after its head is not held for the whole wait.
#[tokio::test(start_paused = true)]
async fn what_comes_during_the_wait_is_read() {
    let probe =
        Probe::new().with_head(Pace::AtOnce, Act::Succeed).with_body(3, Pace::After(WAIT / 10));
    let down = ServiceBuilder::new()
        .map_response(|mut response: Response<palisade_testkit::ProbeBody>| {
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        })
        .service(probe.clone());
    let layer = RetryLayer::new(with(RetryPolicy::http(), &few()));
    let answer = tokio::spawn(layer.layer(down).oneshot(get()));
    tokio::time::sleep(WAIT / 2).await;
    assert_eq!((probe.tally().calls, probe.tally().in_flight), (1, 0));
    answer.abort();
}

#[tokio::test(start_paused = true)]
async fn empty_frames_before_the_trailers_are_no_answer_yet() {
    let empty = |attempt| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", if attempt == 2 { "0" } else { "14" }.parse().unwrap());
        let frames = [Ok(Frame::data(Bytes::new())), Ok(Frame::trailers(trailers))];
        Response::new(BodyExt::boxed_unsync(StreamBody::new(stream::iter(frames))))
    };
    let (attempts, _) = call(with(RetryPolicy::grpc(), &Budget::unlimited()), empty).await;
    assert_eq!(attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_not_be_repeated_is_counted() {
    let layer = RetryLayer::new(with(RetryPolicy::http(), &few()));
    for failure in [DOWN, Say::Error(io::ErrorKind::ConnectionReset)] {
        drop(layer.layer(Script::new([failure])).oneshot(post("order")).await);
    }
    assert_eq!(layer.handle().not_eligible(), 2);
    let shown = format!("{:?}", layer.handle());
    assert!(shown.contains("not_eligible: 2") && shown.contains("retried: 0"), "{shown}");
}

/// gRFC A6: a failure that is not to be repeated counts as one.
#[tokio::test(start_paused = true)]
async fn a_throttle_counts_a_pushback_that_says_never() {
    let budget = Budget::throttle(10, 0.1);
    let layer = RetryLayer::new(with(RetryPolicy::grpc(), &budget).idempotent(["menu.Menu"]));
    let full = Say::Status(200, &[("grpc-status", "8"), ("grpc-retry-pushback-ms", "-1")]);
    let script = Script::new([full]);
    layer.layer(script.clone()).oneshot(grpc("/menu.Menu/Today")).await.unwrap();
    assert_eq!(script.count(), 1);
    assert!(is(budget.balance(), 9.0), "{}", budget.balance());
}
