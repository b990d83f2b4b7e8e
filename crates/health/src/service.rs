use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use palisade_core::{
    GrpcCode, Head, Protocol, Reason, Rejection,
    log::{RefusalLog, admitted},
};
use tower_service::Service;

use crate::{
    Health, Held, ResponseBody, answer,
    call::Reading,
    clock::now,
    future::{ResponseFuture, Way},
    held::asks_to_upgrade,
    log::LAYER,
    settings::{Ask, Settings},
};

/// The reason of every rejection by this layer.
pub const SHUTTING_DOWN: Reason = Reason::new("shutting-down");

/// One for the program, so that its bound does not grow with the number of registries.
static LOG: RefusalLog = RefusalLog::new(LAYER);

/// The service of [`HealthLayer`](crate::HealthLayer).
///
/// See the [crate's documentation](crate).
pub struct HealthService<S> {
    inner: S,
    health: Health,
    settings: Arc<Settings>,
    /// Whether it was the inner service that was ready.
    ready: bool,
}

impl<S> HealthService<S> {
    pub(crate) fn new(inner: S, health: Health, settings: Arc<Settings>) -> Self {
        Self { inner, health, settings, ready: false }
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

    /// The inner service's reservation, or its place in line, goes back: it was made for somebody else.
    fn let_go(&mut self)
    where
        S: Clone,
    {
        self.inner = self.inner.clone();
    }

    #[cold]
    #[inline(never)]
    fn refuse<F, B>(&self, head: Head<'_>, way: Way) -> ResponseFuture<S, F, B> {
        let rejection = Rejection::new(SHUTTING_DOWN, StatusCode::SERVICE_UNAVAILABLE)
            .for_request(head)
            .with_retry_after(self.settings.retry_after)
            .with_detail(
                "This instance is shutting down. Please try again: another one will answer.",
            );
        LOG.refused(&rejection, now());
        ResponseFuture::refused(rejection, Protocol::of(head), way)
    }
}

impl<S, B, ResBody> Service<Request<B>> for HealthService<S>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
    B: Body,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, S::Future, B>;

    /// Always ready, or has the inner service's error: a probe is answered also while nothing else can be. A
    /// request that is no probe waits in its future for an inner service that is not ready.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let polled = self.inner.poll_ready(cx)?;
        self.ready = polled.is_ready();
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let ready = mem::take(&mut self.ready);
        let head = Head::of(&request);
        self.health.start();
        if let Some(ask) = self.settings.ask(head) {
            self.let_go();
            return self.answer(ask, request);
        }
        let way = Way::of(&request);
        let Some(exchange) = self.health.enter() else {
            let refused = self.refuse(head, way);
            self.let_go();
            return refused;
        };
        if asks_to_upgrade(&request)
            && let Some(exchange) = self.health.enter()
        {
            Held::leave_with(exchange, &mut request);
        }
        admitted(LAYER);
        if ready {
            return ResponseFuture::called(self.inner.call(request), exchange, way);
        }
        // The one that was asked is in line already; what comes next begins anew.
        let fresh = self.inner.clone();
        let waiting = mem::replace(&mut self.inner, fresh);
        ResponseFuture::waiting(waiting, request, exchange, way)
    }
}

impl<S> HealthService<S> {
    #[cold]
    #[inline(never)]
    fn answer<F, B: Body>(&self, ask: Ask, request: Request<B>) -> ResponseFuture<S, F, B> {
        match ask {
            Ask::Http(probe) => {
                let head = Head::of(&request);
                ResponseFuture::answered(answer::http(&self.health, &self.settings, probe, head))
            }
            Ask::Grpc(call) => {
                let watches = Arc::clone(&self.settings.watches);
                let reading = Reading::new(call, self.health.clone(), watches, request.into_body());
                ResponseFuture::reading(reading)
            }
            Ask::NoMethod => ResponseFuture::answered(answer::grpc_error(
                GrpcCode::Unimplemented,
                "There is no such method.",
            )),
        }
    }
}

impl<S: Clone> Clone for HealthService<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.health.clone(), Arc::clone(&self.settings))
    }
}

impl<S: fmt::Debug> fmt::Debug for HealthService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthService")
            .field("inner", &self.inner)
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
