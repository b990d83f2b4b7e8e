use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use palisade_core::{GrpcCode, Head};
use tower_service::Service;

use super::{
    RequestBody, RequestBodyFuture,
    future::{ResponseBody, Slow},
    layer::Stalls,
    link::Link,
};
use crate::{
    alarm::Due,
    glance::Glance,
    refusal::{Answer, Refusal},
    watch::{Bound, Watch},
};

/// The service of [`RequestBodyTimeoutLayer`](crate::RequestBodyTimeoutLayer).
#[derive(Clone, Debug)]
pub struct RequestBodyTimeout<S> {
    inner: S,
    stalls: Stalls,
}

impl<S> RequestBodyTimeout<S> {
    pub(crate) fn new(inner: S, stalls: Stalls) -> Self {
        Self { inner, stalls }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequestBodyTimeout<S>
where
    S: Service<Request<RequestBody<ReqBody>>, Response = Response<ResBody>>,
    ReqBody: Body,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = RequestBodyFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        if request.body().is_end_stream() {
            let request = request.map(RequestBody::unwatched);
            return RequestBodyFuture::new(self.inner.call(request), None);
        }
        let link = Link::new();
        let caller = Glance::at(Head::of(&request)).caller;
        let answer = Answer {
            status: StatusCode::REQUEST_TIMEOUT,
            grpc_code: GrpcCode::DeadlineExceeded,
            tally: self.stalls.0.tally(),
        };
        let refusal = Refusal::new(answer, caller);
        let slow = Slow {
            link: link.clone(),
            protocol: refusal.protocol,
            closes: request.version() <= Version::HTTP_11,
        };
        let watch = Watch::new(Bound::idle(self.stalls.0.limit()), Due::Never);
        let request = request.map(|body| RequestBody::watched(body, watch, link, refusal));
        RequestBodyFuture::new(self.inner.call(request), Some(slow))
    }
}
