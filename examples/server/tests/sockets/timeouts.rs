//! What takes too long, over real connections.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::process::{Browser, Server, soon};

async fn is_timed_out(browser: &Browser) {
    let start = Instant::now();
    let refused = browser.get("/work?ms=60000").await;
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!(refused.text().await.contains(r#""type":"urn:palisade:timed-out""#));
}

#[tokio::test]
async fn a_late_answer_is_503_and_its_place_is_free_for_the_next() {
    let server = Server::start(&["--timeout", "100ms", "--max-in-flight", "1"]).await;
    for browser in [server.http1(), server.http2()] {
        is_timed_out(&browser).await;
        is_timed_out(&browser).await;
    }
}

#[tokio::test]
async fn a_stream_that_takes_too_long_ends_in_the_middle() {
    let server = Server::start(&["--timeout", "100ms"]).await;
    for browser in [server.http1(), server.http2()] {
        let mut stream = browser.get("/stream?chunks=2&every_ms=10000").await;
        assert_eq!(stream.status(), 200);
        assert_eq!(stream.chunk().await.unwrap(), "chunk 1 of 2\n");
        assert!(stream.fails().await);
    }
}

#[tokio::test]
async fn a_stream_that_is_never_silent_for_long_goes_on_to_its_end() {
    let server = Server::start(&["--timeout", "100ms", "--timeout-body", "idle:1h"]).await;
    for browser in [server.http1(), server.http2()] {
        // The head comes at once, for which the limit is short; then all of it takes longer.
        let stream = browser.get("/stream?chunks=5&every_ms=50").await;
        assert_eq!(stream.text().await.lines().count(), 5);
    }
    let server = Server::start(&["--timeout-body", "idle:100ms"]).await;
    let mut stream = server.http1().get("/stream?chunks=2&every_ms=10000").await;
    assert_eq!(stream.chunk().await.unwrap(), "chunk 1 of 2\n");
    assert!(stream.fails().await);
}

#[tokio::test]
async fn a_client_that_sends_none_of_its_body_is_answered_408() {
    let server = Server::start(&["--request-idle", "100ms"]).await;
    for browser in [server.http1(), server.http2()] {
        let (_sender, answer) = browser.upload();
        let answer = answer.await;
        assert_eq!(answer.status(), 408);
        assert!(answer.text().await.contains(r#""type":"urn:palisade:request-stalled""#));
    }
}

/// All that comes back for this, until the server closes the connection.
async fn exchange(server: &Server, sent: &str) -> String {
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    connection.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("its end", connection.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn over_http1_the_connection_of_a_client_that_stalls_is_closed() {
    let server = Server::start(&["--request-idle", "100ms"]).await;
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
    let answer = exchange(&server, head).await;
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_cut_off_there() {
    let server = Server::start(&["--request-idle", "100ms"]).await;
    // What comes with the head is there in time on the slowest machine.
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = exchange(&server, &format!("{head}5\r\nhello\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // Without the chunk of none that would be the end.
    assert!(answer.ends_with("5\r\nhello\r\n"), "{answer}");
}

#[cfg(unix)]
#[tokio::test]
async fn when_it_stops_it_says_what_became_of_the_requests() {
    let server = Server::start(&["--timeout", "100ms", "--request-idle", "50ms"]).await;
    let browser = server.http1();
    is_timed_out(&browser).await;
    let mut stream = browser.get("/stream?chunks=2&every_ms=10000").await;
    assert_eq!(stream.chunk().await.unwrap(), "chunk 1 of 2\n");
    assert!(stream.fails().await);
    server.signal("TERM").await;
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0), "{log}");
    let counted =
        "admitted=2 at_capacity=0 timed_out=1 expired=0 cut=1 stalled=0 asked_too_often=0";
    assert!(log.contains(counted), "{log}");
}
