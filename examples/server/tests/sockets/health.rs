//! Probes of the real process, and how it leaves.
#![cfg(unix)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use axum::{body::Body, http::Method};
use futures_util::future::join_all;

use crate::{
    breakers::behave,
    process::{Answer, Browser, Server, eventually},
};

const FOR_HOURS: &str = "/stream?chunks=1000&every_ms=10000";

async fn is_ready(browser: &Browser) -> bool {
    browser.get("/readyz").await.status() == 200
}

/// A call of a method of gRPC's health service, for the server as a whole.
async fn call(browser: &Browser, method: &str) -> Answer {
    let path = format!("/grpc.health.v1.Health/{method}");
    let request = browser.request(Method::POST, &path).header("content-type", "application/grpc");
    browser.ask(request.body(Body::from(&[0_u8; 5][..])).unwrap()).await
}

/// The message that says so of a service.
const SERVING: [u8; 7] = [0, 0, 0, 0, 2, 8, 1];
const NOT_SERVING: [u8; 7] = [0, 0, 0, 0, 2, 8, 2];

#[tokio::test]
async fn probes_tell_how_it_is_and_this_machine_why() {
    let server = Server::start(&["--check-every", "5ms"]).await;
    for browser in [server.http1(), server.http2()] {
        behave(&browser, r#"{"fail": 0}"#).await;
        let report = async || browser.get("/readyz?verbose").await.text().await;
        eventually("a pass", async || report().await.ends_with("\npass\n")).await;
        behave(&browser, r#"{"fail": 1}"#).await;
        eventually("a warning", async || report().await.ends_with("\nwarn\n")).await;
        let told = report().await;
        assert!(told.contains("it answered 503 Service Unavailable"), "{told}");
        assert_eq!(browser.get("/readyz").await.text().await, "warn\n");
        assert_eq!(browser.get("/livez").await.text().await, "pass\n");
    }
    let browser = server.http2();
    assert_eq!(call(&browser, "Check").await.chunk().await.unwrap(), &SERVING[..]);
}

#[tokio::test]
async fn a_heart_that_stopped_beats_again() {
    let server = Server::start(&["--heartbeat", "300ms"]).await;
    let browser = server.http1();
    eventually("readiness", async || is_ready(&browser).await).await;
    let said = browser.send(Method::POST, "/demo/hang", Body::empty()).await.text().await;
    assert!(said.contains("POST /demo/resume"), "{said}");
    eventually("a failure", async || !is_ready(&browser).await).await;
    assert_eq!(browser.get("/livez").await.status(), 200);
    assert_eq!(browser.send(Method::POST, "/demo/resume", Body::empty()).await.status(), 200);
    eventually("readiness", async || is_ready(&browser).await).await;
}

#[tokio::test]
async fn sigterm_makes_it_not_ready_and_it_serves_on_for_the_delay() {
    let server = Server::start(&["--drain-delay", "1h"]).await;
    let browser = server.http1();
    eventually("readiness", async || is_ready(&browser).await).await;
    server.signal("TERM").await;
    eventually("a failure", async || !is_ready(&browser).await).await;
    assert_eq!(browser.get("/livez").await.status(), 200);
    assert_eq!(browser.get("/work?ms=0").await.status(), 200);
    assert_eq!(server.http2().get("/work?ms=0").await.status(), 200);

    server.signal("TERM").await;
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(r#"why="SIGTERM" cut_off=0"#), "{log}");
}

#[tokio::test]
async fn ctrl_c_has_no_delay() {
    let server = Server::start(&["--drain-delay", "1h"]).await;
    server.signal("INT").await;
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("All requests are finished left=0"), "{log}");
}

#[tokio::test]
async fn while_it_waits_for_what_is_in_flight_it_refuses_and_answers_probes() {
    let server = Server::start(&["--grace", "1h"]).await;
    let held = server.http1().get(FOR_HOURS).await;
    server.signal("TERM").await;
    server.refuses_requests().await;
    for browser in [server.http1(), server.http2()] {
        let refused = browser.get("/").await;
        assert_eq!((refused.status(), refused.header("retry-after")), (503, "5"));
        assert_eq!(browser.get("/livez").await.status(), 200);
        assert_eq!(browser.get("/readyz").await.status(), 503);
    }
    drop(held);
    assert_eq!(server.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_client_that_watches_is_told_and_holds_nobody_up() {
    let server = Server::start(&["--grace", "1h"]).await;
    let browser = server.http2();
    let mut watch = call(&browser, "Watch").await;
    assert_eq!(watch.chunk().await.unwrap(), &SERVING[..]);
    server.signal("TERM").await;
    // Told, unless the end came first, which says the same.
    if let Some(told) = watch.chunk_or_trailers().await {
        assert_eq!(told, &NOT_SERVING[..]);
        assert_eq!(watch.chunk_or_trailers().await, None);
    }
    assert_eq!(server.ended().await.0, Some(0));
}

/// Sends to the first that says it is ready, as a load balancer does, until told to stop.
async fn balanced(instances: &[Browser], stop: &AtomicBool, served: &AtomicU64) {
    while !stop.load(Relaxed) {
        for instance in instances {
            let ready = instance.try_get("/readyz").await;
            if ready.is_some_and(|ready| ready.status() == 200) {
                let answer = instance.get("/work?ms=5").await;
                assert_eq!((answer.status(), &*answer.text().await), (200, r#"{"worked_ms":5}"#));
                served.fetch_add(1, Relaxed);
                break;
            }
        }
    }
}

#[tokio::test]
async fn no_request_fails_when_one_of_two_leaves_under_load() {
    // Longer than it takes a client here from asking whether it is ready to sending a request.
    let first = Server::start(&["--drain-delay", "2s"]).await;
    let second = Server::start(&[]).await;
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients = (0..8).map(|client| {
        let connect = if client % 2 == 0 { Server::http1 } else { Server::http2 };
        let instances = [connect(&first), connect(&second)];
        let (stop, served) = (Arc::clone(&stop), Arc::clone(&served));
        tokio::spawn(async move { balanced(&instances, &stop, &served).await })
    });
    let clients: Vec<_> = clients.collect();
    let some_more = async || {
        let enough = served.load(Relaxed) + 50;
        eventually("answers", async || served.load(Relaxed) > enough).await;
    };
    some_more().await;
    first.signal("TERM").await;
    let (code, log) = first.ended().await;
    assert_eq!(code, Some(0), "{log}");
    some_more().await;
    stop.store(true, Relaxed);
    for client in join_all(clients).await {
        client.unwrap();
    }
}
