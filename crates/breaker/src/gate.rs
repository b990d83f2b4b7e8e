use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use palisade_core::{AutoClassifier, BodyRule, Classify, Head, log};
use tokio::time::{Sleep, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    BreakerLayer, Readiness, ResponseBody, Switch,
    call::{Fuse, Shared},
    future::ResponseFuture,
    layer::Answer,
    service::{LAYER, refuse},
    wired::{Waiter, now},
};

/// A [`BreakerLayer`] that waits instead of refusing, as [`gate`](BreakerLayer::gate) makes it.
pub struct GateLayer<C = AutoClassifier> {
    pub(crate) layer: BreakerLayer<C>,
}

impl<C> GateLayer<C> {
    /// The operator's end of this circuit.
    #[must_use]
    pub fn handle(&self) -> Switch {
        self.layer.handle()
    }
}

impl<C, S> Layer<S> for GateLayer<C> {
    type Service = Gate<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Arc::clone(&self.layer.shared), self.layer.answer)
    }
}

// A derive would ask it of the classifier.
impl<C> Clone for GateLayer<C> {
    fn clone(&self) -> Self {
        Self { layer: self.layer.clone() }
    }
}

impl<C> fmt::Debug for GateLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GateLayer").field(&self.layer).finish()
    }
}

/// The service of [`GateLayer`]: not ready while its circuit is open.
///
/// It reserves nothing. Of several that were ready for the same probe, all but one are refused.
pub struct Gate<S, C = AutoClassifier> {
    inner: S,
    shared: Arc<Shared<C>>,
    answer: Answer,
    waiter: Waiter,
    /// Until the circuit may have changed by itself. Made when it is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S, C> Gate<S, C> {
    fn new(inner: S, shared: Arc<Shared<C>>, answer: Answer) -> Self {
        let waiter = Waiter::new(&shared.wired);
        Self { inner, shared, answer, waiter, timer: None }
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

    /// Ready when a call would be let through. Woken by time, by what calls come to, and by an operator.
    #[cold]
    fn poll_circuit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.waiter.wait(cx);
            let until = match self.shared.wired.circuit.readiness(now()) {
                Readiness::Ready => break,
                Readiness::Forced => return Poll::Pending,
                Readiness::After(until) | Readiness::ProbesBusy(until) => until,
            };
            ready!(self.poll_timer(until, cx));
        }
        self.waiter.leave();
        self.timer = None;
        Poll::Ready(())
    }

    fn poll_timer(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let until = until.into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}

impl<S, C, ReqBody, ResBody> Service<Request<ReqBody>> for Gate<S, C>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    C: Classify<S::Error>,
{
    type Response = Response<ResponseBody<ResBody, C, C::Eos>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C, C::Call>;

    /// Ready when the circuit is not open, and then when the inner service is.
    ///
    /// # Panics
    ///
    /// While the circuit is open, outside a tokio runtime with a timer.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if !self.shared.wired.circuit.passes() {
            ready!(self.poll_circuit(cx));
        }
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        match self.shared.wired.circuit.admit_with(now) {
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

impl<S: Clone, C> Clone for Gate<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.shared), self.answer)
    }
}

impl<S: fmt::Debug, C> fmt::Debug for Gate<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("inner", &self.inner)
            .field("circuit", &self.shared)
            .finish_non_exhaustive()
    }
}
