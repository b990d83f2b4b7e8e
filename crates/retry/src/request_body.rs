use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use palisade_core::BoxError;
use pin_project::pin_project;

use crate::ReplayBody;

/// A request's body as the service inside a retry sees it: the caller's own, a copy that can be sent again,
/// or none.
///
/// The default is none. Its errors are boxed; frames, trailers, size hint and end of stream are those of
/// what is in it.
#[derive(Debug)]
#[pin_project]
pub struct RetryBody<B> {
    #[pin]
    kind: Kind<B>,
}

#[derive(Debug)]
#[pin_project(project = KindProj)]
enum Kind<B> {
    Pass(#[pin] B),
    Replay(ReplayBody<B>),
    Empty,
}

impl<B> RetryBody<B> {
    /// The caller's own, untouched: it can not be sent again.
    #[inline]
    pub(crate) fn pass(body: B) -> Self {
        Self { kind: Kind::Pass(body) }
    }

    pub(crate) fn replay(body: ReplayBody<B>) -> Self {
        Self { kind: Kind::Replay(body) }
    }

    /// Of a request that has none, which can be sent again for nothing.
    #[inline]
    pub(crate) fn empty() -> Self {
        Self { kind: Kind::Empty }
    }
}

impl<B> Default for RetryBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<B> Body for RetryBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().kind.project() {
            KindProj::Pass(body) => body.poll_frame(cx).map_err(Into::into),
            KindProj::Replay(body) => Pin::new(body).poll_frame(cx),
            KindProj::Empty => Poll::Ready(None),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Pass(body) => body.is_end_stream(),
            Kind::Replay(body) => body.is_end_stream(),
            Kind::Empty => true,
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Pass(body) => body.size_hint(),
            Kind::Replay(body) => body.size_hint(),
            Kind::Empty => SizeHint::with_exact(0),
        }
    }
}

/// Carries a request's body over to the type that the service inside takes.
///
/// There are two ways. [`AsRetryBody`] is for a service that takes any body, and gives it a
/// [`RetryBody`]. A function `fn(RetryBody<B>) -> B` is for one that takes one type only, as tonic's
/// `Channel` does, and is mostly the constructor of a boxed body:
///
/// ```
/// use http_body_util::BodyExt;
/// use palisade_retry::{AsRetryBody, Carry, RetryBody};
///
/// let wrap: fn(RetryBody<tonic::body::Body>) -> tonic::body::Body = tonic::body::Body::new;
///
/// # tokio_test::block_on(async {
/// let body = AsRetryBody.pass(tonic::body::Body::new("soup".to_owned()));
/// assert_eq!(wrap.carry(body).collect().await.unwrap().to_bytes(), "soup");
/// # });
/// ```
///
/// It is sealed: there may be more to carry one day.
pub trait Carry<B>: sealed::Sealed {
    /// What the service inside takes.
    type Body;

    /// A body that passes untouched.
    fn pass(&self, body: B) -> Self::Body;

    /// A body that may be sent again, or the one that a retry sends.
    fn carry(&self, body: RetryBody<B>) -> Self::Body;
}

/// Gives the service inside a [`RetryBody`], with no allocation for a body that passes.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsRetryBody;

impl<B> Carry<B> for AsRetryBody {
    type Body = RetryBody<B>;

    #[inline]
    fn pass(&self, body: B) -> RetryBody<B> {
        RetryBody::pass(body)
    }

    #[inline]
    fn carry(&self, body: RetryBody<B>) -> RetryBody<B> {
        body
    }
}

/// What passes is moved, not converted.
impl<B> Carry<B> for fn(RetryBody<B>) -> B {
    type Body = B;

    #[inline]
    fn pass(&self, body: B) -> B {
        body
    }

    #[inline]
    fn carry(&self, body: RetryBody<B>) -> B {
        self(body)
    }
}

mod sealed {
    use super::{AsRetryBody, RetryBody};

    #[allow(unnameable_types, reason = "what nobody can name, nobody else can implement")]
    pub trait Sealed {}

    impl Sealed for AsRetryBody {}
    impl<B> Sealed for fn(RetryBody<B>) -> B {}
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
