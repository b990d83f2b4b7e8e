//! An upstream that misbehaves, and the breaker in front of it, over real connections.

use std::time::Duration;

use axum::{body::Body, http::Method};
use serde_json::Value;
use tokio::time::sleep;

use crate::process::{Answer, Browser, Server, eventually};

/// Says this as JSON, and returns what is said to it.
pub(crate) async fn say(
    browser: &Browser,
    method: Method,
    path: &str,
    body: &'static str,
) -> Value {
    let request = browser.request(method, path).header("content-type", "application/json");
    let answer = browser.ask(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.status(), 200);
    serde_json::from_str(&answer.text().await).unwrap()
}

pub(crate) async fn behave(browser: &Browser, mode: &'static str) {
    say(browser, Method::PUT, "/upstream/mode", mode).await;
}

async fn force(browser: &Browser, force: &'static str) -> Value {
    say(browser, Method::POST, "/breakers/upstream", force).await
}

pub(crate) async fn standing(browser: &Browser) -> Value {
    let answer = browser.get("/breakers").await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let breakers: Value = serde_json::from_str(&answer.text().await).unwrap();
    breakers["upstream"].clone()
}

async fn statuses<const N: usize>(browser: &Browser) -> [u16; N] {
    let mut statuses = [0; N];
    for status in &mut statuses {
        *status = browser.get("/upstream").await.status();
    }
    statuses
}

async fn is_refused(answer: Answer) {
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(answer.text().await.contains(r#""type":"urn:palisade:circuit-open""#));
}

/// So long that it is not probed while a test runs.
const FOR_LONG: [&str; 2] = ["--breaker-open", "1h"];

/// What is about the breaker alone: a refusal that may be over soon is tried again.
const ONCE: [&str; 2] = ["--retry-max-attempts", "1"];

#[tokio::test]
async fn failures_open_it_and_what_it_answers_then_is_no_longer_the_upstreams() {
    let server = Server::start(&FOR_LONG).await;
    for browser in [server.http1(), server.http2()] {
        let answer = browser.get("/upstream").await;
        assert_eq!((answer.status(), answer.header("content-type")), (200, "application/json"));
        assert_eq!(
            answer.text().await,
            r#"{"attempts":1,"status":200,"answer":{"upstream":"is well"}}"#
        );
    }
    let browser = server.http2();
    behave(&browser, r#"{"fail": 1, "status": 500}"#).await;
    let answer = browser.get("/upstream").await;
    assert_eq!(answer.status(), 500);
    assert!(answer.text().await.contains("was told to fail"));
    assert_eq!(statuses(&browser).await, [500, 500, 500, 500, 503]);
    for browser in [server.http1(), server.http2()] {
        is_refused(browser.get("/upstream").await).await;
    }
    let standing = standing(&browser).await;
    assert_eq!((&standing["state"], &standing["force"]), (&"open".into(), &"auto".into()));
    let numbers = ["total_calls", "total_failures", "consecutive_failures", "refused", "opened"];
    assert_eq!(numbers.map(|name| standing[name].as_u64().unwrap()), [7, 5, 5, 3, 1]);
    let wait = standing["retry_after"].as_f64().unwrap();
    assert!((3000.0..=5400.0).contains(&wait), "{wait}");
}

#[tokio::test]
async fn it_finds_out_by_itself_that_the_upstream_is_well_again() {
    let server = Server::start(&["--breaker-open", "50ms", "--breaker-consecutive", "1"]).await;
    let browser = server.http1();
    behave(&browser, r#"{"fail": 1, "status": 500}"#).await;
    assert_eq!(browser.get("/upstream").await.status(), 500);
    behave(&browser, "{}").await;
    let closed = async || {
        browser.get("/upstream").await;
        standing(&browser).await["state"] == "closed"
    };
    eventually("a closed circuit", closed).await;
    assert_eq!(statuses(&browser).await, [200, 200, 200]);
}

#[tokio::test]
async fn half_of_the_calls_are_too_many() {
    let flags = ["--breaker-min", "6", "--breaker-window", "1h", "--breaker-consecutive", "9"];
    let server = Server::start(&[&flags, &FOR_LONG[..]].concat()).await;
    let browser = server.http1();
    behave(&browser, r#"{"fail": 0.5, "status": 500}"#).await;
    assert_eq!(statuses(&browser).await, [200, 500, 200, 500, 200, 500, 503, 503]);
    assert_eq!(standing(&browser).await["state"], "open");
}

#[tokio::test]
async fn an_upstream_that_hangs_opens_it_as_well() {
    let flags = ["--upstream-timeout", "50ms", "--breaker-consecutive", "2"];
    let server = Server::start(&[&flags, &ONCE[..], &FOR_LONG].concat()).await;
    let browser = server.http1();
    behave(&browser, r#"{"latency_ms": 60000}"#).await;
    let answer = browser.get("/upstream").await;
    assert_eq!(answer.status(), 504);
    assert!(answer.text().await.contains(r#""type":"urn:palisade:timed-out""#));
    assert_eq!(browser.get("/upstream").await.status(), 504);
    is_refused(browser.get("/upstream").await).await;
}

#[tokio::test]
async fn an_operator_has_the_last_word() {
    let server =
        Server::start(&[&["--breaker-consecutive", "2"], &ONCE[..], &FOR_LONG].concat()).await;
    let browser = server.http1();
    assert_eq!(force(&browser, r#"{"force": "open"}"#).await["state"], "open");
    let answer = browser.get("/upstream").await;
    assert_eq!(answer.status(), 503);
    // Nobody knows when.
    assert!(!answer.0.headers().contains_key("retry-after"));

    behave(&browser, r#"{"fail": 1, "status": 500}"#).await;
    assert_eq!(force(&browser, r#"{"force": "closed"}"#).await["state"], "closed");
    assert_eq!(statuses(&browser).await, [500; 4]);
    force(&browser, r#"{"force": "auto"}"#).await;
    assert_eq!(statuses(&browser).await, [500, 503]);
    // It goes on as if it were open, and lets through.
    assert_eq!(force(&browser, r#"{"force": "observe"}"#).await["state"], "open");
    behave(&browser, "{}").await;
    assert_eq!(statuses(&browser).await, [200, 200]);
    let standing = standing(&browser).await;
    assert_eq!((&standing["observed"], &standing["refused"]), (&2.into(), &2.into()));
}

#[cfg(unix)]
#[tokio::test]
async fn a_call_in_flight_is_finished_before_the_upstream_ends() {
    let server =
        Server::start(&[&["--grace", "1h", "--upstream-max-in-flight", "1"], &ONCE[..]].concat())
            .await;
    let (browser, observer) = (server.http1(), server.http1());
    behave(&browser, r#"{"latency_ms": 1000}"#).await;
    let call = tokio::spawn(async move {
        loop {
            // The observer's call may have had the only place.
            let answer = browser.get("/upstream").await;
            if answer.status() == 200 {
                return answer.text().await;
            }
            // Within the rate that is let in.
            sleep(Duration::from_millis(5)).await;
        }
    });
    eventually("a call", async || observer.get("/upstream").await.status() == 503).await;
    server.signal("TERM").await;
    assert_eq!(
        call.await.unwrap(),
        r#"{"attempts":1,"status":200,"answer":{"upstream":"is well"}}"#
    );
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("upstream_failed=0 circuit_open=0"), "{log}");
    assert!(log.contains("All requests are finished"), "{log}");
}
