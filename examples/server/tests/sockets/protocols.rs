//! HTTP/1.1 and HTTP/2 on the same port.

use axum::{
    body::{Body, Bytes},
    http::{Method, Version},
};

use crate::process::{Browser, Server};

async fn every_route_answers(browser: &Browser, version: Version) {
    let page = browser.get("/").await;
    assert_eq!((page.0.version(), page.status()), (version, 200));
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.text().await.contains("POST /echo"));

    let work = browser.get("/work?ms=1").await;
    assert_eq!(work.text().await, r#"{"worked_ms":1}"#);

    let stream = browser.get("/stream?chunks=2&every_ms=0").await;
    assert_eq!(stream.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(stream.text().await, "chunk 1 of 2\nchunk 2 of 2\n");

    let echo = browser.send(Method::POST, "/echo", Body::from("hello")).await;
    assert_eq!(echo.header("content-length"), "5");
    assert_eq!(echo.text().await, "hello");

    assert_eq!(browser.get("/work?ms=x").await.status(), 400);
    assert_eq!(browser.get("/nowhere").await.status(), 404);
    let wrong = browser.get("/echo").await;
    assert_eq!((wrong.status(), wrong.header("allow")), (405, "POST"));
    assert_eq!(wrong.header("content-type"), "application/problem+json");
}

#[tokio::test]
async fn every_route_answers_over_http1() {
    let server = Server::start(&[]).await;
    every_route_answers(&server.http1(), Version::HTTP_11).await;
}

#[tokio::test]
async fn every_route_answers_over_http2_with_prior_knowledge() {
    let server = Server::start(&[]).await;
    every_route_answers(&server.http2(), Version::HTTP_2).await;
}

#[tokio::test]
async fn the_page_names_the_authority_of_http2() {
    let server = Server::start(&[]).await;
    let page = server.http2().get("/").await.text().await;
    assert!(page.contains(&format!("curl http://{}/", server.address)));
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start(&["--max-in-flight", "1"]).await;
    let browser = server.http1();
    for path in ["/", "/work?ms=1", "/stream?every_ms=10000", "/nowhere"] {
        let head = browser.send(Method::HEAD, path, Body::empty()).await;
        let expected = if path == "/nowhere" { 404 } else { 200 };
        assert_eq!(head.status(), expected, "{path}");
        if path != "/stream?every_ms=10000" {
            assert_ne!(head.header("content-length"), "0", "{path}");
        }
        assert_eq!(head.text().await, "");
    }
}

#[tokio::test]
async fn an_echo_comes_back_piece_by_piece() {
    let server = Server::start(&[]).await;
    for browser in [server.http1(), server.http2()] {
        let (sender, mut echo) = browser.echo().await;
        for piece in ["one", "two", "three"] {
            sender.send(Bytes::from_static(piece.as_bytes())).await.unwrap();
            assert_eq!(echo.chunk().await.unwrap(), piece);
        }
        drop(sender);
        assert_eq!(echo.chunk().await, None);
    }
}

#[tokio::test]
async fn a_large_echo_comes_back_whole() {
    const PIECES: usize = 256;
    const PIECE: usize = 64 * 1024 + 1;
    let piece = |n: usize| Bytes::from(vec![u8::try_from(n % 251).unwrap(); PIECE]);

    let server = Server::start(&[]).await;
    for browser in [server.http1(), server.http2()] {
        let (sender, mut echo) = browser.echo().await;
        let sending = async move {
            for n in 0..PIECES {
                sender.send(piece(n)).await.unwrap();
            }
        };
        let reading = async {
            let mut read = 0;
            while let Some(chunk) = echo.chunk().await {
                for (at, byte) in (read..).zip(&chunk) {
                    assert_eq!(usize::from(*byte), at / PIECE % 251);
                }
                read += chunk.len();
            }
            read
        };
        let ((), read) = tokio::join!(sending, reading);
        assert_eq!(read, PIECES * PIECE);
    }
}
