//! What the operator is told of all layers, while they refuse, over real connections.

use axum::{body::Body, http::Method};
use serde_json::Value;

use crate::{
    breakers::{behave, say},
    process::{Answer, Browser, Server, eventually},
};

struct Status(Value);

impl Status {
    /// What is there under this name, those within others after a slash.
    fn at(&self, name: &str) -> &Value {
        self.0.pointer(&format!("/{name}")).unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    fn number(&self, name: &str) -> u64 {
        self.at(name).as_u64().unwrap_or_else(|| panic!("{name} in {}", self.0))
    }

    fn numbers<const N: usize>(&self, part: &str, names: [&str; N]) -> [u64; N] {
        names.map(|name| self.number(&format!("{part}/{name}")))
    }
}

async fn status(browser: &Browser) -> Status {
    let answer = browser.get("/status").await;
    assert_eq!((answer.status(), answer.header("cache-control")), (200, "no-store"));
    Status(serde_json::from_str(&answer.text().await).unwrap())
}

async fn set_limits(browser: &Browser, limits: &'static str) {
    say(browser, Method::PUT, "/demo/limits", limits).await;
}

/// An answer to a request that has only this time.
async fn get_within(browser: &Browser, path: &str, time: &str) -> Answer {
    let request = browser.request(Method::GET, path).header("grpc-timeout", time);
    browser.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn what_comes_in_is_told_of_layer_by_layer_also_while_there_is_no_room() {
    let server = Server::start(&[]).await;
    for (browser, round) in [(server.http1(), 1), (server.http2(), 2)] {
        set_limits(&browser, r#"{"max_in_flight": 1}"#).await;
        let mut held = browser.get("/stream?chunks=1000&every_ms=10000").await;
        assert_eq!(held.chunk().await.unwrap(), "chunk 1 of 1000\n");
        assert_eq!(browser.get("/work").await.status(), 429);
        let full = status(&browser).await;
        let names = ["in_flight", "max", "rejected"];
        assert_eq!(full.numbers("limit_concurrency", names), [1, 1, round]);
        assert_eq!(full.number("health/in_flight"), 1);
        assert_eq!(full.at("health/phase"), "serving");
        drop(held);
        set_limits(&browser, "{}").await;
        let is_over = async || status(&browser).await.number("limit_concurrency/in_flight") == 0;
        eventually("room", is_over).await;

        assert_eq!(get_within(&browser, "/work?ms=60000", "50m").await.status(), 503);
        assert_eq!(get_within(&browser, "/work", "0m").await.status(), 503);
        let mut stream = get_within(&browser, "/stream?chunks=2&every_ms=10000", "500m").await;
        assert_eq!(stream.chunk().await.unwrap(), "chunk 1 of 2\n");
        assert!(stream.fails().await);
        let timeout = status(&browser).await;
        assert_eq!(timeout.numbers("timeout", ["timed_out", "expired", "cut"]), [round; 3]);

        set_limits(&browser, r#"{"rate": "2/h"}"#).await;
        for expected in [200, 200, 429] {
            assert_eq!(browser.get("/work?ms=0").await.status(), expected);
        }
        let limited = status(&browser).await;
        assert_eq!(limited.number("limit_rate/refused"), round);
        assert_eq!(limited.at("limit_rate/quotas/0/policy"), "2/h");
        assert_eq!(limited.number("limit_rate/you/remaining"), 0);
        set_limits(&browser, "{}").await;
        assert_eq!(browser.get("/work?ms=0").await.status(), 200);
    }
}

#[tokio::test]
async fn clients_that_stall_are_counted() {
    let server = Server::start(&["--request-idle", "100ms"]).await;
    let browser = server.http1();
    let (_sender, answer) = browser.upload();
    assert_eq!(answer.await.status(), 408);
    let told = status(&browser).await;
    assert_eq!(told.numbers("request_body_timeout", ["stalled"]), [1]);
    assert_eq!(told.at("request_body_timeout/limit"), 0.1);
}

#[tokio::test]
async fn calls_to_the_upstream_are_told_of_layer_by_layer() {
    let flags = ["--upstream-timeout", "1s", "--breaker-consecutive", "1000", "--retry-burst", "2"];
    let server = Server::start(&flags).await;
    let browser = server.http1();
    let calls = async |statuses: &[u16]| {
        for expected in statuses {
            assert_eq!(browser.get("/upstream").await.status(), *expected);
        }
    };
    behave(&browser, r#"{"fail": 0.5}"#).await;
    calls(&[200, 200]).await;
    behave(&browser, r#"{"fail": 1}"#).await;
    calls(&[503, 503]).await;
    assert_eq!(browser.send(Method::POST, "/upstream", Body::from("soup")).await.status(), 503);
    let told = status(&browser).await;
    assert_eq!(told.at("upstream/mode/fail"), 1.0);
    let names = ["retried", "recovered", "refused", "not_eligible"];
    assert_eq!(told.numbers("upstream/retry", names), [2, 1, 2, 1]);
    assert_eq!(told.number("upstream/retry/budget/refused"), 2);
    assert_eq!(told.numbers("upstream/breaker", ["total_calls", "total_failures"]), [7, 5]);

    behave(&browser, r#"{"latency_ms": 60000}"#).await;
    calls(&[504]).await;
    assert_eq!(status(&browser).await.number("upstream/attempt_timeout/timed_out"), 1);

    behave(&browser, "{}").await;
    set_limits(&browser, r#"{"upstream_max_in_flight": 0}"#).await;
    calls(&[503]).await;
    let told = status(&browser).await;
    assert_eq!(told.numbers("upstream/limit_concurrency", ["max", "rejected"]), [0, 1]);
    assert_eq!(told.number("upstream/breaker/ignored"), 1);
    set_limits(&browser, "{}").await;

    say(&browser, Method::POST, "/breakers/upstream", r#"{"force": "open"}"#).await;
    calls(&[503, 503]).await;
    let told = status(&browser).await;
    assert_eq!(told.number("upstream/breaker/refused"), 2);
    assert_eq!(told.at("upstream/breaker/state"), "open");
}

#[tokio::test]
async fn a_call_that_takes_too_long_with_all_its_attempts_is_counted() {
    let server = Server::start(&["--upstream-total", "50ms"]).await;
    let browser = server.http1();
    behave(&browser, r#"{"latency_ms": 60000}"#).await;
    assert_eq!(browser.get("/upstream").await.status(), 504);
    assert_eq!(status(&browser).await.numbers("upstream/timeout", ["timed_out", "cut"]), [1, 0]);
}

#[cfg(unix)]
#[tokio::test]
async fn how_it_is_and_how_it_leaves_is_told_to_the_end() {
    let server = Server::start(&["--heartbeat", "300ms", "--grace", "1h"]).await;
    let (browser, other) = (server.http1(), server.http2());
    let ready = async || status(&browser).await.at("health/readiness/status") == "pass";
    eventually("readiness", ready).await;
    assert_eq!(status(&browser).await.at("sampler/state"), "runs");
    assert_eq!(browser.send(Method::POST, "/demo/hang", Body::empty()).await.status(), 200);
    let fails = async || status(&browser).await.at("health/readiness/status") == "fail";
    eventually("a failure", fails).await;
    let told = status(&browser).await;
    assert_eq!(told.at("sampler/state"), "hung");
    assert_eq!(told.at("health/readiness/checks/0/status"), "fail");
    assert!(told.number("health/transitions") > 0 && told.number("sampler/samples") > 0);
    assert_eq!(told.at("health/liveness/status"), "pass");

    let held = other.get("/stream?chunks=1000&every_ms=10000").await;
    server.signal("TERM").await;
    server.refuses_requests().await;
    let told = status(&browser).await;
    assert_eq!(told.at("health/phase"), "refusing");
    assert_eq!(told.number("health/in_flight"), 1);
    drop(held);
    assert_eq!(server.ended().await.0, Some(0));
}
