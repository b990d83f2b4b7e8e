//! The service that every layer stands before.

use std::{
    error::Error,
    fmt,
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, Method, Request, Response, header};
use http_body_util::Empty;
use tower::{Service, ServiceExt};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A request that can be cloned, as some peers ask for.
pub(crate) type Asked = Request<Empty<Bytes>>;

pub(crate) fn get() -> Asked {
    Request::default()
}

pub(crate) fn post() -> Asked {
    let mut request = get();
    *request.method_mut() = Method::POST;
    request
}

pub(crate) fn from(client: &'static str) -> Asked {
    Request::get("/").header(KEY, client).body(Empty::new()).unwrap()
}

/// Once it is ready for such a request.
pub(crate) async fn ready<S>(service: &mut S) -> &mut S
where
    S: Service<Asked, Error: fmt::Debug>,
{
    service.ready().await.unwrap()
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    /// Answers with this status, and a body of one frame.
    Answers(u16),
    /// Answers by a header alone, as gRPC has it.
    AnswersGrpc(&'static str),
    /// Answers 503, and asks to be left alone for so many seconds.
    AsksToWait(&'static str),
    /// Answers after this time, with a body that never ends.
    StreamsAfter(Duration),
    Fails,
    Hangs,
}

#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is broken")
    }
}

impl Error for Broken {}

/// Does the same with every request, and counts them.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    act: Act,
    calls: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) fn new(act: Act) -> Self {
        Self { act, calls: Arc::default() }
    }

    pub(crate) fn hello() -> Self {
        Self::new(Act::Answers(200))
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Relaxed)
    }
}

impl<B> Service<Request<B>> for Upstream {
    type Response = Response<Body>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Broken>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        self.calls.fetch_add(1, Relaxed);
        let act = self.act;
        Box::pin(async move {
            let response = Response::builder();
            let response = match act {
                Act::Answers(status) => response.status(status).body(Body::from("hello")),
                Act::AnswersGrpc(code) => response.header("grpc-status", code).body(Body::empty()),
                Act::AsksToWait(seconds) => {
                    response.status(503).header(header::RETRY_AFTER, seconds).body(Body::empty())
                }
                Act::StreamsAfter(time) => {
                    tokio::time::sleep(time).await;
                    response.body(Body::from_stream(stream::pending::<Result<Bytes, Broken>>()))
                }
                Act::Fails => return Err(Broken),
                Act::Hangs => pending().await,
            };
            Ok(response.unwrap())
        })
    }
}
