//! Over the limit, over real connections.

use axum::{
    body::Body,
    http::{Method, Version},
};
use futures_util::{StreamExt, stream::FuturesUnordered};

use crate::process::{Answer, Browser, Server, eventually};

/// Takes a place, which is taken when this returns, and keeps it for hours.
async fn take_place(browser: &Browser) -> Answer {
    let mut held = browser.get("/stream?chunks=1000&every_ms=10000").await;
    assert_eq!(held.status(), 200);
    assert_eq!(held.chunk().await.unwrap(), "chunk 1 of 1000\n");
    held
}

async fn until_there_is_room(browser: &Browser) {
    eventually("room", async || browser.get("/work?ms=0").await.status() == 200).await;
}

async fn is_refused(browser: &Browser) {
    let refused = browser.get("/work?ms=0").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!((1..=30).contains(&refused.header("retry-after").parse().unwrap()));
    assert!(refused.text().await.contains(r#""type":"urn:palisade:at-capacity""#));
}

async fn streams_hold_their_places(browser: &Browser) {
    let (first, second) = (take_place(browser).await, take_place(browser).await);
    // An echo can be seen to be served on, at any time.
    let (sender, mut echo) = browser.echo().await;

    for _ in 0..3 {
        is_refused(browser).await;
        assert_eq!(browser.get("/nowhere").await.status(), 429);
        sender.send("still served".into()).await.unwrap();
        assert_eq!(echo.chunk().await.unwrap(), "still served");
    }

    // One that comes to its end, and two that the client gives up.
    drop(sender);
    assert_eq!(echo.chunk().await, None);
    until_there_is_room(browser).await;
    let third = take_place(browser).await;
    is_refused(browser).await;
    drop((first, second, third));
    until_there_is_room(browser).await;
}

#[tokio::test]
async fn streams_hold_their_places_until_they_end() {
    let server = Server::start(&["--max-in-flight", "3"]).await;
    streams_hold_their_places(&server.http1()).await;
}

#[tokio::test]
async fn streams_of_one_http2_connection_are_counted_one_by_one() {
    let server = Server::start(&["--max-in-flight", "3"]).await;
    let browser = server.http2();
    assert_eq!(browser.get("/").await.0.version(), Version::HTTP_2);
    streams_hold_their_places(&browser).await;
}

#[tokio::test]
async fn of_many_requests_that_work_those_over_the_limit_are_refused_while_the_others_work() {
    let server = Server::start(&["--max-in-flight", "2"]).await;
    let browser = server.http1();
    let _held = take_place(&browser).await;
    // Whichever comes first keeps the last place for a minute, so the others are the first answers.
    let work = || browser.get("/work?ms=60000");
    let mut answers: FuturesUnordered<_> = (0..5).map(|_| work()).collect();
    for _ in 0..4 {
        assert_eq!(answers.next().await.unwrap().status(), 429);
    }
    is_refused(&browser).await;
    // The client hangs up, and nobody works for it any more.
    drop(answers);
    until_there_is_room(&browser).await;
}

#[tokio::test]
async fn a_refused_upload_is_answered_and_a_refused_head_has_no_body() {
    let server = Server::start(&["--max-in-flight", "0"]).await;
    for browser in [server.http1(), server.http2()] {
        let upload = browser.send(Method::POST, "/echo", Body::from("a".repeat(1000)));
        assert_eq!(upload.await.status(), 429);
        let head = browser.send(Method::HEAD, "/work", Body::empty()).await;
        assert_eq!(head.status(), 429);
        assert_ne!(head.header("content-length"), "0");
        assert_eq!(head.text().await, "");
    }
}
