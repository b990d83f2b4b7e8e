use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use palisade_core::{BoxError, Head, Protocol, log};
use tower_service::Service;

use crate::{
    ResponseBody,
    future::ResponseFuture,
    glance::Glance,
    layer::Settings,
    refusal::{Caller, LAYER, Refusal},
    term::{Asked, Say, Term},
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
        let (caller, say) = settings.consider(Head::of(&request));
        let own = match say {
            Say::Own(own) => own,
            Say::Clock(asked) => return self.call_with_clock(request, caller, asked),
        };
        let Some(term) = Term::without_clock(own) else {
            return settings.refuse(caller);
        };
        log::admitted(LAYER);
        ResponseFuture::new(self.inner.call(request), term, settings, caller)
    }
}

impl<S> Timeout<S> {
    /// The rest of `call`, out of its way.
    #[inline(never)]
    fn call_with_clock<B>(
        &mut self,
        mut request: Request<B>,
        caller: Caller,
        asked: Asked,
    ) -> ResponseFuture<S::Future>
    where
        S: Service<Request<B>>,
    {
        let settings = &*self.settings;
        let term = Term::with_clock(&mut request, asked, settings, caller.protocol);
        let Some(term) = term else {
            return settings.refuse(caller);
        };
        log::admitted(LAYER);
        ResponseFuture::new(self.inner.call(request), term, settings, caller)
    }
}

impl Settings {
    /// Who asks, and what has a say in how long the answer may take.
    #[inline]
    fn consider(&self, head: Head<'_>) -> (Caller, Say) {
        if self.looks || !head.headers().is_empty() || !head.extensions().is_empty() {
            self.look(head)
        } else {
            let caller = Caller { protocol: Protocol::of(head), id: None };
            (caller, Say::Own(self.timeouts.counters().limit()))
        }
    }

    #[inline(never)]
    fn look(&self, head: Head<'_>) -> (Caller, Say) {
        let glance = Glance::at(head);
        (glance.caller, Say::of(head, &glance, self))
    }

    #[cold]
    fn refuse<F>(&self, caller: Caller) -> ResponseFuture<F> {
        let rejection = Refusal::new(self.answer, caller).expired(self.timeouts.counters());
        ResponseFuture::refused(rejection, caller.protocol)
    }
}
