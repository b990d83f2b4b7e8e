//! A breaker around some routes of an axum server, which needs no `HandleErrorLayer` for it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod breakers;

use std::time::Duration;

use axum::{Router, routing::any};
use breakers::{Told, VERSIONS, is_refusal, policy};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, Version};
use http_body_util::Empty;
use palisade::{
    Backoff,
    breaker::{BreakerLayer, Policy, State, Switch},
    timeout::{TIMED_OUT, TimeoutLayer},
};
use palisade_testkit::sockets::{Client, Server, eventually};

/// The ways in which axum serves a router.
const SERVERS: [fn(Router) -> Server; 2] = [Server::axum, Server::axum_make_service];

const BEHIND_IT: [&str; 4] = ["/flaky", "/hangs", "/panics", "/held"];

struct Served {
    server: Server,
    told: Told,
    switch: Switch,
    version: Version,
}

impl Served {
    /// All routes but `/hello` depend on something that may be broken.
    fn new(serve: fn(Router) -> Server, version: Version, policy: Policy) -> Self {
        let (told, layer) = (Told::default(), BreakerLayer::new(policy));
        let flaky = BEHIND_IT.iter().fold(Router::new(), |app, path| {
            let told = told.clone();
            app.route(path, any(move |request| told.work(request)))
        });
        let limit = TimeoutLayer::server(Duration::from_secs(60))
            .by(|head| (head.uri().path() == "/hangs").then_some(Duration::from_millis(50)));
        let switch = layer.handle();
        let app = flaky.layer(limit).layer(layer).route("/hello", any(async || "hello"));
        Self { server: serve(app), told, switch, version }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.server, self.version).await
    }
}

fn all(policy: Policy) -> impl Iterator<Item = Served> {
    let versions = move |serve| VERSIONS.map(|version| Served::new(serve, version, policy));
    SERVERS.into_iter().flat_map(versions)
}

async fn open(served: &Served, client: &Client) {
    served.told.answer(500);
    for _ in 0..2 {
        assert_eq!(client.read("/flaky").await.unwrap().status(), 500);
    }
    // The answer may be here before its connection's task is back from the layer.
    eventually(|| served.switch.state() == State::Open).await;
}

#[tokio::test]
async fn all_routes_behind_it_are_refused_over_all_connections_and_no_others() {
    for served in all(policy()) {
        open(&served, &served.client().await).await;
        let requests = served.told.requests();
        let clients = [served.client().await, served.client().await];
        for path in BEHIND_IT {
            for answer in join_all(clients.iter().map(|client| client.read(path))).await {
                assert!(is_refusal(&answer.unwrap()), "{path}");
            }
        }
        assert_eq!(served.told.requests(), requests);
        assert_eq!(clients[0].read("/hello").await.unwrap().body(), "hello");
        assert_eq!(served.switch.stats().refused, 8);

        served.told.answer(200);
        served.switch.reset();
        assert_eq!(clients[1].read("/flaky").await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body_and_of_grpc_a_status() {
    for served in all(policy()) {
        let client = served.client().await;
        open(&served, &client).await;
        let head = Request::builder().method(Method::HEAD).uri("/flaky");
        let refused = client.send(head.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), refused.headers().contains_key("retry-after")),
            (503, true)
        );

        let call = Request::post("/flaky").header("content-type", "application/grpc");
        let refused = client.send(call.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["grpc-status"]),
            (200, &"14".parse().unwrap())
        );
        assert!(refused.headers().contains_key("grpc-retry-pushback-ms"));
    }
}

#[tokio::test]
async fn a_handler_that_hangs_opens_it_when_a_timeout_inside_gives_it_up() {
    for served in all(policy()) {
        let client = served.client().await;
        for _ in 0..2 {
            let answer = client.read("/hangs").await.unwrap();
            assert_eq!(answer.status(), 503);
            let problem: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(problem["type"], format!("urn:palisade:{}", TIMED_OUT.as_str()));
        }
        eventually(|| served.switch.state() == State::Open).await;
        assert!(is_refusal(&client.read("/flaky").await.unwrap()));
        assert_eq!(served.told.under_way(), 0);
    }
}

#[tokio::test]
async fn a_handler_that_panics_has_failed() {
    for served in all(policy()) {
        for _ in 0..2 {
            served.client().await.read("/panics").await.unwrap_err();
        }
        eventually(|| served.switch.state() == State::Open).await;
        assert!(is_refusal(&served.client().await.read("/flaky").await.unwrap()));
        assert_eq!(served.told.requests(), 2);
    }
}

/// hyper drops a handler whose client is gone: over HTTP/1.1 with its connection, over HTTP/2 with its
/// stream.
#[tokio::test]
async fn a_handler_whose_client_has_gone_has_not_failed() {
    for served in all(policy()) {
        for call in 1..=5 {
            let client = served.client().await;
            let gone = tokio::spawn(async move { client.read("/held").await.map(drop) });
            eventually(|| served.told.requests() == call).await;
            gone.abort();
            eventually(|| served.told.under_way() == 0).await;
        }
        eventually(|| served.switch.stats().ignored == 5).await;
        assert_eq!((served.switch.state(), served.switch.stats().calls), (State::Closed, 0));
    }
}

#[tokio::test]
async fn it_closes_by_itself_when_all_is_well_again() {
    let soon = policy().with_open(Backoff::constant(Duration::from_millis(1)));
    for served in all(soon) {
        let client = served.client().await;
        served.told.answer(500);
        for _ in 0..2 {
            client.read("/flaky").await.unwrap();
        }
        eventually(|| served.switch.state() == State::HalfOpen).await;
        served.told.answer(200);
        assert_eq!(client.read("/flaky").await.unwrap().status(), 200);
        eventually(|| served.switch.state() == State::Closed).await;
        assert_eq!(served.switch.stats().opened, 1);
    }
}
