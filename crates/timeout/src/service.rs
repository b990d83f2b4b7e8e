use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use palisade_core::{BoxError, Head, log};
use tower_service::Service;

use crate::{
    ResponseBody,
    future::ResponseFuture,
    layer::Settings,
    refusal::{LAYER, Refusal},
    term::Term,
};

/// The service of [`TimeoutLayer`](crate::TimeoutLayer).
///
/// See the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> Timeout<S> {
    pub(crate) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
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

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Timeout<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    ResBody::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    /// Ready when the inner service is. The time this takes is nobody's: there is no request yet.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let settings = &*self.settings;
        let head = Head::of(&request);
        let refusal = Refusal::new(settings.answer, settings.tally, head);
        let Some(term) = Term::without_clock(head, settings) else {
            return self.call_with_clock(request, refusal);
        };
        log::admitted(LAYER);
        ResponseFuture::new(self.inner.call(request), term, settings.body, refusal)
    }
}

impl<S> Timeout<S> {
    /// The rest of `call`, out of its way.
    #[inline(never)]
    fn call_with_clock<B>(
        &mut self,
        mut request: Request<B>,
        refusal: Refusal,
    ) -> ResponseFuture<S::Future>
    where
        S: Service<Request<B>>,
    {
        let settings = &*self.settings;
        let Some(term) = Term::with_clock(&mut request, settings, refusal.protocol) else {
            return ResponseFuture::refused(refusal.expired(), refusal.protocol);
        };
        log::admitted(LAYER);
        ResponseFuture::new(self.inner.call(request), term, settings.body, refusal)
    }
}
