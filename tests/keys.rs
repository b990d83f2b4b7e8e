//! Who is asking, as real servers know it.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, routing::get};
use http::{HeaderName, Version};
use http_body_util::{BodyExt, Empty};
use palisade::{
    Head,
    key::{Authority, ExtractKey, ForwardedIp, HeaderKey, PeerIp},
};
use palisade_testkit::{
    Gate,
    grpc::{Echo, EchoClient, EchoServer, SayRequest},
    sockets::{Client, Server},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tonic::transport::{
    self, Endpoint,
    server::{TcpConnectInfo, TcpIncoming},
};
use tower::util::MapRequestLayer;

/// Answers with the keys of the request.
async fn keys(request: Request) -> String {
    let head = Head::of(&request);
    let forwarded = ForwardedIp::try_trusting(["127.0.0.0/8"]).unwrap();
    let tenant = HeaderKey::new(HeaderName::from_static("x-tenant"));
    let keys = [
        PeerIp::new().with(head, |key| key.map(ToString::to_string)),
        forwarded.with(head, |key| key.map(ToString::to_string)),
        tenant.with(head, |key| key.map(|key| String::from_utf8_lossy(key).into_owned())),
        Authority::new().without_port().with(head, |key| key.map(str::to_owned)),
    ];
    keys.map(|key| key.unwrap_or_else(|| "none".to_owned())).join(" ")
}

fn app() -> Router {
    Router::new().route("/", get(keys))
}

#[tokio::test]
async fn a_request_over_http_1_and_2_has_the_same_keys() {
    let server = Server::start(|listener| async {
        let app = app().into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, app).await
    });
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let client = Client::connect(&server, version).await;
        let request = Request::get("/")
            .header("x-forwarded-for", "198.51.100.7")
            .header("x-forwarded-for", "192.0.2.1, 127.0.0.9:4711")
            .header("x-tenant", "blue")
            .body(Empty::new())
            .unwrap();
        let answer = client.send(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "127.0.0.1 192.0.2.1 blue 127.0.0.1", "{version:?}");
    }
}

#[tokio::test]
async fn without_connect_info_a_request_is_answered_and_its_key_missing() {
    let server = Server::axum(app());
    let client = Client::connect(&server, Version::HTTP_11).await;
    let answer = client.read("/").await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.body()[..]),
        (200, &b"none none none 127.0.0.1"[..])
    );
}

#[tokio::test]
async fn an_ipv4_client_on_an_ipv6_listener_is_known_by_its_ipv4_address() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).await else {
        return; // a machine without IPv6
    };
    let port = listener.local_addr().unwrap().port();
    let app = app().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, app).await });
    let Ok(mut connection) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return; // one whose IPv6 listeners take no IPv4 connections
    };
    let request = b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("127.0.0.1 127.0.0.1 none a.example"), "{answer}");
}

#[tokio::test]
async fn tonic_knows_its_peer() {
    let seen = Arc::new(Mutex::new(None));
    let seeing = Arc::clone(&seen);
    let peer = PeerIp::from_extension(TcpConnectInfo::remote_addr);
    let layer = MapRequestLayer::new(move |request: http::Request<tonic::body::Body>| {
        *seeing.lock().unwrap() = peer.with(Head::of(&request), |key| key.map(ToString::to_string));
        request
    });
    let gate = Gate::new();
    gate.open();
    let echo = EchoServer::new(Echo::new(gate));
    let server = Server::start(|listener| {
        transport::Server::builder()
            .layer(layer)
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    });
    let channel = Endpoint::from_shared(format!("http://{}", server.address())).unwrap();
    let mut client = EchoClient::new(channel.connect_lazy());
    client.say(SayRequest { text: "hello".into(), ..SayRequest::default() }).await.unwrap();
    assert_eq!(seen.lock().unwrap().as_deref(), Some("127.0.0.1"));
}
