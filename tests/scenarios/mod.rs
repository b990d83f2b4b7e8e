//! What a concurrency limit must do under a real HTTP server, whichever it is.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{
    future::{join, join_all},
    stream,
};
use http::{Method, Request, Response, Version, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use palisade::limit_concurrency::{Held, InFlight};
use palisade_testkit::{
    Gate,
    sockets::{Client, Raw, Server, eventually},
};

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Larger than all that sockets and servers buffer on the way to a client that does not read.
const LONG: usize = 64 << 20;
static CHUNK: [u8; 1 << 16] = [0; 1 << 16];

/// What the server does for a path. Other than that, it only has the layer.
pub(crate) async fn answer<B>(gate: Gate, mut request: Request<B>) -> Response<Body> {
    match request.uri().path() {
        "/hello" => Response::new(Body::from("hello")),
        "/held" | "/held/too" => {
            gate.pass().await;
            Response::new(Body::from("done"))
        }
        "/long" => {
            let chunks = (0..LONG / CHUNK.len())
                .map(|_| Ok::<_, hyper::Error>(Frame::data(Bytes::from_static(&CHUNK))));
            Response::new(Body::new(StreamBody::new(stream::iter(chunks))))
        }
        "/panic" => panic!("the handler panics as asked"),
        "/upgrade/held" => {
            let held = request.extensions_mut().remove().expect("the layer left it");
            becomes_an_echo(&mut request, Some(held));
            switching_protocols()
        }
        "/upgrade/ignored" => {
            becomes_an_echo(&mut request, None);
            switching_protocols()
        }
        "" if request.method() == Method::CONNECT => {
            let held = request.extensions_mut().remove().expect("the layer left it");
            becomes_an_echo(&mut request, Some(held));
            Response::new(Body::empty())
        }
        path => panic!("nothing is at {path}"),
    }
}

/// Once the response is out, all that comes over the connection goes back.
fn becomes_an_echo<B>(request: &mut Request<B>, held: Option<Held>) {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let connection = TokioIo::new(upgraded.await.unwrap());
        let (mut from, mut to) = tokio::io::split(connection);
        // Errors say that the client is gone.
        tokio::io::copy(&mut from, &mut to).await.ok();
        drop(held);
    });
}

fn switching_protocols() -> Response<Body> {
    Response::builder()
        .status(101)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo")
        .body(Body::empty())
        .unwrap()
}

/// A server that does what [`answer`] does, under a limit of `max`.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) gate: Gate,
    pub(crate) in_flight: InFlight,
    pub(crate) version: Version,
}

impl Served {
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.server, self.version).await
    }

    /// The quiet end of a test: everything came back and everything was counted.
    pub(crate) async fn settles_with(self, admitted: u64, rejected: u64) {
        eventually(|| self.in_flight.in_flight() == 0).await;
        let counted = (self.in_flight.admitted(), self.in_flight.rejected());
        assert_eq!(counted, (admitted, rejected));
    }

    pub(crate) async fn refuses(&self) {
        is_refusal(&self.client().await.read("/hello").await.unwrap());
    }

    pub(crate) async fn admits(&self) {
        let response = self.client().await.read("/hello").await.unwrap();
        assert_eq!((response.status().as_u16(), &**response.body()), (200, &b"hello"[..]));
    }
}

fn is_refusal(response: &Response<Bytes>) {
    assert_eq!(response.status(), 429);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(headers["content-length"], *response.body().len().to_string());
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["type"], "urn:palisade:at-capacity");
}

