//! Servers that are restarted under load, over real sockets: no request fails.
//!
//! The listener is handed over, as by systemd or a supervisor. Where each server has a listener of its own on
//! the same port (`SO_REUSEPORT`), the kernel resets what has connected to the one that is closed and was not
//! accepted yet, which no layer sees.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod healths;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use healths::{
    Served,
    grpc::endpoint,
    restart::{self, Ask, Load, Restarted, Serve},
};
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Builder, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use palisade::{
    Backoff,
    retry::{Budget, RetryBody, RetryLayer, RetryPolicy},
};
use palisade_testkit::{
    grpc::{CountRequest, EchoClient, SayRequest},
    sockets::Raw,
};
use tower::{Layer, Service, ServiceExt};

const SERVERS: [Serve; 2] = [restart::axum, restart::hyper];
const CLIENTS: usize = 4;
const RESTARTS: usize = 5;

fn pool<B>(version: Version, change: impl FnOnce(&mut Builder)) -> Client<HttpConnector, B>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let mut builder = Client::builder(TokioExecutor::new());
    builder.http2_only(version == Version::HTTP_2).pool_timer(TokioTimer::new());
    change(&mut builder);
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    builder.build(connector)
}

/// Sends it, and reads all of the answer.
async fn exchange<S, B, R>(service: S, request: Request<B>) -> Result<Bytes, String>
where
    S: Service<Request<B>, Response = http::Response<R>, Error: std::fmt::Debug>,
    R: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let answer = service.oneshot(request).await.map_err(|error| format!("{error:?}"))?;
    if answer.status() != 200 {
        return Err(format!("{} {:?}", answer.status(), answer.headers()));
    }
    let body = answer.into_body().collect().await.map_err(|error| format!("{error:?}"))?;
    Ok(body.to_bytes())
}

fn asks<S, R>(service: S, method: &Method, address: SocketAddr) -> Ask
where
    S: Service<
            Request<Empty<Bytes>>,
            Response = http::Response<R>,
            Error: std::fmt::Debug,
            Future: Send,
        > + Clone
        + Send
        + 'static,
    R: http_body::Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    let method = method.clone();
    Box::new(move || {
        let request = Request::builder().method(&method).uri(format!("http://{address}/"));
        let answer = exchange(service.clone(), request.body(Empty::new()).unwrap());
        async move {
            let body = answer.await?;
            if body == "hello" { Ok(()) } else { Err(format!("{body:?}")) }
        }
        .boxed()
    })
}

/// Restarts it so often, each time with something under way that takes longer than all else.
async fn restarts(server: &mut Restarted, load: Load, version: Version) {
    for _ in 0..RESTARTS {
        let request = Request::get(format!("http://{}/long", server.address()));
        let client = pool::<Empty<Bytes>>(version, |_| {});
        let long = client.request(request.body(Empty::new()).unwrap()).await.unwrap();
        server.restarts_under(&load).await;
        assert_eq!(long.into_body().collect().await.unwrap().to_bytes(), "begun, done");
    }
    assert!(load.ends().await > 0);
}

/// Each has one connection, and nothing that tries anything again: what they send would be lost with a
/// connection that is closed under it, whatever it is.
#[tokio::test]
async fn clients_over_http1_that_never_try_again_lose_nothing() {
    for serve in SERVERS {
        for method in [Method::GET, Method::POST] {
            let mut server = Restarted::new(serve);
            let clients = (0..CLIENTS).map(|_| {
                let one = pool(Version::HTTP_11, |builder| {
                    builder.retry_canceled_requests(false).pool_max_idle_per_host(1);
                });
                asks(one, &method, server.address())
            });
            let load = Load::of(clients.collect::<Vec<_>>());
            restarts(&mut server, load, Version::HTTP_11).await;
        }
    }
}

/// All over one connection, which is left when the server says so. What was not sent by then the client sends
/// over the next.
#[tokio::test]
async fn clients_over_http2_lose_nothing() {
    for serve in SERVERS {
        for method in [Method::GET, Method::POST] {
            let mut server = Restarted::new(serve);
            let all = pool(Version::HTTP_2, |_| {});
            let clients = (0..CLIENTS).map(|_| asks(all.clone(), &method, server.address()));
            let load = Load::of(clients.collect::<Vec<_>>());
            restarts(&mut server, load, Version::HTTP_2).await;
        }
    }
}

/// Some of whose connections are idle all the while: no answer goes over them that could say anything.
#[tokio::test]
async fn a_pool_that_tries_again_loses_nothing() {
    for serve in SERVERS {
        for version in healths::VERSIONS {
            let mut server = Restarted::new(serve);
            let policy = RetryPolicy::http().backoff(Backoff::constant(Duration::ZERO));
            let retry = RetryLayer::new(policy.budget(Budget::unlimited()));
            let all = retry.layer(pool::<RetryBody<Empty<Bytes>>>(version, |_| {}));
            let clients = (0..CLIENTS).map(|_| asks(all.clone(), &Method::GET, server.address()));
            let load = Load::of(clients.collect::<Vec<_>>());
            restarts(&mut server, load, version).await;
        }
    }
}

/// tonic's channel tells its caller of what it had not sent when the server asked it to leave. A retry sends
/// that, and nothing that may have been sent: no method is named as one that may be called twice.
#[tokio::test]
async fn clients_of_grpc_lose_nothing() {
    let mut server = Restarted::new(restart::tonic);
    let policy = RetryPolicy::grpc().backoff(Backoff::constant(Duration::ZERO));
    let retry =
        RetryLayer::new(policy.budget(Budget::unlimited())).with_body(tonic::body::Body::new);
    let channel = retry.layer(endpoint(server.address()).connect_lazy());
    let clients = (0..CLIENTS).map(|_| {
        let client = EchoClient::new(channel.clone());
        let ask: Ask = Box::new(move || {
            let mut client = client.clone();
            async move {
                let said = client.say(SayRequest::default()).await;
                said.map(drop).map_err(|status| format!("{status:?}"))
            }
            .boxed()
        });
        ask
    });
    let load = Load::of(clients.collect::<Vec<_>>());
    for _ in 0..RESTARTS {
        let mut client = EchoClient::new(endpoint(server.address()).connect_lazy());
        let counted = client.count(CountRequest { to: 1, held: true }).await;
        let mut numbers = counted.unwrap().into_inner();
        assert_eq!(numbers.message().await.unwrap().unwrap().number, 1);
        server.restarts_under(&load).await;
        assert!(numbers.message().await.unwrap().is_none());
    }
    assert!(load.ends().await > 0);
}

/// What no server can help: one that closes what is idle cannot know what is on its way. A client that keeps
/// connections tries again what it sent over one that was closed without an answer (RFC 9112, section 9.3.1).
#[tokio::test]
async fn a_connection_over_http1_that_is_idle_all_the_while_is_closed_without_a_word() {
    for serve in [Served::router, Served::hyper] {
        let served = serve(Version::HTTP_11);
        let mut idle = Raw::open(&served.server, "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(idle.read_to("hello").await.starts_with("HTTP/1.1 200 "));
        served.health.drain(healths::HOUR);
        served.stop();
        assert_eq!(idle.read_to_end().await, "");
        assert!(served.has_ended().await);
    }
}
