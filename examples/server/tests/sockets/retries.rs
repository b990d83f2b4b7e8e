//! An upstream that fails now and then, and the retry in front of it, over real connections.

use axum::{body::Body, http::Method};
use serde_json::Value;

use crate::{
    breakers::{behave, standing},
    process::{Answer, Browser, Server},
};

/// The status of an answer, and its JSON.
async fn read(answer: Answer) -> (u16, Value) {
    let status = answer.status();
    assert_eq!(answer.header("content-type"), "application/json");
    let json: Value = serde_json::from_str(&answer.text().await).unwrap();
    assert_eq!(json["status"], status);
    (status, json)
}

async fn post(browser: &Browser, key: Option<&str>) -> (u16, Value) {
    let request = browser.request(Method::POST, "/upstream");
    let request = match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    read(browser.ask(request.body(Body::from("soup")).unwrap()).await).await
}

async fn retries(browser: &Browser) -> Value {
    let answer = browser.get("/retries").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let retries: Value = serde_json::from_str(&answer.text().await).unwrap();
    retries["upstream"].clone()
}

#[tokio::test]
async fn what_failed_for_a_moment_is_asked_again_and_says_how_often() {
    let server = Server::start(&[]).await;
    for browser in [server.http1(), server.http2()] {
        behave(&browser, r#"{"fail": 0.5}"#).await;
        for attempts in [1, 2, 2] {
            let (status, answer) = read(browser.get("/upstream").await).await;
            assert_eq!((status, &answer["attempts"]), (200, &attempts.into()));
            assert_eq!(answer["answer"]["upstream"], "is well");
        }
    }
    let retries = retries(&server.http1()).await;
    assert_eq!([&retries["retried"], &retries["recovered"], &retries["exhausted"]], [4, 4, 0]);
    assert_eq!([&retries["budget"]["taken"], &retries["budget"]["in_use"]], [4, 0]);
}

#[tokio::test]
async fn what_goes_on_failing_is_answered_as_it_is_after_the_last_attempt() {
    let server = Server::start(&["--breaker-consecutive", "1000"]).await;
    let browser = server.http1();
    for (mode, status, attempts) in [
        (r#"{"fail": 1}"#, 503, 3),
        (r#"{"fail": 1, "status": 502}"#, 502, 3),
        // A fault in what the request met there, which it would meet again.
        (r#"{"fail": 1, "status": 500}"#, 500, 1),
    ] {
        behave(&browser, mode).await;
        let (answered, answer) = read(browser.get("/upstream").await).await;
        assert_eq!((answered, &answer["attempts"]), (status, &attempts.into()));
        assert_eq!(answer["answer"]["detail"], "The upstream was told to fail.");
    }
    let retries = retries(&browser).await;
    assert_eq!([&retries["retried"], &retries["recovered"], &retries["exhausted"]], [4, 0, 2]);
}

#[tokio::test]
async fn what_is_posted_is_sent_once_unless_it_says_that_it_may_be_sent_again() {
    let server = Server::start(&[]).await;
    let browser = server.http1();
    let (status, answer) = post(&browser, None).await;
    assert_eq!((status, &answer["answer"]["took"]), (200, &"soup".into()));

    behave(&browser, r#"{"fail": 1}"#).await;
    let (status, answer) = post(&browser, None).await;
    assert_eq!((status, &answer["attempts"]), (503, &1.into()));
    assert_eq!(standing(&browser).await["total_calls"], 2);

    behave(&browser, r#"{"fail": 0.5}"#).await;
    for attempts in [1, 2] {
        let (status, answer) = post(&browser, Some("9d8c7b6a")).await;
        assert_eq!((status, &answer["attempts"]), (200, &attempts.into()));
        assert_eq!(answer["answer"]["took"], "soup");
    }
    assert_eq!(standing(&browser).await["total_calls"], 5);
}

#[tokio::test]
async fn when_the_budget_is_used_up_calls_are_sent_once() {
    let budget = ["--retry-burst", "3", "--retry-floor", "0", "--breaker-consecutive", "1000"];
    let server = Server::start(&budget).await;
    let browser = server.http1();
    behave(&browser, r#"{"fail": 1}"#).await;
    for attempts in [3, 2, 1, 1] {
        let (status, answer) = read(browser.get("/upstream").await).await;
        assert_eq!((status, &answer["attempts"]), (503, &attempts.into()));
    }
    assert_eq!(standing(&browser).await["total_calls"], 7);
    let retries = retries(&browser).await;
    assert_eq!([&retries["retried"], &retries["refused"], &retries["exhausted"]], [3, 3, 1]);
    assert_eq!(retries["budget"]["balance"], 0.0);
}

#[tokio::test]
async fn what_is_open_is_not_hammered() {
    let server = Server::start(&["--breaker-consecutive", "2", "--breaker-open", "1h"]).await;
    let browser = server.http1();
    behave(&browser, r#"{"fail": 1}"#).await;
    for _ in 0..3 {
        let answer = browser.get("/upstream").await;
        assert_eq!(answer.status(), 503);
        assert!(answer.text().await.contains(r#""type":"urn:palisade:circuit-open""#));
    }
    assert_eq!(standing(&browser).await["total_calls"], 2);
    // The second attempt opened it and the third was refused; later refusals say that it is for longer
    // than anybody waits.
    let retries = retries(&browser).await;
    assert_eq!([&retries["retried"], &retries["exhausted"], &retries["too_late"]], [2, 1, 2]);
}

#[tokio::test]
async fn all_attempts_together_have_a_time_too() {
    let server = Server::start(&["--upstream-total", "50ms"]).await;
    let browser = server.http1();
    behave(&browser, r#"{"latency_ms": 60000}"#).await;
    let answer = browser.get("/upstream").await;
    assert_eq!(answer.status(), 504);
    assert!(answer.text().await.contains(r#""type":"urn:palisade:timed-out""#));
    // It was given up from further out, which says nothing of the upstream.
    assert_eq!(standing(&browser).await["total_failures"], 0);
}
