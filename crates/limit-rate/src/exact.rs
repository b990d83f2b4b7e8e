use std::{
    fmt,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
    time::Duration,
};

use foldhash::quality::RandomState;

pub use self::iter::Iter;
use self::shard::Shard;
use crate::{
    Collector,
    store::Settings,
    sync::{Apart, AtomicBool, AtomicUsize, Mutex, lock},
};

mod iter;
mod shard;
mod shelf;
mod verbs;

/// Exact keys, which can be listed, in memory that has a bound: for each key 44 bytes, the key, and what
/// it holds elsewhere.
///
/// For those who want to see [who is being limited](Self::iter), whose keys are few, or who want no
/// chance at all that two of them share a bucket. All others are better off with a
/// [`TableStore`](crate::TableStore): it takes less memory, no locks, and a key that is new is not
/// allocated.
///
/// Keys are owned, as `String` or `Vec<u8>`, and looked up as what they lend, as `str` or `[u8]`.
///
/// ```
/// use palisade_key::HeaderKey;
/// use palisade_limit_rate::{ExactStore, LimitRateLayer, Quota};
/// use std::{num::NonZeroU32, time::Instant};
///
/// let (ten, key) = (NonZeroU32::new(10).unwrap(), HeaderKey::new(http::header::AUTHORIZATION));
/// let store: ExactStore<Vec<u8>> = ExactStore::new().with_max_keys(10_000);
/// let layer = LimitRateLayer::new(Quota::per_minute(ten), key).with_store(store);
///
/// let buckets = layer.handle();
/// buckets.take(b"alice", ten);
/// # let now = Instant::now();
/// let blocked = buckets.store().iter(buckets.quota().into(), now);
/// let blocked: Vec<_> = blocked.filter(|(_, decision)| !decision.allowed()).collect();
/// assert_eq!(blocked.len(), 1);
/// assert_eq!(blocked[0].0, b"alice");
/// ```
///
/// # What it costs
///
/// A request takes one lock, of up to 64 by its key's hash, and holds it for a look into a map: also a
/// request that is refused, so that who hammers one key slows those down that share its lock. A key
/// that is new is copied, which may allocate. With any key on
/// [a quota of its own](crate::Store::set), those behind the same lock look into a second map.
///
/// # What it forgets
///
/// As the table: buckets that are full again, which nobody notices. A key that is new looks at eight
/// places for such; and if there is no room for it even then, the least indebted of sixteen goes,
/// which is counted in [`evicted_live`](Self::evicted_live) if it owed anything. A key that has used up
/// its burst is the most indebted of all and stays refused through a flood of others.
///
/// # Exactness
///
/// It decides as a [`Bucket`](crate::Bucket) for each window of each key, in nanoseconds.
pub struct ExactStore<K, S = RandomState> {
    shards: Box<[Apart<Mutex<Shard<K>>>]>,
    hasher: S,
    settings: Settings,
    /// How many quotas of their own there are, in all shards.
    overrides: AtomicUsize,
    /// The shard that is swept next, modulo their number.
    hand: AtomicUsize,
    collector: Collector,
    closed: AtomicBool,
}

/// More would make shards so small that some are full long before the others.
const KEYS_PER_SHARD: usize = 1024;

/// How many places the collector or an operator goes through under one lock.
const PLACES_PER_STEP: usize = 256;

impl<K> ExactStore<K> {
    /// A store for at most 65,536 keys.
    #[must_use]
    pub fn new() -> Self {
        Self::made(Settings::default(), RandomState::default())
    }
}

