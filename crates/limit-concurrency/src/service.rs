use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use palisade_core::{
    BodyRule, GuardedBody, Head, Protocol, Reason, Rejection,
    log::{self, RefusalLog},
};
use tower_service::Service;

use crate::{Admission, Limit, future::ResponseFuture, held::asks_to_upgrade, layer::Answer};

/// The reason of every rejection by this layer.
pub const AT_CAPACITY: Reason = Reason::new("at-capacity");

/// How the log calls this layer.
const LAYER: &str = "limit-concurrency";

/// One for the program, so that its bound does not grow with the number of limits.
static LOG: RefusalLog = RefusalLog::new(LAYER);

/// The body of an answer: the inner service's, holding the permit, or a refusal's own.
pub type ResponseBody<B> = GuardedBody<B, Admission>;

/// The service of [`LimitConcurrencyLayer`](crate::LimitConcurrencyLayer).
///
/// See the [crate's documentation](crate).
#[derive(Debug)]
pub struct LimitConcurrency<S> {
    inner: S,
    limit: Limit,
    answer: Answer,
    /// Readiness was reported on the ground that the next call is refused.
    refuses_next: bool,
}

impl<S> LimitConcurrency<S> {
    pub(crate) fn new(inner: S, limit: Limit, answer: Answer) -> Self {
        Self { inner, limit, answer, refuses_next: false }
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

    #[cold]
    fn refuse<F>(&self, head: Head<'_>) -> ResponseFuture<F> {
        let now = tokio::time::Instant::now().into_std();
        let rejection = Rejection::new(AT_CAPACITY, self.answer.status)
            .for_request(head)
            .with_detail(
                "This service is handling as many requests as it can. Please try again soon.",
            )
            .with_retry_after(self.limit.retry_after(now));
        LOG.refused(&rejection, now);
        ResponseFuture::refused(rejection, Protocol::of(head))
    }
}

impl<S: Clone> Clone for LimitConcurrency<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limit.clone(), self.answer)
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for LimitConcurrency<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    /// Ready when the inner service is, and also when it is not but the limit is reached: nobody
    /// should wait for a service only to be refused. The call that follows is then refused, even if
    /// a permit came back meanwhile.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let inner = self.inner.poll_ready(cx);
        self.refuses_next = inner.is_pending() && self.limit.is_full();
        if self.refuses_next { Poll::Ready(Ok(())) } else { inner }
    }

    #[inline]
    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let permit = if mem::take(&mut self.refuses_next) {
            self.limit.reject();
            None
        } else {
            self.limit.try_acquire()
        };
        let Some(permit) = permit else {
            return self.refuse(Head::of(&request));
        };
        log::admitted(LAYER);
        let rule = BodyRule::of(request.method());
        let release = self.answer.release;
        let admission = if asks_to_upgrade(&request) {
            Admission::shared(permit, &mut request)
        } else {
            Admission::alone(permit)
        };
        ResponseFuture::admitted(self.inner.call(request), admission, rule, release)
    }
}
