//! How it stops.
#![cfg(unix)]

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::process::{Server, eventually, soon};

const FOR_HOURS: &str = "/stream?chunks=1000&every_ms=10000";

async fn finishes_what_is_in_flight(signal: &str, http2: bool) {
    let server = Server::start(&["--grace", "1h"]).await;
    let browser = if http2 { server.http2() } else { server.http1() };
    let (sender, mut echo) = browser.echo().await;
    sender.send("before".into()).await.unwrap();
    assert_eq!(echo.chunk().await.unwrap(), "before");

    server.signal(signal).await;
    server.refuses_requests().await;
    sender.send("after".into()).await.unwrap();
    assert_eq!(echo.chunk().await.unwrap(), "after");
    drop(sender);
    assert_eq!(echo.chunk().await, None);

    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&format!(r#"signal="SIG{signal}" in_flight=1"#)), "{log}");
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight() {
    finishes_what_is_in_flight("TERM", false).await;
}

#[tokio::test]
async fn sigint_finishes_what_is_in_flight_over_http2() {
    finishes_what_is_in_flight("INT", true).await;
}

#[tokio::test]
async fn sigterm_finishes_work_that_has_sent_no_answer_yet() {
    let server = Server::start(&["--max-in-flight", "1"]).await;
    let (browser, observer) = (server.http1(), server.http1());
    let work = tokio::spawn(async move {
        loop {
            // The observer's question may have had the only place.
            let answer = browser.get("/work?ms=1000").await;
            if answer.status() != 429 {
                return answer.text().await;
            }
        }
    });
    eventually("work", async || observer.get("/").await.status() == 429).await;
    server.signal("TERM").await;
    assert_eq!(work.await.unwrap(), r#"{"worked_ms":1000}"#);
    assert_eq!(server.ended().await.0, Some(0));
}

#[tokio::test]
async fn connections_without_a_request_hold_nobody_up() {
    let server = Server::start(&["--grace", "1h"]).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let (http1, http2) = (server.http1(), server.http2());
    for browser in [&http1, &http2] {
        assert_eq!(browser.get("/work?ms=0").await.text().await, r#"{"worked_ms":0}"#);
    }
    server.signal("TERM").await;
    assert_eq!(server.ended().await.0, Some(0));
    assert_eq!(soon("its end", silent.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_never_comes_in_whole_is_waited_for_no_longer_than_the_grace() {
    let server = Server::start(&["--grace", "50ms"]).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: h").await.unwrap();
    assert_eq!(server.http1().get("/work?ms=0").await.status(), 200);
    server.signal("TERM").await;
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn without_any_grace_only_what_is_in_flight_counts_as_cut_off() {
    let server = Server::start(&["--grace", "0s"]).await;
    server.signal("TERM").await;
    assert_eq!(server.ended().await.0, Some(0));

    let server = Server::start(&["--grace", "0s"]).await;
    let _held = server.http1().get(FOR_HOURS).await;
    server.signal("TERM").await;
    assert_eq!(server.ended().await.0, Some(1));
}

#[tokio::test]
async fn what_is_still_in_flight_when_the_grace_is_over_is_cut_off_and_counted() {
    let server = Server::start(&["--grace", "100ms"]).await;
    let browser = server.http1();
    let mut held = [browser.get(FOR_HOURS).await, browser.get(FOR_HOURS).await];
    server.signal("TERM").await;

    let (code, log) = server.ended().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("WARN") && log.contains("cut_off=2"), "{log}");
    for held in &mut held {
        assert_eq!(held.chunk().await.unwrap(), "chunk 1 of 1000\n");
        // Cut off is not ended: the client can tell.
        assert!(held.fails().await);
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let server = Server::start(&["--grace", "1h"]).await;
    let _held = server.http1().get(FOR_HOURS).await;
    server.signal("TERM").await;
    server.refuses_requests().await;
    server.signal("INT").await;

    let (code, log) = server.ended().await;
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(r#"why="SIGINT" cut_off=1"#), "{log}");
}
