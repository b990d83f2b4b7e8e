//! limit-concurrency under hyper alone, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod scenarios;

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo},
};
use palisade::{Rejection, Sent, limit_concurrency::LimitConcurrencyLayer};
use palisade_testkit::{
    Gate,
    sockets::{Raw, Server, deaf, eventually},
};
use scenarios::{Served, VERSIONS, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Layer, Service, ServiceExt, service_fn};

/// hyper clones the service for each request; the limit starts as 1.
fn served(version: Version) -> Served {
    let (gate, layer) = (Gate::new(), LimitConcurrencyLayer::new(1));
    let in_flight = layer.handle();
    let inner_gate = gate.clone();
    let service = layer.layer(service_fn(move |request: Request<Incoming>| {
        let gate = inner_gate.clone();
        async { Ok::<_, Infallible>(answer(gate, request).await) }
    }));
    Served { server: Server::hyper(service), gate, in_flight, version }
}

#[tokio::test]
async fn all_but_one_are_admitted_over_all_connections() {
    for version in VERSIONS {
        scenarios::all_but_one_are_admitted_over_all_routes_and_connections(served(version)).await;
    }
}

#[tokio::test]
async fn a_slow_reader_holds_its_permit() {
    for version in VERSIONS {
        scenarios::a_slow_reader_holds_its_permit(served(version)).await;
    }
}

#[tokio::test]
async fn a_client_that_disconnects_frees_its_permit() {
    for version in VERSIONS {
        scenarios::a_client_that_disconnects_frees_its_permit(served(version)).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_frees_its_permit() {
    scenarios::a_stream_that_is_reset_frees_its_permit(served(Version::HTTP_2)).await;
}

#[tokio::test]
async fn a_handler_that_panics_frees_its_permit() {
    for version in VERSIONS {
        scenarios::a_handler_that_panics_frees_its_permit(served(version)).await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_keeps_the_permit_it_is_given() {
    let served = served(Version::HTTP_11);
    scenarios::an_upgraded_connection_keeps_the_permit_it_is_given(served).await;
}

#[tokio::test]
async fn an_upgraded_connection_without_the_permit_holds_none() {
    let served = served(Version::HTTP_11);
    scenarios::an_upgraded_connection_without_the_permit_holds_none(served).await;
}

#[tokio::test]
async fn a_tunnel_keeps_the_permit_it_is_given() {
    let served = served(Version::HTTP_11);
    let sent = "CONNECT example:443 HTTP/1.1\r\nhost: example:443\r\n\r\n";
    let mut tunnel = Raw::open(&served.server, sent).await;
    let head = tunnel.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    tunnel.write("ping;").await;
    assert_eq!(tunnel.read_to(";").await, "ping;");
    served.refuses().await;
    drop(tunnel);
    eventually(|| served.in_flight.in_flight() == 0).await;
    served.settles_with(1, 1).await;
}

#[tokio::test]
async fn a_tunnel_in_a_stream_keeps_the_permit_it_is_given() {
    let served = served(Version::HTTP_2);
    let client = served.client().await;
    let connect = Request::connect("example:443").body(Empty::new()).unwrap();
    let response = client.send(connect).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    tunnel.write_all(b"ping").await.unwrap();
    let mut read = [0; 4];
    tunnel.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"ping");
    served.refuses().await;
    tunnel.shutdown().await.unwrap();
    eventually(|| served.in_flight.in_flight() == 0).await;
    served.settles_with(1, 1).await;
}

#[tokio::test]
async fn around_a_client_the_permit_is_held_while_the_answer_is_read() {
    let served = served(Version::HTTP_11);
    served.in_flight.set_max(8);
    let layer = LimitConcurrencyLayer::new(1);
    let transport = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut client = layer.layer(transport);
    let upstream = served.server.address();
    let mut get = async |server: SocketAddr, path| {
        let uri = format!("http://{server}{path}");
        let request = Request::get(uri).body(Empty::new()).unwrap();
        client.ready().await?.call(request).await
    };
    let open = get(upstream, "/long").await.unwrap();
    assert_eq!(open.status(), 200);
    let refused = get(upstream, "/hello").await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(Rejection::of(&refused).unwrap().sent(), Sent::No);
    drop(open);
    assert_eq!(layer.handle().in_flight(), 0);
    let answer = get(upstream, "/hello").await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
    // The error is the client's own, and so is its type.
    let deaf = deaf();
    let error: legacy::Error = get(deaf.local_addr().unwrap(), "/").await.unwrap_err();
    assert!(error.is_connect());
    let in_flight = layer.handle();
    assert_eq!((in_flight.in_flight(), in_flight.admitted(), in_flight.rejected()), (0, 3, 1));
    served.settles_with(2, 0).await;
}
