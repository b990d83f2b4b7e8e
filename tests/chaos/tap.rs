use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use palisade::{Reason, Rejection, retry::Attempts};
use tower::{Layer, Service};

/// Counts what passes between two layers. Clones are the same tap.
#[derive(Clone, Default)]
pub(crate) struct Tap(Arc<Counts>);

#[derive(Default)]
struct Counts {
    called: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    /// Attempts of the answers that took more than one, beyond the first.
    again: AtomicU64,
    refused: Mutex<BTreeMap<(&'static str, u16), u64>>,
    looks: Mutex<Looks>,
}

/// How often a client may have seen what: a problem's type, or a gRPC status of ours.
pub(crate) type Looks = BTreeMap<String, u64>;

impl Tap {
    /// Calls of the service inside.
    pub(crate) fn called(&self) -> u64 {
        self.0.called.load(SeqCst)
    }

    /// Calls whose future is there no more: answered, failed, or dropped before.
    pub(crate) fn over(&self) -> u64 {
        let Counts { answered, failed, dropped, .. } = &*self.0;
        answered.load(SeqCst) + failed.load(SeqCst) + dropped.load(SeqCst)
    }

    /// Also those that unwound.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(SeqCst)
    }

    pub(crate) fn again(&self) -> u64 {
        self.0.again.load(SeqCst)
    }

    /// Answers that were refusals for this reason, under this status.
    pub(crate) fn refused(&self, reason: Reason, status: StatusCode) -> u64 {
        let refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get(&(reason.as_str(), status.as_u16())).copied().unwrap_or_default()
    }

    /// Refusals as they look to a client.
    pub(crate) fn looks(&self) -> Looks {
        self.0.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn saw<B>(&self, response: &Response<B>) {
        let attempts = u64::from(Attempts::of(response.extensions()));
        self.0.again.fetch_add(attempts.saturating_sub(1), SeqCst);
        if let Some(rejection) = Rejection::of(response) {
            let key = (rejection.reason().as_str(), rejection.status().as_u16());
            let mut refused = self.0.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused.entry(key).or_default() += 1;
            let look = look(response, || format!("urn:palisade:{}", rejection.reason()));
            let mut looks = self.0.looks.lock().unwrap_or_else(PoisonError::into_inner);
            *looks.entry(look).or_default() += 1;
        }
        // Last: from then on nothing is in flight, and all of it is counted.
        self.0.answered.fetch_add(1, SeqCst);
    }
}

/// How a refusal looks to a client, where `problem` finds out the type of a problem.
pub(crate) fn look<B>(response: &Response<B>, problem: impl FnOnce() -> String) -> String {
    match response.headers().get("grpc-status") {
        Some(code) => format!("grpc-status {}", code.to_str().unwrap_or("is no text")),
        None => problem(),
    }
}

/// Whether this is a layer's refusal, as far as a client can tell.
pub(crate) fn is_refusal<B>(response: &Response<B>) -> bool {
    let headers = response.headers();
    headers.contains_key("grpc-status-details-bin")
        || headers.get(CONTENT_TYPE).is_some_and(|value| value == "application/problem+json")
}

impl<S> Layer<S> for Tap {
    type Service = Tapped<S>;

    fn layer(&self, inner: S) -> Tapped<S> {
        Tapped { inner, tap: self.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct Tapped<S> {
    inner: S,
    tap: Tap,
}

/// A call under way.
struct UnderWay(Option<Tap>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(tap) = self.0.take() {
            tap.0.dropped.fetch_add(1, SeqCst);
        }
    }
}

impl<S, B, R> Service<Request<B>> for Tapped<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.tap.0.called.fetch_add(1, SeqCst);
        let mut under_way = UnderWay(Some(self.tap.clone()));
        let future = self.inner.call(request);
        Box::pin(async move {
            let answer = future.await;
            if let Some(tap) = under_way.0.take() {
                match &answer {
                    Ok(response) => tap.saw(response),
                    Err(_) => drop(tap.0.failed.fetch_add(1, SeqCst)),
                }
            }
            answer
        })
    }
}
