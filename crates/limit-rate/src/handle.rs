use std::{
    fmt,
    marker::PhantomData,
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use http::HeaderValue;

use crate::{
    Decision, Quota, RateLimitHeaders, Store, TableStore, TooManyOverrides,
    quota_cell::QuotaCell,
    sync::{AtomicU64, Mutex, lock},
};

/// The operator's end of a rate limit: change the quota, look at a client's bucket, empty or fill it.
///
/// `K` is the type of the keys, as in `Buckets<ClientNet>`. Cheap to clone. It acts on everything its
/// layer was applied to, before or after. It reads the clock itself, for which no runtime is needed.
pub struct Buckets<K: ?Sized, St = TableStore> {
    state: Arc<State<St>>,
    keys: PhantomData<fn(&K)>,
}

/// What all services of a layer share.
pub(crate) struct State<St> {
    pub(crate) store: Arc<St>,
    quota: QuotaCell,
    /// Of those without a key. One bucket, in a store since that decides without a lock.
    pub(crate) keyless: TableStore,
    policy: Policy,
    pub(crate) counts: Counts,
}

/// The value of `RateLimit-Policy`, made for the layer's quota. On a line of its own: it is locked by
/// answers that tell it, and the quota beside it is read by all requests.
#[derive(Debug)]
#[repr(align(128))]
struct Policy(Mutex<(Quota, HeaderValue)>);

/// Written by refusals alone, on lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    pub(crate) refused: AtomicU64,
    pub(crate) shadowed: AtomicU64,
    pub(crate) keyless: AtomicU64,
}

/// The name of the one window.
pub(crate) const DEFAULT: &str = "default";

impl<St> State<St> {
    pub(crate) fn new(quota: Quota, store: Arc<St>) -> Self {
        Self {
            store,
            quota: QuotaCell::new(quota),
            keyless: TableStore::for_one(),
            policy: Policy(Mutex::new((quota, RateLimitHeaders::policy([(DEFAULT, quota)])))),
            counts: Counts::default(),
        }
    }

    #[inline]
    pub(crate) fn quota(&self) -> Quota {
        self.quota.get()
    }

    pub(crate) fn set_quota(&self, quota: Quota) {
        self.quota.set(quota);
    }

    /// The value of `RateLimit-Policy` for a quota, which mostly is the layer's own.
    pub(crate) fn policy(&self, quota: Quota) -> HeaderValue {
        let render = || RateLimitHeaders::policy([(DEFAULT, quota)]);
        if quota != self.quota() {
            return render();
        }
        let mut policy = lock(&self.policy.0);
        if policy.0 != quota {
            *policy = (quota, render());
        }
        policy.1.clone()
    }
}

impl<K: ?Sized, St> Buckets<K, St> {
    pub(crate) fn new(state: Arc<State<St>>) -> Self {
        Self { state, keys: PhantomData }
    }

    /// The quota of every client that has none of its own.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.state.quota()
    }

    /// Changes the quota, from the next request on.
    ///
    /// What clients owe they keep, as time: nobody gets a full bucket by it, and who drew a large burst
    /// under the old quota waits under a smaller one until all of it is paid back. To let a client begin
    /// anew there is [`reset`](Self::reset).
    pub fn set_quota(&self, quota: Quota) {
        self.state.set_quota(quota);
    }

    /// How those without a key stand, who [share](palisade_key::Missing::Shared) one bucket. Takes
    /// nothing.
    #[must_use]
    pub fn get_shared(&self) -> Decision {
        self.state.keyless.get(&(), self.state.quota().into(), now())
    }

    /// The store, for what only it can tell, as its memory or what it gave up.
    #[must_use]
    pub fn store(&self) -> &St {
        &self.state.store
    }

    /// How many requests were refused since their client had asked too often, or for too much.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.state.counts.refused.load(Relaxed)
    }

    /// How many requests would have been refused, and passed in [shadow](crate::LimitRateLayer::with_shadow).
    #[must_use]
    pub fn shadowed(&self) -> u64 {
        self.state.counts.shadowed.load(Relaxed)
    }

    /// How many requests were [refused](palisade_key::Missing::Reject) since they had no key.
    #[must_use]
    pub fn keyless(&self) -> u64 {
        self.state.counts.keyless.load(Relaxed)
    }
}

/// The store's verbs, for single clients.
impl<K: ?Sized, St: Store<K>> Buckets<K, St> {
    /// Takes tokens from a client's bucket as a request would, and counts nothing.
    pub fn take(&self, key: &K, cost: NonZeroU32) -> Decision {
        self.state.store.take(key, self.state.quota().into(), cost, now())
    }

    /// How a client stands. Takes nothing.
    #[must_use]
    pub fn get(&self, key: &K) -> Decision {
        self.state.store.get(key, self.state.quota().into(), now())
    }

    /// Gives a client a quota of its own, until that moment or for good. What it owes it keeps, as time,
    /// unless it is [reset](Self::reset) as well, before.
    ///
    /// # Errors
    ///
    /// When the store holds as many as it may.
    pub fn set(
        &self,
        key: &K,
        quota: Quota,
        until: Option<Instant>,
    ) -> Result<(), TooManyOverrides> {
        self.state.store.set(key, quota.into(), until, now())
    }

    /// Forgets a client: its bucket is full, and it has no quota of its own.
    pub fn reset(&self, key: &K) {
        self.state.store.reset(key, self.state.quota().into());
    }

    /// Gives tokens back that were taken for nothing. A bucket never holds more than its burst.
    pub fn refund(&self, key: &K, cost: NonZeroU32) {
        self.state.store.refund(key, self.state.quota().into(), cost, now());
    }

    /// Ends the work that goes on behind the store, as its collector. Buckets still decide.
    pub fn close(&self) {
        self.state.store.close();
    }

    /// How many clients are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.store.len()
    }

    /// Whether no client is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.store.is_empty()
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl<K: ?Sized, St> Clone for Buckets<K, St> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.state))
    }
}

impl<K: ?Sized, St> fmt::Debug for Buckets<K, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}

/// Nothing of the store, whose keys are nobody's business.
impl<St> fmt::Debug for State<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets")
            .field("quota", &self.quota())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
