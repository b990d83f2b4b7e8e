use std::{borrow::Borrow, num::NonZeroU32, sync::Arc, time::Instant};

use http::{HeaderMap, HeaderValue, Response, response};

use crate::{
    Decisions, RATELIMIT, RATELIMIT_POLICY, RateLimitHeaders, Store, Window, asked::Asked,
    layer::ChargeWhen, state::State,
};

/// What is done with the answer to a request.
#[allow(clippy::large_enum_variant, reason = "it is boxed as a whole")]
pub(crate) enum After<K, St> {
    Tell(Told),
    Charge(Charge<K, St>),
}

impl<K, St> After<K, St> {
    #[cold]
    #[inline(never)]
    pub(crate) fn of<B>(self, response: Response<B>) -> Response<B> {
        let (mut parts, body) = response.into_parts();
        match self {
            Self::Tell(told) => told.tell(&mut parts.headers),
            Self::Charge(charge) => charge.of(&mut parts),
        }
        Response::from_parts(parts, body)
    }
}

/// How a client stands, as header fields.
pub(crate) struct Told {
    limit: HeaderValue,
    policy: HeaderValue,
}

impl Told {
    /// The window that matters most comes first, the others in their order.
    #[cold]
    #[inline(never)]
    pub(crate) fn of<St>(state: &State<St>, asked: &[Window], decisions: &Decisions) -> Self {
        let binding = decisions.binding().map_or(0, |(at, _)| at);
        let all = asked.iter().zip(decisions.iter());
        let all = all.map(|(window, decision)| (state.name(window), *decision));
        let first = all.clone().skip(binding).take(1);
        let others = all.clone().enumerate().filter(|(at, _)| *at != binding);
        let in_order = first.chain(others.map(|(_, one)| one));
        Self {
            limit: if decisions.allowed() {
                RateLimitHeaders::limit(in_order)
            } else {
                RateLimitHeaders::refused(in_order)
            },
            policy: state.policy(all.map(|(name, decision)| (name, decision.policy()))),
        }
    }

    /// What a limit further in has told stays: it may be why the request was refused.
    fn tell(self, headers: &mut HeaderMap) {
        if !headers.contains_key(RATELIMIT) && !headers.contains_key(RATELIMIT_POLICY) {
            headers.insert(RATELIMIT, self.limit);
            headers.insert(RATELIMIT_POLICY, self.policy);
        }
    }
}

/// What is charged once the answer is known.
pub(crate) struct Charge<K, St> {
    pub(crate) when: ChargeWhen,
    pub(crate) state: Arc<State<St>>,
    /// `None` is who shares a bucket, having no key.
    pub(crate) key: Option<K>,
    pub(crate) asked: Asked,
    pub(crate) cost: NonZeroU32,
    /// A pointer, so that the future need not know what the store is asked with.
    pub(crate) apply: fn(&Self, Instant) -> Decisions,
    /// If nothing is charged.
    pub(crate) told: Option<Told>,
}

impl<O, St> Charge<O, St> {
    pub(crate) fn charge<K>(&self, now: Instant) -> Decisions
    where
        K: ToOwned<Owned = O> + ?Sized,
        O: Borrow<K>,
        St: Store<K>,
    {
        let charge = |window: &Window| match &self.key {
            Some(key) => self.state.store.charge(key.borrow(), *window, self.cost, now),
            None => self.state.keyless.charge(&(), *window, self.cost, now),
        };
        self.asked.iter().map(charge).collect()
    }

    fn of(mut self, parts: &mut response::Parts) {
        if (self.when)(parts) {
            let now = tokio::time::Instant::now().into_std();
            let decisions = (self.apply)(&self, now);
            if self.told.is_some() {
                self.told = Some(Told::of(&self.state, &self.asked, &decisions));
            }
        }
        if let Some(told) = self.told {
            told.tell(&mut parts.headers);
        }
    }
}
