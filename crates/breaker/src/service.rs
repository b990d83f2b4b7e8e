use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use palisade_core::{
    AutoClassifier, BodyRule, Classify, GrpcEnd, GuardedBody, Head, Protocol, Reason, Rejection,
    log::{self, RefusalLog},
};
use tower_service::Service;

use crate::{
    Readiness, Refused,
    call::{Fuse, Recording, Shared},
    future::ResponseFuture,
    layer::Answer,
    wired::now,
};

/// The reason of every rejection by this layer.
pub const CIRCUIT_OPEN: Reason = Reason::new("circuit-open");

/// How the log calls this layer.
pub(crate) const LAYER: &str = "breaker";

/// One for the program, so that its bound does not grow with the number of circuits.
pub(crate) static LOG: RefusalLog = RefusalLog::new(LAYER);

/// The body of an answer: the inner service's, of which the end may have to be recorded, or a refusal's
/// own.
pub type ResponseBody<B, C = AutoClassifier, T = GrpcEnd> = GuardedBody<B, Recording<C, T>>;

/// The service of [`BreakerLayer`](crate::BreakerLayer).
///
/// See the [crate's documentation](crate).
pub struct Breaker<S, C = AutoClassifier> {
    inner: S,
    shared: Arc<Shared<C>>,
    answer: Answer,
    /// Readiness was reported on the ground that the next call is refused.
    refuses_next: bool,
}

impl<S, C> Breaker<S, C> {
    pub(crate) fn new(inner: S, shared: Arc<Shared<C>>, answer: Answer) -> Self {
        Self { inner, shared, answer, refuses_next: false }
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

#[cold]
#[inline(never)]
pub(crate) fn refuse<F, C, T>(
    refused: Refused,
    answer: Answer,
    head: Head<'_>,
) -> ResponseFuture<F, C, T> {
    let mut rejection = Rejection::new(CIRCUIT_OPEN, answer.status)
        .for_request(head)
        .with_detail(
            "What this service depends on is not well at the moment. Please try again later.",
        )
        .with_source(refused);
    if let Some(wait) = refused.retry_after() {
        rejection = rejection.with_retry_after(wait);
    }
    LOG.refused(&rejection, now());
    ResponseFuture::refused(rejection, Protocol::of(head))
}

impl<S, C, ReqBody, ResBody> Service<Request<ReqBody>> for Breaker<S, C>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    C: Classify<S::Error>,
{
    type Response = Response<ResponseBody<ResBody, C, C::Eos>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C, C::Call>;

    /// Ready when the inner service is. While the circuit is open it is not asked, and this is ready at
    /// once: the call that follows is then refused, even if the circuit has changed meanwhile.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let circuit = &self.shared.wired.circuit;
        self.refuses_next = !circuit.passes() && circuit.readiness(now()) != Readiness::Ready;
        if self.refuses_next { Poll::Ready(Ok(())) } else { self.inner.poll_ready(cx) }
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let circuit = &self.shared.wired.circuit;
        let admitted = if mem::take(&mut self.refuses_next) {
            Err(circuit.refuse_anyway(now()))
        } else {
            circuit.admit_with(now)
        };
        match admitted {
            Ok(ticket) => {
                let mut fuse = Fuse::new(Arc::clone(&self.shared), ticket);
                log::admitted(LAYER);
                let kept = self.shared.classifier.request(Head::of(&request));
                let rule = BodyRule::of(request.method());
                fuse.calls();
                ResponseFuture::admitted(self.inner.call(request), fuse, kept, rule)
            }
            Err(refused) => refuse(refused, self.answer, Head::of(&request)),
        }
    }
}

// A derive would ask it of the classifier.
impl<S: Clone, C> Clone for Breaker<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.shared), self.answer)
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Breaker<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("inner", &self.inner)
            .field("circuit", &self.shared)
            .finish_non_exhaustive()
    }
}
