use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    net::IpAddr,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use governor::{
    NotUntil, RateLimiter,
    clock::{Clock, QuantaClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore, keyed::DashMapStateStore},
};
use moka::sync::Cache;
use palisade::limit_rate::{ExactStore, Quota, Store as _, Sweep as _, TableStore};
use tokio::runtime::Builder;

use super::check::Key;
use crate::{drive::now, settings::quota};

/// What is measured: a store, its clock, its quota.
pub(crate) trait Store<K>: Send + Sync + 'static {
    /// For so many keys, where that can be told.
    fn holding(keys: u64, allowance: Allowance) -> Self;

    /// Takes one token.
    fn allows(&self, key: &K) -> bool;
}

#[derive(Clone, Copy)]
pub(crate) enum Allowance {
    /// As much as is ever asked for.
    Ample,
    /// One an hour.
    One,
}

impl Allowance {
    fn ours(self) -> Quota {
        match self {
            Self::Ample => quota(),
            Self::One => Quota::per_hour(NonZeroU32::MIN),
        }
    }

    fn governors(self) -> governor::Quota {
        let burst = NonZeroU32::new(1 << 30).expect("not zero");
        let ample = governor::Quota::with_period(Duration::from_nanos(1));
        match self {
            Self::Ample => ample.expect("not zero").allow_burst(burst),
            Self::One => governor::Quota::per_hour(NonZeroU32::MIN),
        }
    }
}

/// The loop and the key.
pub(crate) struct Nothing(Allowance);

impl<K> Store<K> for Nothing {
    fn holding(_: u64, allowance: Allowance) -> Self {
        Self(allowance)
    }

    #[inline]
    fn allows(&self, key: &K) -> bool {
        std::hint::black_box(key);
        matches!(self.0, Allowance::Ample)
    }
}

/// governor's `DashMap`, by its hasher and its clock.
pub(crate) type Governor<K, S, C> =
    RateLimiter<K, DashMapStateStore<K, S>, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl<K, S, C> Store<K> for Governor<K, S, C>
where
    K: Key,
    S: BuildHasher + Default + Clone + Send + Sync + 'static,
    C: Clock + Default + Send + Sync + 'static,
    C::Instant: Send + Sync,
{
    fn holding(_: u64, allowance: Allowance) -> Self {
        Self::dashmap_with_clock_and_hasher(allowance.governors(), C::default(), S::default())
    }

    #[inline]
    fn allows(&self, key: &K) -> bool {
        self.check_key(key).map_err(|_: NotUntil<_>| ()).is_ok()
    }
}

/// governor's buckets in moka's cache, which forgets whom it saw least.
pub(crate) type Capped<K> = RateLimiter<K, Moka<K>, QuantaClock>;

pub(crate) struct Moka<K>(Cache<K, Arc<InMemoryState>>);

impl<K: Key> StateStore for Moka<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let state = self.0.get(key);
        let state = state.unwrap_or_else(|| self.0.get_with_by_ref(key, Arc::default));
        state.measure_and_replace(&NotKeyed::NonKey, f)
    }
}

impl<K: Key> Store<K> for Capped<K> {
    fn holding(keys: u64, allowance: Allowance) -> Self {
        let cap = (2 * keys).max(2 << 16);
        Self::new(allowance.governors(), Moka(Cache::new(cap)), QuantaClock::default())
    }

    #[inline]
    fn allows(&self, key: &K) -> bool {
        self.check_key(key).is_ok()
    }
}

/// Ours, by its clock.
pub(crate) struct Palisade<C> {
    table: Arc<TableStore>,
    quota: Quota,
    clock: C,
}

impl<K, C> Store<K> for Palisade<C>
where
    K: Hash,
    C: Time,
{
    /// Never for fewer keys than it is made for unless told.
    fn holding(keys: u64, allowance: Allowance) -> Self {
        let keys = usize::try_from(keys).expect("fits in memory").max(TableStore::new().capacity());
        let table = TableStore::new().with_capacity(keys);
        Self { table: Arc::new(table), quota: allowance.ours(), clock: C::begun() }
    }

    #[inline]
    fn allows(&self, key: &K) -> bool {
        let now = self.clock.now();
        self.table.take(key, self.quota.into(), NonZeroU32::MIN, now).allowed()
    }
}

/// Our store of exact keys, by its clock.
pub(crate) struct Exact<K, C> {
    store: ExactStore<K>,
    quota: Quota,
    clock: C,
}

impl<K: Key, C: Time> Store<K> for Exact<K, C> {
    /// With a tenth of its places left over, since its shards are not filled alike.
    fn holding(keys: u64, allowance: Allowance) -> Self {
        let keys = usize::try_from(keys).expect("fits in memory").div_ceil(9) * 10;
        let store = ExactStore::new();
        let most = keys.max(store.max_keys());
        Self { store: store.with_max_keys(most), quota: allowance.ours(), clock: C::begun() }
    }

    #[inline]
    fn allows(&self, key: &K) -> bool {
        let now = self.clock.now();
        self.store.take(key, self.quota.into(), NonZeroU32::MIN, now).allowed()
    }
}

/// A store that forgets.
pub(super) trait Collected: Store<IpAddr> {
    /// How many keys it knows.
    fn known(&self) -> usize;
}

impl Collected for Governor<IpAddr, RandomState, QuantaClock> {
    fn known(&self) -> usize {
        self.len()
    }
}

impl<C: Time> Collected for Palisade<C> {
    fn known(&self) -> usize {
        self.table.len()
    }
}

/// How long a bucket is kept that is full again: long enough to fill the store, since inserting
/// collects too.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

impl<C: Time> Palisade<C> {
    pub(super) fn impatient() -> Self {
        let table = TableStore::new()
            .with_capacity(usize::try_from(super::MILLION).expect("fits in memory"))
            .with_ttl(PATIENCE)
            .with_sweep_interval(Duration::from_secs(1));
        Self { table: Arc::new(table), quota: quota(), clock: C::begun() }
    }

    /// One whole round, without a pause between its steps.
    pub(super) fn collect_at_once(&self) {
        let slots = self.table.memory() / size_of::<u64>();
        for _ in 0..slots.div_ceil(TableStore::<()>::SLOTS_PER_STEP) {
            self.table.sweep(self.clock.now());
        }
    }

    /// As its own task does it. That is left to a runtime of this thread.
    pub(super) fn collect_in_steps(&self) {
        let runtime = Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime can be made").block_on(async {
            self.table.start();
            let ends = tokio::time::Instant::now() + Duration::from_secs(10);
            while self.table.len() > 350_000 && tokio::time::Instant::now() < ends {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
}

/// What ours is told the time by.
pub(crate) trait Time: Send + Sync + 'static {
    fn begun() -> Self;
    fn now(&self) -> Instant;
}

/// As the layer reads it.
pub(crate) struct TokioClock;

impl Time for TokioClock {
    fn begun() -> Self {
        Self
    }

    #[inline]
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// One that costs nothing, since it stands.
#[derive(Clone, Debug)]
pub(crate) struct Still(Instant);

impl Default for Still {
    fn default() -> Self {
        Self(now())
    }
}

impl Time for Still {
    fn begun() -> Self {
        Self::default()
    }

    #[inline]
    fn now(&self) -> Instant {
        self.0
    }
}

impl Clock for Still {
    type Instant = Nanos;

    #[inline]
    fn now(&self) -> Nanos {
        Nanos::new(1)
    }
}
