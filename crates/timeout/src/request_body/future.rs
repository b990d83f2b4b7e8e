use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Response, header::CONNECTION};
use http_body::Body;
use palisade_core::{BodyRule, GuardedBody, Protocol, Rejection, Unwatched};
use pin_project::pin_project;

use super::link::Link;

/// The body of an answer: the inner service's, or a refusal's own.
pub type ResponseBody<B> = GuardedBody<B, Unwatched>;

/// The future of [`RequestBodyTimeout`](crate::RequestBodyTimeout).
///
/// # Cancel safety
///
/// Dropping it at any moment loses nothing.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[pin_project]
pub struct RequestBodyFuture<F> {
    /// Gone once the client has stalled.
    #[pin]
    inner: Option<F>,
    slow: Option<Slow>,
}

/// A request that may stall.
pub(crate) struct Slow {
    pub(crate) link: Link,
    pub(crate) protocol: Protocol,
    /// Whether the connection is to be closed; HTTP/2 closes just the stream.
    pub(crate) closes: bool,
}

impl Drop for Slow {
    /// Nobody waits any more, so the body need not keep whoever did.
    fn drop(&mut self) {
        drop(self.link.answer());
    }
}

impl<F> RequestBodyFuture<F> {
    #[inline]
    pub(crate) fn new(inner: F, slow: Option<Slow>) -> Self {
        Self { inner: Some(inner), slow }
    }
}

impl<F, B, E> Future for RequestBodyFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let inner = this.inner.as_mut().as_pin_mut().expect("polled after it was ready");
        let polled = inner.poll(cx);
        let stalled = this.slow.as_ref().and_then(|slow| match &polled {
            Poll::Pending => slow.link.poll_stalled(cx),
            Poll::Ready(_) => slow.link.answer(),
        });
        if let (Some(rejection), Some(slow)) = (stalled, &*this.slow) {
            this.inner.set(None);
            return Poll::Ready(Ok(respond(rejection, slow)));
        }
        GuardedBody::guard_polled(polled, BodyRule::ByStatus, || None)
    }
}

#[cold]
fn respond<B: Body<Data = Bytes>>(rejection: Rejection, slow: &Slow) -> Response<ResponseBody<B>> {
    let mut response = rejection.respond(slow.protocol).map(GuardedBody::own);
    if slow.closes {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl<F> fmt::Debug for RequestBodyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBodyFuture").finish_non_exhaustive()
    }
}
