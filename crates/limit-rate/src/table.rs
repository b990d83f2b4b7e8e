use std::{
    fmt,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, Instant},
};

use foldhash::quality::RandomState;

use self::lines::Lines;
use crate::{
    Collector, bucket::nanos, overrides::Overrides, quota::LONGEST_FILL, store::Settings,
    sync::AtomicBool,
};

mod line;
mod lines;
mod set;
mod verbs;
mod word;

/// Millions of keys in memory that is fixed when the store is made: 16 bytes for each.
///
/// The buckets of keys that come by are kept in lines of seven, each bucket in one word; a key's is
/// in the line that its hash names, or in that line's neighbour. A key that is known costs one hash,
/// one cache line and one compare-and-swap; a key that is refused is only read, so that who hammers
/// it disturbs nobody. There are no allocations, and no locks but for
/// [keys with a quota of their own](crate::Store::set).
///
/// # What it forgets
///
/// A bucket that is full again is as good as none: a key that was forgotten then and comes back finds
/// what it left. So new keys take such places first, and the collector empties them: nobody notices.
/// Only where all fourteen places of a key are taken by buckets that are not full, the least indebted
/// of them goes, and its key starts anew with a full one. This is counted, in
/// [`evicted_live`](Self::evicted_live). At the stated [capacity](Self::with_capacity) it happens to
/// a few keys in a thousand, and beyond it to more; but a key that has used up its burst is the most
/// indebted of all, and stays refused through a flood of others that have not.
///
/// What counts is the time that is owed, in the buckets' own ticks, which are 16 times as long for buckets
/// that take 16 times as long to fill; among those of less than a minute it is the time itself. So of two
/// [windows](crate::Window) that of a day hardly pushes out that of a second, while that of a minute may.
/// A flood frees a blocked key once each of its own keys owes as much: with a burst of one that is each
/// that asks once. Where that matters, make room for the flood, or take an
/// [`ExactStore`](crate::ExactStore), which compares shares of buckets.
///
/// # Exactness
///
/// * A key is known by its place and 22 further bits of its hash. Another key is taken for it, and
///   shares its bucket, with a chance of two in a million at the stated capacity.
/// * A bucket that fills within a minute decides exactly as a [`Bucket`](crate::Bucket), in
///   nanoseconds. One that takes longer (the collector's [patience](Self::with_ttl) counts along) is
///   kept in ticks below 2⁻³² of that time: 256 ns for an hour, 4 µs for a day, a millisecond for a
///   year. It decides as a bucket whose clock shows the last full tick, and whose tokens take a
///   rounded-up number of ticks: over any span it allows no more than the exact bucket would in that
///   span and one tick.
/// * With any number of threads, no bucket gives a token twice.
///
/// # Hashes
///
/// Whoever could tell which keys share a line could push others out of it. The hash is therefore
/// keyed, by a seed of this table's own, and neither hashes nor keys are shown anywhere. The default
/// is `foldhash`'s quality variant, which is fast and keeps its seed from those who do not see its
/// output; who wants a cryptographer's word for it takes `SipHash`:
///
/// ```
/// use palisade_limit_rate::TableStore;
/// use std::{hash::RandomState, time::Duration};
///
/// let store = TableStore::new()
///     .with_capacity(1_000_000)
///     .with_sweep_interval(Duration::from_secs(10))
///     .with_hasher(RandomState::new());
/// assert_eq!(store.memory(), 16_000_000);
/// assert!(store.is_empty());
/// ```
pub struct TableStore<S = RandomState> {
    lines: Lines,
    hasher: S,
    /// Since when nanoseconds are counted.
    beginning: Instant,
    overrides: Overrides,
    settings: Settings,
    collector: Collector,
    closed: AtomicBool,
}

/// What a line takes in memory.
const LINE: usize = 64;

/// What a key may take in memory.
const KEY: usize = 16;

/// How many lines the collector sweeps at a time: some ten microseconds' work.
const LINES_PER_STEP: usize = 256;

impl TableStore {
    /// A store for 65,536 keys, in a mebibyte.
    #[must_use]
    pub fn new() -> Self {
        Self::made(Settings::default(), RandomState::default())
    }

