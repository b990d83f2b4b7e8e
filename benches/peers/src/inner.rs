//! The service that every contender wraps, and the requests it is sent.

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::{Empty, Full};
use tower::Service;

/// Answers with an empty body: at once, or once it was pending.
///
/// Its call and its answer are not inlined, as those of a real service are not: else the compiler
/// sees through the bare service, builds no response at all, and every layer is charged with it.
/// Whether it is pending is decided while it runs, so that a contender is one type.
pub(crate) struct Inner<B> {
    pub(crate) pending: bool,
    pub(crate) body: PhantomData<fn() -> B>,
}

/// With a body that costs nothing.
pub(crate) type Bare = Inner<Empty<Bytes>>;

/// With axum's body, which `tower_governor` insists on.
pub(crate) type BareAxum = Inner<axum::body::Body>;

impl<B> Clone for Inner<B> {
    fn clone(&self) -> Self {
        Self { pending: self.pending, body: PhantomData }
    }
}

impl<B: Default, Q> Service<Request<Q>> for Inner<B> {
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Answer<B>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<Q>) -> Answer<B> {
        std::hint::black_box(&request);
        Answer { pending: self.pending, body: PhantomData }
    }
}

pub(crate) struct Answer<B> {
    pending: bool,
    body: PhantomData<fn() -> B>,
}

impl<B: Default> Future for Answer<B> {
    type Output = Result<Response<B>, Infallible>;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(Response::new(B::default())))
    }
}

/// The header that keyed contenders look at.
pub(crate) const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A request that allocates nothing.
#[inline]
pub(crate) fn plain() -> Request<Nothing> {
    Request::new(Empty::new())
}

/// The body of a request that has none, which is as large as `()`.
pub(crate) type Nothing = Empty<Bytes>;

/// A request that asks whether the service is ready.
#[inline]
pub(crate) fn probing() -> Request<Nothing> {
    let mut request = plain();
    *request.uri_mut() = Uri::from_static("/readyz");
    request
}

/// A request by a method that may not be done twice.
#[inline]
pub(crate) fn posted() -> Request<Nothing> {
    let mut request = plain();
    *request.method_mut() = Method::POST;
    request
}

/// A request that says who is asking.
#[inline]
pub(crate) fn keyed() -> Request<Nothing> {
    let mut request = plain();
    request.headers_mut().insert(KEY, HeaderValue::from_static("0123456789abcdef"));
    request
}

/// A request as a gateway hands it on: twelve headers, two of them ids.
#[inline]
pub(crate) fn dressed() -> Request<Nothing> {
    dress(plain())
}

/// The same, and it says something.
#[inline]
pub(crate) fn laden() -> Request<Full<Bytes>> {
    dress(Request::new(Full::new(Bytes::from_static(b"{\"soup\":2}"))))
}

#[inline]
fn dress<Q>(mut request: Request<Q>) -> Request<Q> {
    let headers = request.headers_mut();
    headers.reserve(DRESS.len());
    for (name, value) in DRESS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    request
}

const DRESS: [(HeaderName, &str); 12] = [
    (header::HOST, "shop.example"),
    (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
    (header::ACCEPT, "application/json"),
    (header::ACCEPT_ENCODING, "gzip, deflate, br"),
    (header::ACCEPT_LANGUAGE, "en-GB,en;q=0.7"),
    (header::CONTENT_TYPE, "application/json"),
    (header::COOKIE, "basket=7f3a"),
    (header::AUTHORIZATION, "Bearer 0123456789abcdef"),
    (HeaderName::from_static("x-forwarded-for"), "192.0.2.17"),
    (HeaderName::from_static("x-forwarded-proto"), "https"),
    (
        HeaderName::from_static("traceparent"),
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
    (HeaderName::from_static("x-request-id"), "9d8c7b6a-0000-4000-8000-0123456789ab"),
];
