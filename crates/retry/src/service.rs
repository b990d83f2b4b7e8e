use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use palisade_core::{BoxError, Classify, Head, log};
use tower_service::Service;

use crate::{
    AsRetryBody, Carry, Eligible, ReplayBody, ResponseBody, RetryBody, TransientClassifier,
    future::ResponseFuture,
    retrying::{Retrying, Spare},
    state::Shared,
};

/// How the log calls this layer.
pub(crate) const LAYER: &str = "retry";

/// The service of [`RetryLayer`](crate::RetryLayer).
///
/// See the [crate's documentation](crate).
pub struct Retry<S, C = TransientClassifier, W = AsRetryBody> {
    inner: S,
    shared: Arc<Shared<C>>,
    carry: W,
}

impl<S, C, W> Retry<S, C, W> {
    pub(crate) fn new(inner: S, shared: Arc<Shared<C>>, carry: W) -> Self {
        Self { inner, shared, carry }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Gives the inner service back.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, W, B, ResBody> Service<Request<B>> for Retry<S, C, W>
where
    S: Service<Request<W::Body>, Response = Response<ResBody>> + Clone,
    C: Classify<S::Error>,
    W: Carry<B> + Clone,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody, C::Eos>>;
    type Error = S::Error;
    type Future =
        ResponseFuture<S::Future, Retrying<S, C, W, B, C::Call>, ResBody, S::Error, C::Eos>;

    /// Ready when the inner service is.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        log::admitted(LAYER);
        let terms = &self.shared.common.terms;
        let head = Head::of(&request);
        let eligible = terms.rule.of(head, terms.stamp.as_ref());
        let is_once = eligible == Eligible::Never
            || terms.max_attempts == 1
            || request.body().size_hint().lower() > terms.max_body as u64;
        if is_once {
            let carry = &self.carry;
            return ResponseFuture::untouched(
                self.inner.call(request.map(|body| carry.pass(body))),
            );
        }
        self.call_with_backup(request, eligible)
    }
}

impl<S, C, W> Retry<S, C, W> {
    /// The rest of `call`, out of the way of what is never tried again.
    #[inline(never)]
    #[allow(clippy::type_complexity, reason = "it is the service's future")]
    fn call_with_backup<B, ResBody>(
        &mut self,
        request: Request<B>,
        eligible: Eligible,
    ) -> ResponseFuture<S::Future, Retrying<S, C, W, B, C::Call>, ResBody, S::Error, C::Eos>
    where
        S: Service<Request<W::Body>, Response = Response<ResBody>> + Clone,
        C: Classify<S::Error>,
        W: Carry<B> + Clone,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
        ResBody: Body<Data = Bytes>,
    {
        let common = &self.shared.common;
        let call = self.shared.classifier.request(Head::of(&request));
        let (parts, body) = request.into_parts();
        let backup = parts.clone();
        let (body, spare) = if body.is_end_stream() {
            (self.carry.pass(body), Spare::Empty)
        } else {
            let (body, backup) = ReplayBody::within(body, common.terms.max_body, &common.allowance);
            (self.carry.carry(RetryBody::replay(body)), Spare::Backup(backup))
        };
        let future = self.inner.call(Request::from_parts(parts, body));
        let retrying = Box::new(Retrying::new(
            // After the call: the instance that was ready is the one that is called.
            self.inner.clone(),
            Arc::clone(&self.shared),
            self.carry.clone(),
            eligible,
            backup,
            spare,
            call,
        ));
        ResponseFuture::retrying(future, retrying)
    }
}

// A derive would ask it of the classifier.
impl<S: Clone, C, W: Clone> Clone for Retry<S, C, W> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.shared), self.carry.clone())
    }
}

impl<S: fmt::Debug, C, W> fmt::Debug for Retry<S, C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("inner", &self.inner)
            .field("terms", &self.shared.common.terms)
            .finish_non_exhaustive()
    }
}
