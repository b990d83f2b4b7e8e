use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use palisade_core::{AutoClassifier, BodyRule, Classify, Head, Protocol, log};
use palisade_key::{Asker, ExtractKey, Missing};
use tower_service::Service;

use super::{Settings, circuits::Owner};
use crate::{
    ResponseBody,
    call::Fuse,
    future::ResponseFuture,
    service::{LAYER, LOG, refuse},
    wired::now,
};

/// The service of [`KeyedBreakerLayer`](crate::KeyedBreakerLayer).
pub struct KeyedBreaker<S, K: ExtractKey, C = AutoClassifier> {
    inner: S,
    settings: Arc<Settings<K, C>>,
}

impl<S, K: ExtractKey, C> KeyedBreaker<S, K, C> {
    pub(super) fn new(inner: S, settings: Arc<Settings<K, C>>) -> Self {
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

impl<S, K, C, ReqBody, ResBody> Service<Request<ReqBody>> for KeyedBreaker<S, K, C>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    K: ExtractKey<Key: Owner>,
    C: Classify<S::Error>,
{
    type Response = Response<ResponseBody<ResBody, C, C::Eos>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, C, C::Call>;

    /// Ready when the inner service is.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let settings = &*self.settings;
        let head = Head::of(&request);
        let circuit = settings.key.with(head, |key| match settings.missing.of(key) {
            Asker::Key(key) => Ok(Some(settings.circuits.of(key))),
            Asker::Shared => Ok(Some(Arc::clone(&settings.circuits.shared))),
            Asker::Rejected => Err(Missing::rejection(head)),
            Asker::Skipped => Ok(None),
        });
        match circuit {
            Ok(Some(circuit)) => match circuit.wired.circuit.admit_with(now) {
                Ok(ticket) => {
                    let mut fuse = Fuse::new(Arc::clone(&circuit), ticket);
                    log::admitted(LAYER);
                    let kept = circuit.classifier.request(Head::of(&request));
                    let rule = BodyRule::of(request.method());
                    fuse.calls();
                    ResponseFuture::admitted(self.inner.call(request), fuse, kept, rule)
                }
                Err(refused) => refuse(refused, settings.answer, head),
            },
            Ok(None) => {
                let rule = BodyRule::of(request.method());
                ResponseFuture::unwatched(self.inner.call(request), rule)
            }
            Err(rejection) => {
                LOG.refused(&rejection, now());
                ResponseFuture::refused(rejection, Protocol::of(head))
            }
        }
    }
}

// A derive would ask it of the key and the classifier.
impl<S: Clone, K: ExtractKey, C> Clone for KeyedBreaker<S, K, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.settings))
    }
}

impl<S: fmt::Debug, K: ExtractKey, C> fmt::Debug for KeyedBreaker<S, K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBreaker")
            .field("inner", &self.inner)
            .field("circuits", &self.settings.circuits)
            .finish_non_exhaustive()
    }
}