impl<K> Default for ExactStore<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Settings are made before the first key: each of these empties the store.
impl<K, S> ExactStore<K, S> {
    fn made(settings: Settings, hasher: S) -> Self {
        let shards = (settings.keys / KEYS_PER_SHARD).clamp(1, 64);
        let room = (settings.keys / shards).max(1);
        let shard = |_| Apart(Mutex::new(Shard::new(room, settings.min_ttl)));
        Self {
            shards: (0..shards).map(shard).collect(),
            hasher,
            settings,
            overrides: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            collector: Collector::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Remembers at most so many keys. With several windows a key counts once for each.
    ///
    /// Keys go to up to 64 shards by their hash, each with room for its part, and so some shard is
    /// full before all are: up to nine tenths of the maximum next to no key is evicted, and at the
    /// maximum one or two in a hundred.
    ///
    /// # Panics
    ///
    /// When there is not so much [memory](Self::memory) to be had.
    #[must_use]
    pub fn with_max_keys(self, max_keys: usize) -> Self {
        Self::made(Settings { keys: max_keys, ..self.settings }, self.hasher)
    }

    /// Lets the collector leave buckets that are full where they are for so long; ten seconds unless
    /// set.
    ///
    /// No client can tell. A key that comes back within this time need not be copied again, and
    /// [`len`](Self::len) counts it meanwhile. A place that is needed for another key is taken in any
    /// case.
    #[must_use]
    pub fn with_ttl(self, min_ttl: Duration) -> Self {
        Self::made(Settings { min_ttl, ..self.settings }, self.hasher)
    }

    /// Lets the collector's task go through all keys in this time; a minute unless set.
    ///
    /// It does so in steps of [`PLACES_PER_STEP`](Self::PLACES_PER_STEP) buckets, at most one each
    /// millisecond.
    #[must_use]
    pub fn with_sweep_interval(self, sweep_interval: Duration) -> Self {
        Self::made(Settings { sweep_interval, ..self.settings }, self.hasher)
    }

    /// Lets so many keys have a quota of their own by [`Store::set`](crate::Store::set); 1,024 unless
    /// set.
    #[must_use]
    pub fn with_max_overrides(self, max_overrides: usize) -> Self {
        Self::made(Settings { max_overrides, ..self.settings }, self.hasher)
    }

    /// Hashes keys by this. It has to be keyed by a seed that nobody knows.
    #[must_use]
    pub fn with_hasher<T>(self, hasher: T) -> ExactStore<K, T> {
        ExactStore::made(self.settings, hasher)
    }

    /// How many buckets the collector looks at under one lock, at most.
    pub const PLACES_PER_STEP: usize = PLACES_PER_STEP;

    /// How many keys it remembers at most.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.settings.keys
    }

    /// How many places each shard has.
    fn room(&self) -> usize {
        (self.settings.keys / self.shards.len()).max(1)
    }

    /// How much memory it takes when it is full, in bytes: that of its places, reserved when it is
    /// made and not touched before it is needed. What keys hold elsewhere, as the letters of a
    /// `String`, comes on top, and so do the quotas that keys have of their own.
    #[must_use]
    pub fn memory(&self) -> usize {
        let place = shelf::Shelf::<K, shard::Kept>::PLACE;
        size_of_val(&*self.shards) + self.shards.len() * self.room() * place
    }

    /// How many buckets are remembered: those that are not full, and those that are full and were
    /// [not collected yet](Self::with_ttl).
    ///
    /// Takes each shard's lock for a moment, one after another.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).buckets.len()).sum()
    }

    /// Whether no bucket is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many buckets were given up before they were full, since their places were needed.
    ///
    /// If this grows, clients get more than their quota: [remember more](Self::with_max_keys).
    #[must_use]
    pub fn evicted_live(&self) -> u64 {
        self.shards.iter().map(|shard| lock(&shard.0).evicted_live).sum()
    }

    /// Ends the collector, at its next step. Buckets still decide.
    pub fn close(&self) {
        self.closed.store(true, Release);
    }

    /// Starts the collector, unless it runs already, was closed, or there is no runtime here. It
    /// ends with the last `Arc`.
    ///
    /// It is not needed for anything but [`len`](Self::len) to go down while no new keys come.
    pub fn start(self: &Arc<Self>)
    where
        K: Send + 'static,
        S: Send + Sync + 'static,
    {
        if !self.closed.load(Acquire) {
            Collector::start(self);
        }
    }
}

/// No keys, nor what they are found by.
impl<K, S> fmt::Debug for ExactStore<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExactStore")
            .field("settings", &self.settings)
            .field("len", &self.len())
            .field("evicted_live", &self.evicted_live())
            .field("overrides", &self.overrides.load(Relaxed))
            .field("collector", &self.collector)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod model_tests;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
