//! Time limits under axum, over real sockets.
//!
//! axum applies a layer to each route, and `axum::serve(listener, app)` again for each connection.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod timeouts;

use axum::{
    Router,
    extract::{MatchedPath, Request, ws::WebSocketUpgrade},
    routing::{any, get},
};
use http::Version;
use palisade::timeout::{BodyLimit, RequestBodyTimeoutLayer, TimeoutLayer};
use palisade_testkit::{
    Gate,
    sockets::{Client, Raw, Server},
};
use timeouts::{LIMIT, LONG, Served, Uploads, VERSIONS, Work, answer, is_problem, outlast};

/// The ways in which axum serves a router.
const SERVERS: [fn(Router) -> Server; 2] = [Server::axum, Server::axum_make_service];

const PATHS: [&str; 7] =
    ["/hello", "/hangs", "/endless", "/ticks", "/flood", "/upload", "/upgrade"];

/// A router with a route for each path.
fn router(work: &Work) -> Router {
    PATHS.iter().fold(Router::new(), |app, path| {
        let work = work.clone();
        app.route(path, any(|request: Request| answer(work, request)))
    })
}

fn all(layer: fn() -> TimeoutLayer) -> impl Iterator<Item = Served> {
    let served = move |serve: fn(Router) -> Server, version| {
        let (work, layer) = (Work::default(), layer());
        let timeouts = layer.handle();
        Served { server: serve(router(&work).layer(layer)), work, timeouts, version }
    };
    SERVERS.into_iter().flat_map(move |serve| VERSIONS.map(|version| served(serve, version)))
}

fn uploads() -> Uploads {
    let (work, layer) = (Work::default(), RequestBodyTimeoutLayer::new(LIMIT));
    let stalls = layer.handle();
    Uploads { server: Server::axum(router(&work).layer(layer)), work, stalls }
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
async fn a_websocket_is_not_cut_off() {
    let gate = Gate::new();
    let chat = {
        let gate = gate.clone();
        async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async move |mut socket| {
                gate.pass().await;
                socket.send("still here".into()).await.unwrap();
            })
        }
    };
    let server = Server::axum(Router::new().route("/chat", get(chat)).layer(limited()));
    let handshake = "GET /chat HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut socket = Raw::open(&server, handshake).await;
    let head = socket.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    outlast(LIMIT).await;
    gate.open();
    assert!(socket.read_to("still here").await.ends_with("still here"));
}

#[tokio::test]
async fn a_route_may_have_a_limit_of_its_own() {
    let layer = TimeoutLayer::server(LONG).by(|head| {
        let route = head.extensions().get::<MatchedPath>()?;
        (route.as_str() == "/{tenant}/hangs").then_some(LIMIT)
    });
    let work = Work::default();
    let hangs = any(|_: Request| async move {
        let _working = work.begin();
        std::future::pending::<()>().await;
    });
    let app = Router::new().route("/{tenant}/hangs", hangs).layer(layer.clone());
    let server = Server::axum(app);
    let client = Client::connect(&server, Version::HTTP_11).await;
    is_problem(&client.read("/somebody/hangs").await.unwrap(), 503, "timed-out");
    assert_eq!(layer.handle().timed_out(), 1);
}
