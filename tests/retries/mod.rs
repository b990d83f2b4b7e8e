//! Upstreams that fail for a while, and clients that try again.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod broken;
pub(crate) mod grpc;

use std::{
    collections::VecDeque,
    future::pending,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use broken::{Break, Breaking};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::{
    Backoff,
    retry::{Budget, RetryPolicy},
};
use palisade_testkit::{Gate, sockets::Server};
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedSender, unbounded_channel},
};
use tower::{Service, ServiceExt};

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// As short as a wait can be in which the other tasks of a runtime take their turn.
pub(crate) const WAIT: Duration = Duration::from_millis(2);

/// Waits shortly, and has no budget to run out.
pub(crate) fn policy() -> RetryPolicy {
    quick(RetryPolicy::http())
}

pub(crate) fn quick(policy: RetryPolicy) -> RetryPolicy {
    policy.backoff(Backoff::constant(WAIT)).budget(Budget::unlimited())
}

/// A request as it came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// `None` where it was cut off.
    pub(crate) body: Option<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// What an upstream is told, and what it has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    script: Mutex<VecDeque<u16>>,
    gate: Gate,
    heads: AtomicUsize,
    under_way: AtomicUsize,
    arrived: Mutex<Vec<Arrived>>,
}

/// A request under way.
struct Working<'a>(&'a Seen);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Told {
    /// To answer with these, one after the other, and then with 200.
    pub(crate) fn say(&self, statuses: impl IntoIterator<Item = u16>) {
        *lock(&self.0.script) = statuses.into_iter().collect();
    }

    /// Where `/held` waits, before it answers.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// How many requests have begun.
    pub(crate) fn requests(&self) -> usize {
        self.0.heads.load(SeqCst)
    }

    /// Requests that were neither answered nor given up.
    pub(crate) fn under_way(&self) -> usize {
        self.0.under_way.load(SeqCst)
    }

    /// The requests that have come to their end.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        lock(&self.0.arrived).clone()
    }

    pub(crate) fn began(&self) {
        self.0.heads.fetch_add(1, SeqCst);
    }

    pub(crate) fn ended(&self, arrived: Arrived) {
        lock(&self.0.arrived).push(arrived);
    }

    /// Answers as told: when the body is read, and at `/early` before; at `/hangs` not at all.
    async fn work(self, request: Request) -> Response<Body> {
        self.began();
        self.0.under_way.fetch_add(1, SeqCst);
        let _working = Working(&self.0);
        let (parts, body) = request.into_parts();
        let status = lock(&self.0.script).pop_front().unwrap_or(200);
        match parts.uri.path() {
            "/early" => {}
            path => {
                let body = body.collect().await.ok();
                let trailers = body.as_ref().and_then(|body| body.trailers().cloned());
                let body = body.map(http_body_util::Collected::to_bytes);
                let (method, headers) = (parts.method, parts.headers);
                self.ended(Arrived { method, headers, body, trailers });
                match path {
                    "/held" => self.gate().pass().await,
                    "/hangs" => pending().await,
                    _ => {}
                }
            }
        }
        // More than is read of an answer that is not good enough.
        let size = if parts.uri.path() == "/large" { 100_000 } else { 8 };
        Response::builder().status(status).body(Body::from(vec![b'.'; size])).unwrap()
    }

    /// Serves with axum what comes after the connections that break.
    pub(crate) async fn serve(self, listener: TcpListener, breaks: Vec<Break>) {
        let listener = Breaking::new(listener, breaks, self.clone());
        let app = Router::new().fallback(move |request: Request| self.clone().work(request));
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
        Self::breaking([])
    }

    /// Whose first connections break.
    pub(crate) fn breaking(breaks: impl IntoIterator<Item = Break>) -> Self {
        let (told, breaks) = (Told::default(), breaks.into_iter().collect());
        let server = Server::start(|listener| told.clone().serve(listener, breaks));
        Self { server, told }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) fn request<B>(&self, method: &Method, path: &str, body: B) -> http::Request<B> {
        request(self.address(), method, path, body)
    }
}

pub(crate) fn request<B>(
    server: SocketAddr,
    method: &Method,
    path: &str,
    body: B,
) -> http::Request<B> {
    http::Request::builder()
        .method(method)
        .uri(format!("http://{server}{path}"))
        .body(body)
        .unwrap()
}

pub(crate) fn text(text: &'static str) -> Full<Bytes> {
    Full::from(text)
}

/// hyper-util's client, which speaks this version only.
pub(crate) fn client<B>(version: Version) -> legacy::Client<HttpConnector, B>
where
    B: http_body::Body<Data: Send> + Send,
{
    let mut client = legacy::Client::builder(TokioExecutor::new());
    client.http2_only(version == Version::HTTP_2).build_http()
}

/// Sends a request and reads all of its answer.
pub(crate) async fn send<S, A, B>(
    service: &S,
    request: http::Request<A>,
) -> Result<Response<Bytes>, S::Error>
where
    S: Service<http::Request<A>, Response = Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let answer = tokio::time::timeout(Duration::from_secs(20), async {
        let (head, body) = service.clone().oneshot(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await.unwrap().to_bytes()))
    });
    answer.await.expect("an answer, and no hanging")
}

/// What a caller has yet to say. It knows when nobody listens any more.
pub(crate) type Upload = UnboundedSender<Result<Bytes, io::Error>>;

/// A body that is sent as it comes.
pub(crate) fn upload() -> (Upload, Body) {
    let (upload, mut parts) = unbounded_channel();
    (upload, Body::from_stream(stream::poll_fn(move |cx| parts.poll_recv(cx))))
}

/// A body of so many parts, whose length is not known before.
pub(crate) fn streamed(parts: usize, bytes: usize) -> Body {
    let (upload, body) = upload();
    for part in 0..parts {
        upload.send(Ok(part_of(part, bytes))).unwrap();
    }
    body
}

/// Such that no part is like another.
pub(crate) fn part_of(number: usize, bytes: usize) -> Bytes {
    vec![b'a' + u8::try_from(number % 26).unwrap(); bytes].into()
}

pub(crate) fn whole(parts: usize, bytes: usize) -> Bytes {
    (0..parts).flat_map(|part| part_of(part, bytes)).collect()
}
