use std::{
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use palisade_core::{
    GrpcCode, GuardedBody, Head, Protocol, Reason, Rejection, Unwatched,
    log::{self, RefusalLog},
};
use palisade_key::{Asker, ExtractKey, Missing};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    Decision, Decisions, RateLimitHeaders, Store, TableStore, Window,
    future::ResponseFuture,
    layer::Settings,
    told::{After, Told},
};

/// The reason of a rejection of a client that has asked too often: the word that the draft on
/// rate-limit headers gives to such problems.
pub const QUOTA_EXCEEDED: Reason = Reason::new("quota-exceeded");

/// The reason of a rejection of a request that costs more than is ever allowed at once.
pub const COST_OVER_BURST: Reason = Reason::new("cost-over-burst");

/// Where a refusal's problem document lists the windows that refused, by the draft on rate-limit headers.
const VIOLATED_POLICIES: &str = "violated-policies";

/// How the log calls this layer.
const LAYER: &str = "limit-rate";

/// One for the program, so that its bound does not grow with the number of limits.
static LOG: RefusalLog = RefusalLog::new(LAYER);

/// The body of an answer: the inner service's, or a refusal's own.
pub type ResponseBody<B> = GuardedBody<B, Unwatched>;

/// A key that outlives its request.
pub(crate) type Owned<K> = <<K as ExtractKey>::Key as ToOwned>::Owned;

/// The service of [`LimitRateLayer`](crate::LimitRateLayer).
///
/// See the [crate's documentation](crate).
#[derive(Debug)]
pub struct LimitRate<S, K, St = TableStore> {
    inner: S,
    settings: Arc<Settings<K, St>>,
}

impl<S, K, St> LimitRate<S, K, St> {
    pub(crate) fn new(inner: S, settings: Arc<Settings<K, St>>) -> Self {
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

/// What a bucket, or the want of one, says of a request.
enum Verdict {
    Decided(Decision),
    Keyless,
    Uncounted,
}

impl<K, St> Settings<K, St>
where
    K: ExtractKey,
    St: Store<K::Key>,
{
    /// Where there is [but one window](Settings::plain).
    #[inline]
    fn decide(&self, head: Head<'_>, now: Instant) -> Verdict {
        let cost = || self.cost(head);
        let window = match self.tiers.first() {
            None => Window::from(self.state.quota()),
            Some((_, quota_for)) => match quota_for(head) {
                Some(quota) => Window::from(quota),
                None => return Verdict::Uncounted,
            },
        };
        self.key.with(head, |key| match self.missing.of(key) {
            Asker::Key(key) => {
                let decision = self.state.store.take(key, window, cost(), now.into_std());
                if !decision.allowed() {
                    self.state.offenders.refused(key, now.into_std());
                }
                Verdict::Decided(decision)
            }
            Asker::Shared => {
                Verdict::Decided(self.state.keyless.take(&(), window, cost(), now.into_std()))
            }
            Asker::Rejected => Verdict::Keyless,
            Asker::Skipped => Verdict::Uncounted,
        })
    }

    #[inline]
    pub(crate) fn cost(&self, head: Head<'_>) -> NonZeroU32 {
        self.cost.as_ref().map_or(NonZeroU32::MIN, |cost| cost(head))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refuse<F>(
        &self,
        asked: &[Window],
        decisions: &Decisions,
        head: Head<'_>,
        now: Instant,
    ) -> ResponseFuture<F, Owned<K>, St> {
        self.state.counts.refused.fetch_add(1, Relaxed);
        let never = decisions.iter().filter(|decision| decision.is_never());
        let never = never.min_by_key(|decision| decision.policy().burst());
        let wait = decisions.binding().and_then(|(_, binding)| binding.retry_after());
        let rejection = match never {
            None => Rejection::new(QUOTA_EXCEEDED, self.status)
                // Whatever the status: a client that is told UNAVAILABLE tries again at once.
                .with_grpc_code(GrpcCode::ResourceExhausted)
                .with_detail("You have sent too many requests. Please try again later.")
                .with_retry_after(wait.unwrap_or_default()),
            Some(never) => Rejection::new(COST_OVER_BURST, StatusCode::BAD_REQUEST)
                .with_grpc_code(GrpcCode::ResourceExhausted)
                .with_detail(format!(
                    "This request counts as {}, and at most {} are allowed at once.",
                    never.cost(),
                    never.policy().burst()
                )),
        };
        let violated =
            asked.iter().zip(decisions.iter()).filter(|(_, decision)| !decision.allowed());
        let violated = violated.map(|(window, _)| self.state.name(window).to_owned());
        let rejection = rejection.with_member(VIOLATED_POLICIES, violated).for_request(head);
        LOG.refused(&rejection, now.into_std());
        let told = Told::of(&self.state, asked, decisions);
        ResponseFuture::refused(rejection, Protocol::of(head), Some(told))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refuse_keyless<F>(
        &self,
        head: Head<'_>,
        now: Instant,
    ) -> ResponseFuture<F, Owned<K>, St> {
        self.state.counts.keyless.fetch_add(1, Relaxed);
        let rejection = Missing::rejection(head);
        LOG.refused(&rejection, now.into_std());
        ResponseFuture::refused(rejection, Protocol::of(head), None)
    }
}

impl<S, K, St, ReqBody, ResBody> Service<Request<ReqBody>> for LimitRate<S, K, St>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
    K: ExtractKey,
    St: Store<K::Key>,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Owned<K>, St>;

    /// Ready when the inner service is: who is asking is known only with the request.
    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let settings = &*self.settings;
        St::start(&settings.state.store);
        let (head, now) = (Head::of(&request), Instant::now());
        if !settings.plain {
            return match settings.decide_on_all(head, now) {
                Ok(after) => {
                    log::admitted(LAYER);
                    ResponseFuture::admitted(self.inner.call(request), after)
                }
                Err(refusal) => settings.refuse_all(&refusal, head, now),
            };
        }
        let told = match settings.decide(head, now) {
            Verdict::Uncounted => None,
            Verdict::Keyless if settings.shadow => {
                settings.state.counts.shadowed.fetch_add(1, Relaxed);
                None
            }
            Verdict::Keyless => return settings.refuse_keyless(head, now),
            Verdict::Decided(decision) => {
                let window = Window::from(decision.policy());
                if !decision.allowed() {
                    if !settings.shadow {
                        return settings.refuse(&[window], &decision.into(), head, now);
                    }
                    settings.state.counts.shadowed.fetch_add(1, Relaxed);
                }
                (settings.headers == RateLimitHeaders::Draft)
                    .then(|| Told::of(&settings.state, &[window], &decision.into()))
            }
        };
        // Before the call, so that its future is made where it stays.
        let after = told.map(|told| Box::new(After::Tell(told)));
        log::admitted(LAYER);
        ResponseFuture::admitted(self.inner.call(request), after)
    }
}

// A derive would ask it of the key and the store.
impl<S: Clone, K, St> Clone for LimitRate<S, K, St> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.settings))
    }
}
