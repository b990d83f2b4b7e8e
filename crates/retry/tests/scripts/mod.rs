//! An inner service that answers as a script says, and remembers how it was called.

#![allow(clippy::unwrap_used, dead_code, reason = "a test, and each uses its own part")]

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use palisade_core::{BoxError, Protocol, Reason, Rejection, Sent};
use tokio::time::Instant;
use tower::Service;

/// What one attempt comes to.
#[derive(Clone, Debug)]
pub(crate) enum Say {
    /// This status, with these headers.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// An error of this kind.
    Error(io::ErrorKind),
    /// A refusal by a layer inside.
    Refusal(StatusCode, Sent, Option<Duration>),
}

pub(crate) const OK: Say = Say::Status(200, &[]);
pub(crate) const DOWN: Say = Say::Status(503, &[]);
pub(crate) const REFUSED: Say = Say::Error(io::ErrorKind::ConnectionRefused);
pub(crate) const RESET: Say = Say::Error(io::ErrorKind::ConnectionReset);

pub(crate) const REASON: Reason = Reason::new("as-scripted");

/// Clones share the script. Over its end it says the last line again.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    shared: Arc<Mutex<Shared>>,
    ready: bool,
}

#[derive(Debug, Default)]
struct Shared {
    lines: VecDeque<Say>,
    calls: Vec<Call>,
    not_ready: VecDeque<bool>,
}

/// How it was called.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    pub(crate) parts: Parts,
    /// `None` if it failed.
    pub(crate) body: Option<Bytes>,
}

impl Script {
    pub(crate) fn new(lines: impl IntoIterator<Item = Say>) -> Self {
        let shared = Shared { lines: lines.into_iter().collect(), ..Shared::default() };
        Self { shared: Arc::new(Mutex::new(shared)), ready: false }
    }

    /// Whether it is ready when it is asked, for the first times; then it is.
    pub(crate) fn with_ready(self, ready: impl IntoIterator<Item = bool>) -> Self {
        self.shared.lock().unwrap().not_ready = ready.into_iter().map(|ready| !ready).collect();
        self
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.lock().unwrap().calls.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.calls().len()
    }

    /// The times between one call and the next.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.calls().windows(2).map(|pair| pair[1].at - pair[0].at).collect()
    }
}

impl<B> Service<Request<B>> for Script
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = futures_util::future::BoxFuture<'static, Result<Self::Response, io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), io::Error>> {
        if self.shared.lock().unwrap().not_ready.pop_front().unwrap_or_default() {
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "a service was called that had not been ready");
        let shared = Arc::clone(&self.shared);
        let at = Instant::now();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let protocol = Protocol::by(&parts.method, parts.headers.get("content-type"));
            let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
            let mut shared = shared.lock().unwrap();
            shared.calls.push(Call { at, parts, body });
            let line = match shared.lines.len() {
                1 => shared.lines[0].clone(),
                _ => shared.lines.pop_front().unwrap(),
            };
            drop(shared);
            match line {
                Say::Status(status, headers) => {
                    let mut response = Response::builder().status(status);
                    for &(name, value) in headers {
                        response = response.header(name, value);
                    }
                    Ok(response.body(Full::from("answered")).unwrap())
                }
                Say::Error(kind) => Err(kind.into()),
                Say::Refusal(status, sent, after) => {
                    let mut rejection = Rejection::new(REASON, status).with_sent(sent);
                    if let Some(after) = after {
                        rejection = rejection.with_retry_after(after);
                    }
                    Ok(rejection.respond(protocol))
                }
            }
        })
    }
}

pub(crate) fn get() -> Request<Full<Bytes>> {
    Request::get("/").body(Full::default()).unwrap()
}

pub(crate) fn put(body: &'static str) -> Request<Full<Bytes>> {
    Request::put("/").body(Full::from(body)).unwrap()
}

pub(crate) fn post(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("/").body(Full::from(body)).unwrap()
}

pub(crate) fn grpc(path: &str) -> Request<Full<Bytes>> {
    let call = Request::post(path).header("content-type", "application/grpc");
    call.body(Full::from("message")).unwrap()
}
