use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash},
    marker::PhantomData,
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use crate::{
    Decision, Decisions, ExactStore, Offender, Quota, Store, TableStore, TooManyOverrides, Window,
    asked::Asked, state::State,
};

/// The operator's end of a rate limit: change the quota, look at a client's bucket, empty or fill it.
///
/// `K` is the type of the keys, as in `Buckets<ClientNet>`. Cheap to clone. It acts on everything its
/// layer was applied to, before or after. It reads the clock itself, for which no runtime is needed.
///
/// Where there are [several windows](crate::LimitRateLayer::with_quota), it acts on the first; for each
/// of the others there is one by its [name](Self::window). What counts requests is the layer's in all.
pub struct Buckets<K: ?Sized, St = TableStore> {
    state: Arc<State<St>>,
    window: usize,
    keys: PhantomData<fn(&K)>,
}

impl<K: ?Sized, St> Buckets<K, St> {
    pub(crate) fn new(state: Arc<State<St>>) -> Self {
        Self { state, window: 0, keys: PhantomData }
    }

    /// The same for the window by this name. `None` if there is none.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<Self> {
        self.windows().find(|window| window.name() == name)
    }

    /// The same for each window, the first one first.
    pub fn windows(&self) -> impl Iterator<Item = Self> + use<K, St> {
        let (all, first) = (0..self.state.windows().count(), self.clone());
        all.map(move |window| Self { window, ..first.clone() })
    }

    /// The window's name: `default`, unless it was given one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.state.window(self.window).map_or("", |window| &window.name)
    }

    /// The quota of every client that has none of its own, nor [its plan's](crate::LimitRateLayer::with_quota_for).
    #[must_use]
    pub fn quota(&self) -> Quota {
        let window = self.state.window(self.window);
        window.map_or_else(|| self.state.quota(), |window| window.quota.get())
    }

    /// What the store is asked with.
    fn asked(&self) -> Window {
        self.asked_with(self.quota())
    }

    fn asked_with(&self, quota: Quota) -> Window {
        Window::new(self.state.window(self.window).map_or(0, |window| window.number), quota)
    }

    /// Changes the quota, from the next request on.
    ///
    /// What clients owe they keep, as time: nobody gets a full bucket by it, and who drew a large burst
    /// under the old quota waits under a smaller one until all of it is paid back. To let a client begin
    /// anew there is [`reset`](Self::reset).
    pub fn set_quota(&self, quota: Quota) {
        if let Some(window) = self.state.window(self.window) {
            window.quota.set(quota);
        }
    }

    /// How those without a key stand, who [share](palisade_key::Missing::Shared) one bucket. Takes
    /// nothing.
    #[must_use]
    pub fn get_shared(&self) -> Decision {
        self.state.keyless.get(&(), self.asked(), now())
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

/// The clients that are refused most often of late.
impl<K: Hash + ?Sized, St> Buckets<K, St> {
    /// Up to 64 of them, the most refused first, by numbers that do not say who they are. Those without a
    /// key are not among them.
    #[must_use]
    pub fn offenders(&self) -> Vec<Offender> {
        self.state.offenders.list(now())
    }

    /// This client, if it is one of [them](Self::offenders).
    #[must_use]
    pub fn offender(&self, key: &K) -> Option<Offender> {
        let id = self.state.offenders.id(key);
        self.offenders().into_iter().find(|offender| offender.id() == id)
    }
}

impl<K, O, S> Buckets<K, ExactStore<O, S>>
where
    K: Hash + ?Sized,
    O: std::borrow::Borrow<K> + Clone + Eq,
    S: BuildHasher,
{
    /// The [offenders](Self::offenders) that are in the store, and who they are.
    ///
    /// It goes through all keys, [a few at a time](ExactStore::iter).
    #[must_use]
    pub fn offending_keys(&self) -> Vec<(O, Offender)> {
        let offenders = self.offenders();
        let mut keys = HashMap::new();
        // Whom another window refuses draws nothing from this one.
        for window in self.windows() {
            for (key, _) in self.state.store.iter(window.asked(), now()) {
                let id = self.state.offenders.id(key.borrow());
                if offenders.iter().any(|offender| offender.id() == id) {
                    keys.insert(id, key);
                }
            }
        }
        let known = |offender: Offender| Some((keys.remove(&offender.id())?, offender));
        offenders.into_iter().filter_map(known).collect()
    }
}

/// The store's verbs, for single clients.
impl<K: ?Sized, St: Store<K>> Buckets<K, St> {
    /// Takes tokens from all windows of a client, or from none, as a request would, and counts nothing.
    pub fn take_all(&self, key: &K, cost: NonZeroU32) -> Decisions {
        let mut asked = Asked::none();
        self.windows().for_each(|window| asked.push(window.asked()));
        self.state.store.take_all(key, &asked, cost, now())
    }

    /// Takes tokens from a client's bucket, and counts nothing.
    pub fn take(&self, key: &K, cost: NonZeroU32) -> Decision {
        self.state.store.take(key, self.asked(), cost, now())
    }

    /// How a client stands. Takes nothing.
    #[must_use]
    pub fn get(&self, key: &K) -> Decision {
        self.state.store.get(key, self.asked(), now())
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
        self.state.store.set(key, self.asked_with(quota), until, now())
    }

    /// Forgets a client in this window: its bucket is full, and it has no quota of its own.
    pub fn reset(&self, key: &K) {
        self.state.store.reset(key, self.asked());
    }

    /// Gives tokens back that were taken for nothing. A bucket never holds more than its burst.
    pub fn refund(&self, key: &K, cost: NonZeroU32) {
        self.state.store.refund(key, self.asked(), cost, now());
    }

    /// Ends the work that goes on behind the store, as its collector. Buckets still decide.
    pub fn close(&self) {
        self.state.store.close();
    }

    /// How many buckets are remembered: with several windows, one client's may be several.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.store.len()
    }

    /// Whether no bucket is remembered.
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
        Self { state: Arc::clone(&self.state), ..*self }
    }
}

impl<K: ?Sized, St> fmt::Debug for Buckets<K, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state.fmt(f)
    }
}
