//! What some peers need to be a tower service, or are told by their users.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use failsafe::{
    Any, FailurePolicy, StateMachine,
    futures::{CircuitBreaker, ResponseFuture},
};
use http::{Request, Response};
use http_body::Body;
use palisade::{BodyRule, GuardedBody, Unwatched};
use tower::{
    Service,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};
use tower_governor::{GovernorError, key_extractor::KeyExtractor};

use crate::inner::KEY;

/// failsafe's breaker as a service.
pub(crate) struct Failsafe<S, P> {
    pub(crate) inner: S,
    pub(crate) breaker: StateMachine<P, ()>,
}

impl<S: Clone, P> Clone for Failsafe<S, P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), breaker: self.breaker.clone() }
    }
}

impl<S, P, Req> Service<Req> for Failsafe<S, P>
where
    S: Service<Req>,
    P: FailurePolicy + Send + Sync,
{
    type Response = S::Response;
    type Error = failsafe::Error<S::Error>;
    type Future = ResponseFuture<S::Future, P, (), Any>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(failsafe::Error::Inner)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        self.breaker.call(self.inner.call(request))
    }
}

/// Tries again after an error.
#[derive(Clone)]
pub(crate) struct AfterError;

impl<Req: Clone, Res, E> Policy<Req, Res, E> for AfterError {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// Tries again after an error, as long as the budget lasts.
#[derive(Clone)]
pub(crate) struct Budgeted(Arc<TpsBudget>);

impl Budgeted {
    pub(crate) fn new() -> Self {
        Self(Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.2)))
    }
}

impl<Req: Clone, Res, E> Policy<Req, Res, E> for Budgeted {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        if result.is_ok() {
            self.0.deposit();
            return None;
        }
        self.0.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

/// The key of `tower_governor` from a header. It has to be owned.
#[derive(Clone, Copy)]
pub(crate) struct HeaderKey;

impl KeyExtractor for HeaderKey {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let key = request.headers().get(KEY).and_then(|key| key.to_str().ok());
        key.map(str::to_owned).ok_or(GovernorError::UnableToExtractKey)
    }
}

/// A layer that does nothing but hold the body of each answer in one of its own, as all of ours do that hold
/// something until it is over.
#[derive(Clone)]
pub(crate) struct BodyAlone<S>(pub(crate) S);

impl<S, B, Q> Service<Request<Q>> for BodyAlone<S>
where
    S: Service<Request<Q>, Response = Response<B>, Future: Unpin>,
    B: Body<Data = Bytes>,
{
    type Response = Response<GuardedBody<B, Unwatched>>;
    type Error = S::Error;
    type Future = BodyAlone<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<Q>) -> Self::Future {
        BodyAlone(self.0.call(request))
    }
}

impl<F, B, E> Future for BodyAlone<F>
where
    F: Future<Output = Result<Response<B>, E>> + Unpin,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<GuardedBody<B, Unwatched>>, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.0).poll(cx);
        GuardedBody::guard_polled(polled, BodyRule::ByStatus, || None)
    }
}

/// For axum, whose services may not fail.
pub(crate) async fn unavailable<E>(_: E) -> http::StatusCode {
    http::StatusCode::SERVICE_UNAVAILABLE
}
