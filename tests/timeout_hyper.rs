//! Time limits under hyper alone, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod timeouts;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use palisade::timeout::{
    BodyLimit, RequestBodyTimeoutLayer, TimeoutLayer, request_body::RequestBody,
};
use palisade_testkit::sockets::Server;
use timeouts::{LIMIT, LONG, Served, Uploads, VERSIONS, Work, answer, outlast};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Layer, service_fn};

/// hyper clones the service for each request.
fn served(layer: &TimeoutLayer, version: Version) -> Served {
    let work = Work::default();
    let inner_work = work.clone();
    let service = layer.layer(service_fn(move |request: Request<Incoming>| {
        let work = inner_work.clone();
        async { Ok::<_, Infallible>(answer(work, request).await) }
    }));
    Served { server: Server::hyper(service), work, timeouts: layer.handle(), version }
}

fn uploads() -> Uploads {
    let (work, layer) = (Work::default(), RequestBodyTimeoutLayer::new(LIMIT));
    let inner_work = work.clone();
    let service = layer.layer(service_fn(move |request: Request<RequestBody<Incoming>>| {
        let work = inner_work.clone();
        async { Ok::<_, Infallible>(answer(work, request).await) }
    }));
    Uploads { server: Server::hyper(service), work, stalls: layer.handle() }
}

fn all(layer: fn() -> TimeoutLayer) -> impl Iterator<Item = Served> {
    VERSIONS.into_iter().map(move |version| served(&layer(), version))
}

fn limited() -> TimeoutLayer {
    TimeoutLayer::server(LIMIT)
}

/// Bounds the silence in bodies only.
fn idle() -> TimeoutLayer {
    limited().with_body(BodyLimit::Idle(LIMIT))
}

fn excluded() -> TimeoutLayer {
    limited().with_body(BodyLimit::Excluded)
}

#[tokio::test]
async fn a_handler_that_hangs_is_given_up_and_its_connection_kept() {
    for served in all(limited) {
        timeouts::a_handler_that_hangs_is_given_up_and_its_connection_kept(served).await;
    }
}

#[tokio::test]
async fn a_body_that_hangs_is_cut_off() {
    for served in all(limited) {
        timeouts::a_body_that_hangs_is_cut_off(served).await;
    }
}

#[tokio::test]
async fn what_is_cut_off_does_not_look_whole() {
    for served in all(limited).filter(|served| served.version == Version::HTTP_11) {
        timeouts::what_is_cut_off_does_not_look_whole(served).await;
    }
}

#[tokio::test]
async fn a_body_that_keeps_going_is_not_idle() {
    for served in all(idle) {
        timeouts::a_body_that_keeps_going_is_not_idle(served).await;
    }
}

#[tokio::test]
async fn a_body_that_is_excluded_is_not_cut_off() {
    for served in all(excluded) {
        timeouts::a_body_that_is_excluded_is_not_cut_off(served).await;
    }
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut_off_when_it_reads_again() {
    for served in all(limited) {
        timeouts::a_reader_that_stalls_is_cut_off_when_it_reads_again(served).await;
    }
}

#[tokio::test]
async fn a_reader_that_stalls_and_goes_is_not_counted() {
    for served in all(limited) {
        timeouts::a_reader_that_stalls_and_goes_is_not_counted(served).await;
    }
}

#[tokio::test]
async fn a_reader_may_be_idle() {
    for served in all(idle) {
        timeouts::a_reader_may_be_idle(served).await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_not_cut_off() {
    for served in all(limited).filter(|served| served.version == Version::HTTP_11) {
        timeouts::an_upgraded_connection_is_not_cut_off(served).await;
    }
}

#[tokio::test]
async fn each_request_may_have_a_limit_of_its_own() {
    let by_path =
        || TimeoutLayer::server(LONG).by(|head| (head.uri().path() == "/hangs").then_some(LIMIT));
    for served in all(by_path) {
        timeouts::each_request_may_have_a_limit_of_its_own(served).await;
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_told_so_and_hung_up_on() {
    timeouts::a_client_that_stops_sending_is_told_so_and_hung_up_on(uploads()).await;
}

#[tokio::test]
async fn a_client_that_is_told_to_continue_and_does_not_is_hung_up_on() {
    timeouts::a_client_that_is_told_to_continue_and_does_not_is_hung_up_on(uploads()).await;
}

#[tokio::test]
async fn a_stream_that_stops_sending_leaves_its_connection_be() {
    timeouts::a_stream_that_stops_sending_leaves_its_connection_be(uploads()).await;
}

#[tokio::test]
async fn a_client_that_trickles_is_heard_out() {
    timeouts::a_client_that_trickles_is_heard_out(uploads()).await;
}

#[tokio::test]
async fn a_tunnel_is_not_cut_off() {
    timeouts::a_tunnel_is_not_cut_off(served(&limited(), Version::HTTP_11)).await;
}

#[tokio::test]
async fn a_tunnel_in_a_stream_is_not_cut_off() {
    let served = served(&limited(), Version::HTTP_2);
    let client = served.client().await;
    let connect = Request::connect("example:443").body(Empty::<Bytes>::new()).unwrap();
    let response = client.send(connect).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    outlast(LIMIT).await;
    tunnel.write_all(b"ping").await.unwrap();
    let mut read = [0; 4];
    tunnel.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"ping");
}