    /// The least there is.
    pub(crate) fn for_one() -> Self {
        Self::made(Settings { keys: 1, ..Settings::default() }, RandomState::default())
    }
}

impl Default for TableStore {
    fn default() -> Self {
        Self::new()
    }
}

/// Settings are made before the first key: each of these empties the store.
impl<S> TableStore<S> {
    fn made(settings: Settings, hasher: S) -> Self {
        // No memory holds more lines than this.
        let lines = (settings.keys / LINE).saturating_mul(KEY)
            + (settings.keys % LINE * KEY).div_ceil(LINE);
        Self {
            lines: Lines::new(lines, nanos(settings.min_ttl).min(LONGEST_FILL)),
            hasher,
            beginning: tokio::time::Instant::now().into_std(),
            overrides: Overrides::new(settings.max_overrides),
            settings,
            collector: Collector::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// Makes room for so many keys whose buckets are not full, at 16 bytes each.
    ///
    /// Keys that have not come by for as long as their bucket takes to fill need no room. With
    /// several windows a key counts once for each.
    #[must_use]
    pub fn with_capacity(self, keys: usize) -> Self {
        Self::made(Settings { keys, ..self.settings }, self.hasher)
    }

    /// Lets the collector leave buckets that are full where they are for so long; ten seconds unless
    /// set. At most 36 years.
    ///
    /// A key that comes back within this time is found where it was, which is faster than to be given a
    /// place, and [`len`](Self::len) counts it meanwhile. A place that is needed for another key is taken
    /// in any case. No client can tell while this is minutes: much longer times make all ticks coarser,
    /// and quotas of many thousands a second slower than they say.
    #[must_use]
    pub fn with_ttl(self, min_ttl: Duration) -> Self {
        Self::made(Settings { min_ttl, ..self.settings }, self.hasher)
    }

    /// Lets the collector's task go through the whole table in this time; a minute unless set.
    ///
    /// It does so in steps of [`SLOTS_PER_STEP`](Self::SLOTS_PER_STEP) buckets, at most one each
    /// millisecond.
    #[must_use]
    pub fn with_sweep_interval(self, sweep_interval: Duration) -> Self {
        Self::made(Settings { sweep_interval, ..self.settings }, self.hasher)
    }

    /// Lets so many keys have a quota of their own by [`Store::set`](crate::Store::set); 1,024 unless set.
    #[must_use]
    pub fn with_max_overrides(self, max_overrides: usize) -> Self {
        Self::made(Settings { max_overrides, ..self.settings }, self.hasher)
    }

    /// Hashes keys by this. It has to be keyed by a seed that nobody knows.
    #[must_use]
    pub fn with_hasher<T>(self, hasher: T) -> TableStore<T> {
        TableStore::made(self.settings, hasher)
    }

    /// How many buckets are looked at in one step of the collector, at most.
    pub const SLOTS_PER_STEP: usize = LINES_PER_STEP * line::WAYS;

    /// How many keys it was made for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.settings.keys
    }

    /// How much memory the table takes, in bytes. It never changes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.lines.memory()
    }

    /// How many buckets are remembered: those that are not full, and those that are full and were
    /// [not collected yet](Self::with_ttl).
    ///
    /// Exact while no key is added or collected. A counter, so it costs nothing to ask.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.counts.len()
    }

    /// Whether no bucket is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many buckets were given up before they were full, since their places were needed.
    ///
    /// If this grows, clients get more than their quota: raise the
    /// [capacity](Self::with_capacity).
    #[must_use]
    pub fn evicted_live(&self) -> u64 {
        self.lines.counts.evicted_live.load(Relaxed)
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
        S: Send + Sync + 'static,
    {
        if !self.closed.load(Acquire) {
            Collector::start(self);
        }
    }
}

/// Neither keys nor hashes, nor what they come from.
impl<S> fmt::Debug for TableStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableStore")
            .field("settings", &self.settings)
            .field("len", &self.len())
            .field("evicted_live", &self.evicted_live())
            .field("collector", &self.collector)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod exact_tests;
#[cfg(all(test, palisade_loom))]
mod loom_tests;
#[cfg(all(test, not(palisade_loom)))]
mod model_tests;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
