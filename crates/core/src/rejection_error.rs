use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{BoxError, Rejection};

/// Turns a refusal by one of the layers inside into an `Err`.
///
/// For clients whose code is written around errors. The error downcasts to [`Rejection`], and its
/// `source()` is what led there; errors of the inner service pass, boxed. All other responses pass.
///
/// Not under tonic: a gRPC client makes any error it does not know into `UNKNOWN`, so a refusal would
/// lose its code, its pushback and its details. As a response it keeps them.
///
/// ```
/// use http::{Request, StatusCode};
/// use palisade_core::{Protocol, Reason, Rejection, RejectionErrorLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// const CLOSED: Reason = Reason::new("closed-for-lunch");
///
/// # tokio_test::block_on(async {
/// let client = ServiceBuilder::new().layer(RejectionErrorLayer::new()).service(service_fn(
///     async |_: Request<()>| {
///         let closed = Rejection::new(CLOSED, StatusCode::SERVICE_UNAVAILABLE);
///         Ok::<_, std::io::Error>(closed.respond(Protocol::Http))
///     },
/// ));
/// let error = client.oneshot(Request::new(())).await.unwrap_err();
/// assert_eq!(error.downcast_ref::<Rejection>().unwrap().reason(), CLOSED);
/// # });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RejectionErrorLayer(());

impl RejectionErrorLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for RejectionErrorLayer {
    type Service = RejectionError<S>;

    fn layer(&self, inner: S) -> RejectionError<S> {
        RejectionError { inner }
    }
}

/// The service of [`RejectionErrorLayer`].
#[derive(Clone, Copy, Debug)]
pub struct RejectionError<S> {
    inner: S,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RejectionError<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = RejectionErrorFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        RejectionErrorFuture { inner: self.inner.call(request) }
    }
}

/// The future of [`RejectionError`].
#[derive(Debug)]
#[pin_project]
pub struct RejectionErrorFuture<F> {
    #[pin]
    inner: F,
}

impl<F, B, E> Future for RejectionErrorFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<B>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().inner.poll(cx)).map_err(Into::into)?;
        Poll::Ready(match Rejection::of(&response) {
            Some(rejection) => Err(rejection.clone().into()),
            None => Ok(response),
        })
    }
}
