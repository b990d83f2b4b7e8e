//! Which requests are tried again, when, and what comes of it.

#![allow(clippy::unwrap_used, reason = "a test")]

mod scripts;

use std::time::Duration;

use http::{HeaderName, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use palisade_core::{Backoff, Deadline, Outcome, Rejection, Sent};
use palisade_retry::{Attempts, Budget, Eligible, Retries, RetryLayer, RetryPolicy};
use tower::{Layer, ServiceExt};

use scripts::{DOWN, OK, REFUSED, RESET, Say, Script, get, grpc, post, put};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_millis(100);

/// Waits that can be foretold, and no budget to run out.
fn policy() -> RetryPolicy {
    RetryPolicy::http().backoff(Backoff::constant(WAIT)).budget(Budget::unlimited())
}

/// The status and the attempts of an answer.
async fn send(
    policy: RetryPolicy,
    script: &Script,
    request: Request<Full<bytes::Bytes>>,
) -> (u16, u32, Retries) {
    let layer = RetryLayer::new(policy);
    let response = layer.layer(script.clone()).oneshot(request).await.unwrap();
    let attempts = Attempts::of(response.extensions());
    let status = response.status().as_u16();
    let is_ours = Rejection::of(&response).is_some();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(is_ours || body == "answered");
    (status, attempts, layer.handle())
}

#[tokio::test(start_paused = true)]
async fn what_fails_twice_succeeds_the_third_time() {
    let script = Script::new([DOWN, RESET, OK]);
    let (status, attempts, retries) = send(policy(), &script, put("soup")).await;
    assert_eq!((status, attempts), (200, 3));
    assert_eq!(script.waits(), [WAIT; 2]);
    for call in script.calls() {
        assert_eq!(call.body.unwrap(), "soup");
        assert_eq!(call.parts.method, "PUT");
    }
    assert_eq!((retries.retried(), retries.recovered(), retries.exhausted()), (2, 1, 0));
    assert_eq!(retries.buffered(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_outcome_is_given_when_there_are_no_more_attempts() {
    let script = Script::new([DOWN, DOWN, Say::Status(502, &[])]);
    let (status, attempts, retries) = send(policy(), &script, get()).await;
    assert_eq!((status, attempts, script.count()), (502, 3, 3));
    assert_eq!((retries.retried(), retries.recovered(), retries.exhausted()), (2, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_post_is_sent_once_when_it_was_answered_and_again_when_it_was_not_sent() {
    for (first, expected) in [(DOWN, 1), (RESET, 1), (REFUSED, 2)] {
        let script = Script::new([first.clone(), OK]);
        let layer = RetryLayer::new(policy());
        drop(layer.layer(script.clone()).oneshot(post("order")).await);
        assert_eq!(script.count(), expected, "{first:?}");
        assert!(script.calls().iter().all(|call| call.body.as_ref().unwrap() == "order"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_final_is_not_tried_again() {
    for status in [200, 204, 301, 400, 404, 408, 409, 425, 500, 501] {
        let script = Script::new([Say::Status(status, &[])]);
        let (given, attempts, _) = send(policy(), &script, get()).await;
        assert_eq!((given, attempts, script.count()), (status, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_a_layer_inside_is_tried_again_whatever_the_method() {
    let refusal = |sent| Say::Refusal(StatusCode::SERVICE_UNAVAILABLE, sent, Some(2 * SECOND));
    for (sent, expected) in [(Sent::No, 2), (Sent::Maybe, 1), (Sent::Yes, 1)] {
        let script = Script::new([refusal(sent), OK]);
        send(policy(), &script, post("order")).await;
        assert_eq!(script.count(), expected, "{sent:?}");
        let named = Script::new([refusal(sent), Say::Status(200, &[("grpc-status", "0")])]);
        send(policy(), &named, grpc("/menu.Menu/Order")).await;
        assert_eq!(named.count(), expected, "{sent:?}");
    }
    // An attempt that was timed out may have been made.
    let script = Script::new([Say::Refusal(StatusCode::GATEWAY_TIMEOUT, Sent::Maybe, None), OK]);
    assert_eq!(send(policy(), &script, get()).await.1, 2);
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_a_floor_and_one_that_is_too_long_is_the_end() {
    let seconds = |seconds| {
        Say::Status(
            429,
            match seconds {
                2 => &[("retry-after", "2")],
                5 => &[("retry-after", "5")],
                6 => &[("retry-after", "6")],
                _ => &[("retry-after", "31536000")],
            },
        )
    };
    for (asked, expected) in [(2, 2), (5, 2), (6, 1), (31_536_000, 1)] {
        let script = Script::new([seconds(asked), OK]);
        let (_, _, retries) = send(policy(), &script, get()).await;
        assert_eq!(script.count(), expected, "{asked}");
        assert_eq!(retries.too_late(), u64::from(expected == 1));
        for wait in script.waits() {
            let asked = Duration::from_secs(asked);
            assert!(wait >= asked && wait <= asked * 3 / 2 + MILLISECOND, "{wait:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_were_told_the_same_time_do_not_come_back_together() {
    let mut waits = Vec::new();
    for _ in 0..32 {
        let script = Script::new([Say::Status(503, &[("retry-after", "2")]), OK]);
        send(policy(), &script, get()).await;
        waits.extend(script.waits());
    }
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 24, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_in_milliseconds_and_one_that_is_negative_or_garbled_is_the_end() {
    const NAMED: &str = "/menu.Menu/Today";
    let pushed = |pushback: &'static str| -> Say {
        Say::Status(
            200,
            match pushback {
                "300" => &[("grpc-status", "8"), ("grpc-retry-pushback-ms", "300")],
                "-1" => &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")],
                _ => &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "soon")],
            },
        )
    };
    let grpc_policy = || {
        let policy = RetryPolicy::grpc().idempotent(["menu.Menu/Today"]);
        policy.backoff(Backoff::constant(WAIT)).budget(Budget::unlimited())
    };
    let well = Say::Status(200, &[("grpc-status", "0")]);
    for (pushback, expected) in [("300", 2), ("-1", 1), ("soon", 1)] {
        let script = Script::new([pushed(pushback), well.clone()]);
        send(grpc_policy(), &script, grpc(NAMED)).await;
        assert_eq!(script.count(), expected, "{pushback}");
        assert!(script.waits().iter().all(|&wait| wait >= 3 * WAIT));
    }
    // Without one, what is used up is used up.
    let script = Script::new([Say::Status(200, &[("grpc-status", "8")]), well]);
    send(grpc_policy(), &script, grpc(NAMED)).await;
    assert_eq!(script.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_sleeps_towards_a_deadline_that_comes_first() {
    for (left, expected) in [
        (WAIT, 1),
        (WAIT + 4 * MILLISECOND, 1),
        (WAIT + 5 * MILLISECOND, 2),
        (2 * WAIT, 2),
        (SECOND, 3),
    ] {
        let script = Script::new([DOWN]);
        let mut request = get();
        let began = tokio::time::Instant::now();
        Deadline::at((began + left).into_std()).attach(request.extensions_mut());
        let (status, _, retries) = send(policy(), &script, request).await;
        assert_eq!((status, script.count()), (503, expected), "{left:?}");
        assert_eq!(retries.too_late(), u64::from(expected < 3));
        assert!(began.elapsed() <= left);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_budget_refuses_is_given_as_it_is_and_at_once() {
    let budget = Budget::ratio(0.1).floor(0).burst(1);
    let layer = RetryLayer::new(policy().budget(budget.clone()));
    let script = Script::new([DOWN]);
    let began = tokio::time::Instant::now();
    for expected in [2, 1, 1] {
        let before = script.count();
        let response = layer.layer(script.clone()).oneshot(get()).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(script.count() - before, expected);
    }
    assert_eq!(began.elapsed(), WAIT);
    assert_eq!(layer.handle().refused(), 3);
}

#[tokio::test(start_paused = true)]
async fn successes_fill_the_budget_again() {
    let layer = RetryLayer::new(policy().budget(Budget::ratio(0.5).floor(0).burst(1)));
    for script in [[DOWN, OK], [DOWN, OK], [OK, OK], [DOWN, OK]] {
        drop(layer.layer(Script::new(script)).oneshot(get()).await);
    }
    // The first took the one there was and gave half of it back with its success; the second was refused,
    // the third was one more success, and the fourth had a whole one again.
    assert_eq!((layer.handle().retried(), layer.handle().refused()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_after_the_wait_is_not_waited_for() {
    let script = Script::new([DOWN, OK]).with_ready([true, false]);
    let (status, attempts, retries) = send(policy(), &script, get()).await;
    assert_eq!((status, attempts, script.count()), (503, 1, 1));
    assert_eq!((retries.not_ready(), retries.retried()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_but_the_first_says_which_it_is() {
    let stamp = HeaderName::from_static("x-attempt");
    let script = Script::new([DOWN]);
    send(policy().stamp(stamp.clone()), &script, get()).await;
    let said: Vec<_> =
        script.calls().iter().map(|call| call.parts.headers.get(&stamp).cloned()).collect();
    assert_eq!(said, [None, Some(1.into()), Some(2.into())]);
    let known: Vec<_> =
        script.calls().iter().map(|call| Attempts::of(&call.parts.extensions)).collect();
    assert_eq!(known, [1, 2, 3]);

    let script = Script::new([REFUSED, Say::Status(200, &[("grpc-status", "0")])]);
    send(policy(), &script, grpc("/menu.Menu/Order")).await;
    let previous = script.calls()[1].parts.headers["grpc-previous-rpc-attempts"].clone();
    assert_eq!(previous, "1");
}

#[tokio::test(start_paused = true)]
async fn two_retry_layers_by_mistake_are_five_calls_and_not_nine() {
    let script = Script::new([DOWN]);
    let inner = RetryLayer::new(policy()).layer(script.clone());
    let response = RetryLayer::new(policy()).layer(inner).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(script.count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_classifier_and_a_rule_of_ones_own_decide() {
    let script = Script::new([Say::Status(500, &[]), OK]);
    let own = policy().eligible(|_| Eligible::Always).classify(
        |result: Result<&http::response::Parts, &std::io::Error>| match result {
            Ok(parts) if parts.status == 500 => Outcome::Failure,
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Ignored,
        },
    );
    let response = RetryLayer::new(own).layer(script.clone()).oneshot(post("order")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(script.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_bound_is_sent_once_and_whole() {
    let policy = || policy().max_body(4);
    for (body, expected) in [("four", 2), ("fives", 1)] {
        let script = Script::new([DOWN, OK]);
        send(policy(), &script, put(body)).await;
        assert_eq!(script.count(), expected);
        assert!(script.calls().iter().all(|call| call.body.as_ref().unwrap() == body));
    }
}

#[test]
fn bad_settings_are_refused_by_name() {
    let zero = std::panic::catch_unwind(|| RetryPolicy::http().max_attempts(0)).unwrap_err();
    let message = *zero.downcast::<&str>().unwrap();
    assert!(message.contains("max_attempts") && message.contains("at least 1"), "{message}");
    let bare = RetryPolicy::grpc().try_idempotent(["/menu"]);
    assert!(bare.is_ok(), "a service without a package");
    let error = RetryPolicy::grpc().try_idempotent(["a/b/c"]).unwrap_err();
    assert!(error.to_string().contains("\"a/b/c\""), "{error}");
}