pub(crate) async fn all_but_one_are_admitted_over_all_routes_and_connections(served: Served) {
    const MAX: usize = 4;
    served.in_flight.set_max(MAX);
    // Over HTTP/2 connections are shared too.
    let connections = if served.version == Version::HTTP_2 { 2 } else { MAX + 1 };
    let clients = join_all((0..connections).map(|_| served.client())).await;
    let calls = (0..=MAX).map(|call| {
        let path = ["/held", "/held/too"][call / 2 % 2];
        clients[call % connections].read(path)
    });
    let calls: Vec<_> = calls.collect();
    let watch = async {
        let in_flight = &served.in_flight;
        eventually(|| in_flight.admitted() + in_flight.rejected() > MAX as u64).await;
        assert_eq!(in_flight.in_flight(), MAX);
        served.gate.open();
    };
    let (answers, ()) = join(join_all(calls), watch).await;
    let (admitted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().map(Result::unwrap).partition(|answer| answer.status() == 200);
    assert!(admitted.iter().all(|answer| answer.body() == "done"));
    assert_eq!((admitted.len(), refused.len()), (MAX, 1));
    is_refusal(&refused[0]);
    served.settles_with(MAX as u64, 1).await;
}

pub(crate) async fn a_slow_reader_holds_its_permit(served: Served) {
    let client = served.client().await;
    let body = client.get("/long").await.unwrap().into_body();
    let (begun, body) = frame(body).await;
    assert_eq!(served.in_flight.in_flight(), 1);
    served.refuses().await;
    let rest = read_all(body).await;
    assert_eq!(begun + rest, LONG);
    eventually(|| served.in_flight.in_flight() == 0).await;
    served.admits().await;
    served.settles_with(2, 1).await;
}

async fn frame(mut body: Incoming) -> (usize, Incoming) {
    let frame = body.frame().await.unwrap().unwrap();
    (frame.into_data().unwrap().len(), body)
}

async fn read_all(mut body: Incoming) -> usize {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    read
}

pub(crate) async fn a_client_that_disconnects_frees_its_permit(served: Served) {
    // In the middle of the body …
    let client = served.client().await;
    let body = client.get("/long").await.unwrap().into_body();
    let (_, body) = frame(body).await;
    drop(client);
    eventually(|| served.in_flight.in_flight() == 0).await;
    drop(body);
    // … and before there is a head.
    let client = served.client().await;
    let call = tokio::spawn(async move { client.read("/held").await });
    eventually(|| served.in_flight.in_flight() == 1).await;
    served.refuses().await;
    call.abort();
    eventually(|| served.in_flight.in_flight() == 0).await;
    served.admits().await;
    served.settles_with(3, 1).await;
}

pub(crate) async fn a_stream_that_is_reset_frees_its_permit(served: Served) {
    assert_eq!(served.version, Version::HTTP_2);
    let client = served.client().await;
    drop(client.get("/long").await.unwrap());
    eventually(|| served.in_flight.in_flight() == 0).await;
    let client = Arc::new(client);
    let call = tokio::spawn({
        let client = Arc::clone(&client);
        async move { client.read("/held").await }
    });
    eventually(|| served.in_flight.in_flight() == 1).await;
    call.abort();
    eventually(|| served.in_flight.in_flight() == 0).await;
    // The connection is none the worse.
    assert_eq!(client.read("/hello").await.unwrap().status(), 200);
    served.settles_with(3, 0).await;
}

pub(crate) async fn a_handler_that_panics_frees_its_permit(served: Served) {
    for _ in 0..2 {
        served.client().await.read("/panic").await.unwrap_err();
        eventually(|| served.in_flight.in_flight() == 0).await;
    }
    served.admits().await;
    served.settles_with(3, 0).await;
}

pub(crate) async fn an_upgraded_connection_keeps_the_permit_it_is_given(served: Served) {
    let mut connection = upgraded(&served.server, "/upgrade/held").await;
    connection.write("ping;").await;
    assert_eq!(connection.read_to(";").await, "ping;");
    assert_eq!(served.in_flight.in_flight(), 1);
    served.refuses().await;
    drop(connection);
    eventually(|| served.in_flight.in_flight() == 0).await;
    served.admits().await;
    served.settles_with(2, 1).await;
}

pub(crate) async fn an_upgraded_connection_without_the_permit_holds_none(served: Served) {
    let mut connection = upgraded(&served.server, "/upgrade/ignored").await;
    eventually(|| served.in_flight.in_flight() == 0).await;
    served.admits().await;
    connection.write("ping;").await;
    assert_eq!(connection.read_to(";").await, "ping;");
    served.settles_with(2, 0).await;
}

async fn upgraded(server: &Server, path: &str) -> Raw {
    let sent =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
    let mut raw = Raw::open(server, &sent).await;
    let head = raw.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    raw
}
