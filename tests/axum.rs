//! limit-concurrency under axum, over real sockets.
//!
//! axum applies a layer to each route, and `axum::serve(listener, app)` again for each connection.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod scenarios;

use axum::{
    Extension, Router,
    extract::{Request, ws::WebSocketUpgrade},
    response::Response,
    routing::get,
};
use http::{StatusCode, Version};
use palisade::{
    Protocol, Rejection, RenderLayer,
    limit_concurrency::{Held, InFlight, LimitConcurrencyLayer},
};
use palisade_testkit::{
    Gate,
    sockets::{Raw, Server, eventually, exchange},
};
use scenarios::{Served, VERSIONS, answer};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::{
    catch_panic::CatchPanicLayer, cors::CorsLayer, timeout::TimeoutLayer, trace::TraceLayer,
};

/// The ways in which axum serves a router.
const SERVERS: [fn(Router) -> Server; 2] = [Server::axum, Server::axum_make_service];

const PATHS: [&str; 7] =
    ["/hello", "/held", "/held/too", "/long", "/panic", "/upgrade/held", "/upgrade/ignored"];

/// A router with a route for each path; the limit starts as 1.
fn served(serve: fn(Router) -> Server, version: Version) -> Served {
    let (gate, layer) = (Gate::new(), LimitConcurrencyLayer::new(1));
    let in_flight = layer.handle();
    let app = PATHS.iter().fold(Router::new(), |app, path| {
        let gate = gate.clone();
        app.route(path, get(|request: Request| answer(gate, request)))
    });
    Served { server: serve(app.layer(layer)), gate, in_flight, version }
}

fn all() -> impl Iterator<Item = Served> {
    SERVERS.into_iter().flat_map(|serve| VERSIONS.map(|version| served(serve, version)))
}

#[tokio::test]
async fn all_but_one_are_admitted_over_all_routes_and_connections() {
    for served in all() {
        scenarios::all_but_one_are_admitted_over_all_routes_and_connections(served).await;
    }
}

#[tokio::test]
async fn a_slow_reader_holds_its_permit() {
    for served in all() {
        scenarios::a_slow_reader_holds_its_permit(served).await;
    }
}

#[tokio::test]
async fn a_client_that_disconnects_frees_its_permit() {
    for served in all() {
        scenarios::a_client_that_disconnects_frees_its_permit(served).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_frees_its_permit() {
    for serve in SERVERS {
        let served = served(serve, Version::HTTP_2);
        scenarios::a_stream_that_is_reset_frees_its_permit(served).await;
    }
}

#[tokio::test]
async fn a_handler_that_panics_frees_its_permit() {
    for served in all() {
        scenarios::a_handler_that_panics_frees_its_permit(served).await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_keeps_the_permit_it_is_given() {
    for serve in SERVERS {
        let served = served(serve, Version::HTTP_11);
        scenarios::an_upgraded_connection_keeps_the_permit_it_is_given(served).await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_without_the_permit_holds_none() {
    for serve in SERVERS {
        let served = served(serve, Version::HTTP_11);
        scenarios::an_upgraded_connection_without_the_permit_holds_none(served).await;
    }
}

/// As the documentation of `Held` shows it.
async fn chat(upgrade: WebSocketUpgrade, Extension(held): Extension<Held>) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(_)) = socket.recv().await {}
        drop(held);
    })
}

#[tokio::test]
async fn a_websocket_keeps_the_permit_it_is_given() {
    let layer = LimitConcurrencyLayer::new(1);
    let in_flight: InFlight = layer.handle();
    let app = Router::new().route("/chat", get(chat)).layer(layer);
    let server = Server::axum(app);
    let handshake = "GET /chat HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for _ in 0..2 {
        let mut socket = Raw::open(&server, handshake).await;
        let head = socket.read_to("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let mut refused = Raw::open(&server, handshake).await;
        let head = refused.read_to("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        assert_eq!(in_flight.in_flight(), 1);
        drop(socket);
        eventually(|| in_flight.in_flight() == 0).await;
    }
    assert_eq!((in_flight.admitted(), in_flight.rejected()), (2, 2));
}

#[tokio::test]
async fn a_refusal_to_head_says_the_length_of_the_one_to_get() {
    for serve in SERVERS {
        let served = served(serve, Version::HTTP_11);
        served.in_flight.set_max(0);
        // Both on one connection: a length that does not hold would garble the second.
        let sent = "HEAD /hello HTTP/1.1\r\nhost: x\r\n\r\n\
            GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answers = exchange(&served.server, sent).await;
        let answers: Vec<_> = answers.split("HTTP/1.1 429 Too Many Requests\r\n").collect();
        let [_, head, get] = answers[..] else { panic!("{answers:?}") };
        let length = |answer: &str| {
            let line = answer.lines().find_map(|line| line.strip_prefix("content-length: "));
            line.unwrap().parse::<usize>().unwrap()
        };
        let (_, body) = get.split_once("\r\n\r\n").unwrap();
        assert_eq!((length(head), length(get)), (body.len(), body.len()));
        served.settles_with(0, 2).await;
    }
}

/// Above all: it compiles. Some of these make a body themselves and ask for `Default`.
#[tokio::test]
async fn it_stands_under_and_over_the_layers_of_tower_http() {
    let others = || {
        let second = std::time::Duration::from_secs(1);
        ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(CorsLayer::permissive())
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, second))
            .layer(CatchPanicLayer::new())
    };
    let app = |max| {
        let limit = LimitConcurrencyLayer::new(max);
        let both_sides = ServiceBuilder::new().layer(others()).layer(limit).layer(others());
        Router::new().route("/", get(async || "hello")).layer(both_sides)
    };
    for (max, status) in [(1, 200), (0, 429)] {
        let answer = app(max).oneshot(Request::new(axum::body::Body::empty())).await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.headers().contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_house_format_is_what_clients_see() {
    fn house_format(rejection: &Rejection, _: Protocol) -> http::Response<String> {
        let response = http::Response::builder().status(rejection.status());
        response.header("content-type", "text/plain").body("come back later".to_owned()).unwrap()
    }
    let stack = ServiceBuilder::new()
        .layer(RenderLayer::new(house_format))
        .layer(LimitConcurrencyLayer::new(0));
    let server = Server::axum(Router::new().route("/", get(async || "hello")).layer(stack));
    let sent = "HEAD / HTTP/1.1\r\nhost: x\r\n\r\n\
        GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = exchange(&server, sent).await;
    let answers: Vec<_> = answers.split("HTTP/1.1 429 Too Many Requests\r\n").collect();
    let [_, head, get] = answers[..] else { panic!("{answers:?}") };
    for answer in [head, get] {
        assert!(answer.contains("content-type: text/plain\r\n"), "{answer}");
        assert!(answer.contains("content-length: 15\r\n"), "{answer}");
    }
    assert!(head.ends_with("\r\n\r\n") && get.ends_with("\r\n\r\ncome back later"));
}
