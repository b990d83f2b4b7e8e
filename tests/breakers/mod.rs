//! Upstreams that fail on command, and clients that stop calling them.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod grpc;

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, extract::Request, serve::ListenerExt};
use bytes::Bytes;
use http::{Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::{
    Backoff,
    breaker::{Policy, Probes, Trip},
};
use palisade_testkit::{Gate, sockets::Server};
use tokio::{
    net::TcpListener,
    time::{advance, pause, resume},
};
use tower::{Service, ServiceExt};

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// How long a circuit is open: longer than any test takes.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Opens after two failures in a row, for an hour, and asks one probe.
pub(crate) fn policy() -> Policy {
    Policy::new(Trip::consecutive(2)).with_open(Backoff::constant(HOUR)).with_probes(Probes::new(1))
}

/// Puts the clock of this test's runtime forward, which servers do not share. What is under way and has a
/// timer runs out.
pub(crate) async fn an_hour_later() {
    pause();
    advance(HOUR).await;
    resume();
}

/// What an upstream is told, and what it has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    status: AtomicU16,
    gate: Gate,
    connections: AtomicUsize,
    requests: AtomicUsize,
    under_way: AtomicUsize,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            status: AtomicU16::new(200),
            gate: Gate::new(),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
        }
    }
}

/// A request under way.
struct Working<'a>(&'a Seen);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
    }
}

impl Told {
    /// To answer with this status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.0.status.store(status, SeqCst);
    }

    /// What is held waits here.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.requests.load(SeqCst)
    }

    /// Requests that were neither answered nor given up.
    pub(crate) fn under_way(&self) -> usize {
        self.0.under_way.load(SeqCst)
    }

    /// All that reached it: connections and requests.
    pub(crate) fn touched(&self) -> (usize, usize) {
        (self.0.connections.load(SeqCst), self.requests())
    }

    /// Answers as told: at once, or after the gate at `/held`, and at `/hangs` not at all. At `/panics`
    /// it does that.
    pub(crate) async fn work(self, request: Request) -> StatusCode {
        self.0.requests.fetch_add(1, SeqCst);
        self.0.under_way.fetch_add(1, SeqCst);
        let _working = Working(&self.0);
        // Whatever it is told meanwhile.
        let status = self.0.status.load(SeqCst);
        match request.uri().path() {
            "/hangs" => pending().await,
            "/held" => self.gate().pass().await,
            "/panics" => panic!("the handler panics as asked"),
            _ => {}
        }
        StatusCode::from_u16(status).unwrap()
    }

    /// Serves with axum.
    pub(crate) async fn serve(self, listener: TcpListener) {
        let (seen, told) = (Arc::clone(&self.0), self);
        let listener = listener.tap_io(move |_| _ = seen.connections.fetch_add(1, SeqCst));
        let app = Router::new().fallback(move |request: Request| told.clone().work(request));
        axum::serve(listener, app).await.unwrap();
    }
}

/// An axum server that answers as it is told.
pub(crate) struct Upstream {
    server: Server,
    pub(crate) told: Told,
}

impl Upstream {
    pub(crate) fn new() -> Self {
        let told = Told::default();
        let server = Server::start(|listener| told.clone().serve(listener));
        Self { server, told }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn get(&self, path: &str) -> http::Request<Full<Bytes>> {
        get(self.address(), path)
    }
}

pub(crate) fn get(server: SocketAddr, path: &str) -> http::Request<Full<Bytes>> {
    http::Request::get(format!("http://{server}{path}")).body(Full::default()).unwrap()
}

/// hyper-util's client.
pub(crate) type Client = legacy::Client<HttpConnector, Full<Bytes>>;

/// One that speaks this version only.
pub(crate) fn client(version: Version) -> Client {
    let mut client = legacy::Client::builder(TokioExecutor::new());
    client.http2_only(version == Version::HTTP_2).build_http()
}

/// Sends a request and reads all of its answer.
pub(crate) async fn send<S, A, B>(service: &S, request: http::Request<A>) -> Response<Bytes>
where
    S: Service<http::Request<A>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let (head, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

/// The refusal of an open circuit, as anybody sees it who knows nothing of Palisade.
pub(crate) fn is_refusal(answer: &Response<Bytes>) -> bool {
    if answer.status() != 503 || answer.headers()["content-type"] != "application/problem+json" {
        return false;
    }
    let problem: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(problem["type"], "urn:palisade:circuit-open");
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((HOUR.as_secs() - 60..=HOUR.as_secs()).contains(&wait), "{wait}");
    true
}
