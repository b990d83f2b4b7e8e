use std::{
    error::Error,
    fmt,
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    Decision, Decisions, Quota,
    decisions::{self, Windows},
};

/// Where the buckets of all keys are.
///
/// Synchronous, and told the time: a store reads no clock. Keys are borrowed. One key may have
/// several [windows](Window), each with a bucket of its own; a verb acts on one of them.
///
/// ```
/// use palisade_limit_rate::{Quota, Store, TableStore};
/// use std::{num::NonZeroU32, time::Instant};
///
/// let store = TableStore::new();
/// let (one, window) = (NonZeroU32::MIN, Quota::per_second(NonZeroU32::MIN).into());
/// # let now = Instant::now();
/// assert!(store.take("alice", window, one, now).allowed());
/// assert!(!store.take("alice", window, one, now).allowed());
/// assert!(store.take("bob", window, one, now).allowed());
/// ```
///
/// A store of your own keeps a [`Bucket`](crate::Bucket) for each key and window, which is where its
/// decisions come from.
pub trait Store<K: ?Sized> {
    /// Takes tokens from the key's bucket, if there are enough.
    fn take(&self, key: &K, window: Window, cost: NonZeroU32, now: Instant) -> Decision;

    /// Takes so many tokens from each of the key's windows, or none at all: when any of them refuses,
    /// none is charged. What those tell that would have allowed it is what is left without.
    ///
    /// ```
    /// use palisade_limit_rate::{Quota, Store, TableStore, Window};
    /// use std::{num::NonZeroU32, time::Instant};
    ///
    /// let (burst, daily): (Quota, Quota) = ("2/s".parse()?, "100/d".parse()?);
    /// let (store, windows) = (TableStore::new(), [Window::new(0, burst), Window::new(1, daily)]);
    /// # let now = Instant::now();
    /// let taken = |_| store.take_all("alice", &windows, NonZeroU32::MIN, now).allowed();
    /// assert_eq!((0..50).map(taken).filter(|taken| *taken).count(), 2);
    /// assert_eq!(store.get("alice", windows[1], now).remaining(), 98);
    /// # Ok::<_, palisade_limit_rate::InvalidQuota>(())
    /// ```
    ///
    /// # Races
    ///
    /// Unless it says otherwise, a store looks at all windows but the first, and only if all would allow
    /// it takes from one after another. If somebody else is faster and a later one refuses, what was
    /// taken from the earlier is given back. Until then others may be refused for want of it. And if
    /// until then an earlier bucket was evicted, reset, given another quota, or filled up as time went
    /// by, it gains what it should not: at most the cost, once for each request that loses such a race.
    ///
    /// An [`ExactStore`](crate::ExactStore) decides on all at once, and has none of this.
    fn take_all(&self, key: &K, windows: &[Window], cost: NonZeroU32, now: Instant) -> Decisions {
        decisions::take_all(Of { store: self, key }, windows, cost, now)
    }

    /// Takes tokens whether or not there are enough, for what has happened already: the bucket then owes
    /// them, up to what it can hold. Told is whether there were enough, and how it stands now.
    ///
    /// A store that does not say otherwise takes them only if there are enough.
    fn charge(&self, key: &K, window: Window, cost: NonZeroU32, now: Instant) -> Decision {
        self.take(key, window, cost, now)
    }

    /// What [`take`](Self::take) would say of one token. Takes nothing, writes nothing.
    fn get(&self, key: &K, window: Window, now: Instant) -> Decision;

    /// Gives the key a quota of its own in this window, until that moment or for good: from then on
    /// it counts instead of the one that is asked with. What the key owes it keeps, as time.
    ///
    /// It goes by [`reset`](Self::reset), by another `set`, or when its time has passed; a collector
    /// leaves it alone.
    ///
    /// # Errors
    ///
    /// When the store holds as many as it may.
    fn set(
        &self,
        key: &K,
        window: Window,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), TooManyOverrides>;

    /// Forgets the key in this window: its bucket is full, and it has no quota of its own.
    fn reset(&self, key: &K, window: Window);

    /// Gives tokens back that were taken for nothing. A bucket never holds more than its burst.
    fn refund(&self, key: &K, window: Window, cost: NonZeroU32, now: Instant);

    /// Begins the work that goes on behind the store, if it has any and is not at it already. Called
    /// with every request, so it should cost next to nothing.
    fn start(self: &Arc<Self>)
    where
        Self: Sized,
    {
    }

    /// Ends the work that goes on behind the store, as its collector. Buckets still decide.
    fn close(&self);

    /// How many buckets are remembered.
    fn len(&self) -> usize;

    /// Whether no bucket is remembered.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a store is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// For how many keys there is room.
    pub(crate) keys: usize,
    pub(crate) min_ttl: Duration,
    pub(crate) sweep_interval: Duration,
    pub(crate) max_overrides: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keys: 1 << 16,
            min_ttl: Duration::from_secs(10),
            sweep_interval: Duration::from_secs(60),
            max_overrides: 1024,
        }
    }
}

/// A key's windows in a store that knows one at a time.
struct Of<'a, K: ?Sized, St: ?Sized> {
    store: &'a St,
    key: &'a K,
}

impl<K: ?Sized, St: Store<K> + ?Sized> Windows for Of<'_, K, St> {
    fn get(&mut self, window: &Window, now: Instant) -> Decision {
        self.store.get(self.key, *window, now)
    }

    fn take(&mut self, window: &Window, cost: NonZeroU32, now: Instant) -> Decision {
        self.store.take(self.key, *window, cost, now)
    }

    fn refund(&mut self, window: &Window, cost: NonZeroU32, now: Instant) {
        self.store.refund(self.key, *window, cost, now);
    }
}

/// One of a key's buckets, and the quota to ask it with.
///
/// A quota alone is the first window. The quota is no part of what the bucket is found by: asked with
/// another one, a key keeps what it owes, as time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    index: u32,
    quota: Quota,
}

impl Window {
    /// The window by this number, counted from 0.
    #[must_use]
    pub const fn new(index: u32, quota: Quota) -> Self {
        Self { index, quota }
    }

    /// Which of the key's windows.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// What it is asked with.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    /// Not copied, which on the path of a request would cost more than all that is done with it.
    #[inline]
    pub(crate) const fn as_quota(&self) -> &Quota {
        &self.quota
    }
}

impl From<Quota> for Window {
    fn from(quota: Quota) -> Self {
        Self::new(0, quota)
    }
}

/// No further key can be given a quota of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyOverrides {
    pub(crate) max: usize,
}

impl TooManyOverrides {
    /// For a store of your own that has room for this many.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { max }
    }

    /// How many keys may have one.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }
}

impl fmt::Display for TooManyOverrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys have a quota of their own, and there is room for no more", self.max)
    }
}

impl Error for TooManyOverrides {}
