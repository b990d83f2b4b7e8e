//! What is done with keys: the table as a [`Store`], and as what a [`Collector`] sweeps.

use std::{
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering::Acquire},
    time::{Duration, Instant},
};

use super::{LINES_PER_STEP, TableStore};
use crate::{
    Collector, Decision, Decisions, Quota, Store, Sweep, TooManyOverrides, Window,
    bucket::nanos,
    collector::pace,
    decisions::{self, Windows},
};

impl<S> TableStore<S> {
    #[inline]
    fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.beginning))
    }
}

impl<S: BuildHasher> TableStore<S> {
    /// Where the key's bucket in this window is. The first window's is the key's own hash.
    #[inline]
    pub(super) fn hash<K: Hash + ?Sized>(&self, key: &K, window: &Window) -> u64 {
        of_window(self.hasher.hash_one(key), window)
    }

    /// 64 bits more of a key's hash.
    fn more<K: Hash + ?Sized>(&self, key: &K, window: &Window) -> u64 {
        self.hasher.hash_one((window.index(), "override", key))
    }

    /// The window, with the key's own quota if it has one. Only asked while any key has.
    #[cold]
    #[inline(never)]
    fn own<K: Hash + ?Sized>(&self, key: &K, hash: u64, window: &Window, now: Instant) -> Quota {
        let own = self.overrides.of(hash, || self.more(key, window), now);
        own.unwrap_or(window.quota())
    }

    fn quota<K: Hash + ?Sized>(&self, key: &K, hash: u64, window: &Window, now: Instant) -> Quota {
        if self.overrides.any() { self.own(key, hash, window, now) } else { window.quota() }
    }
}

/// The first window's is the key's own.
#[inline]
fn of_window(hash: u64, window: &Window) -> u64 {
    // 2^64 by the golden ratio: odd, so that no two windows get the same.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    hash.wrapping_add(u64::from(window.index()).wrapping_mul(STEP))
}

/// A key's windows, found by one hash.
struct Of<'a, K: ?Sized, S> {
    store: &'a TableStore<S>,
    key: &'a K,
    hash: u64,
    now: u64,
}

impl<K, S> Windows for Of<'_, K, S>
where
    K: Hash + ?Sized,
    S: BuildHasher,
{
    fn get(&mut self, window: &Window, now: Instant) -> Decision {
        let hash = of_window(self.hash, window);
        self.store.lines.get(hash, self.store.quota(self.key, hash, window, now), self.now)
    }

    fn take(&mut self, window: &Window, cost: NonZeroU32, now: Instant) -> Decision {
        let hash = of_window(self.hash, window);
        self.store.lines.take(hash, &self.store.quota(self.key, hash, window, now), cost, self.now)
    }

    fn refund(&mut self, window: &Window, cost: NonZeroU32, now: Instant) {
        let hash = of_window(self.hash, window);
        let quota = self.store.quota(self.key, hash, window, now);
        self.store.lines.refund(hash, quota, cost, self.now);
    }
}

impl<K, S> Store<K> for TableStore<S>
where
    K: Hash + ?Sized,
    S: BuildHasher + Send + Sync + 'static,
{
    #[inline]
    fn take(&self, key: &K, window: Window, cost: NonZeroU32, now: Instant) -> Decision {
        let hash = self.hash(key, &window);
        let own;
        let quota = if self.overrides.any() {
            own = self.own(key, hash, &window, now);
            &own
        } else {
            window.as_quota()
        };
        self.lines.take(hash, quota, cost, self.nanos(now))
    }

    fn take_all(&self, key: &K, windows: &[Window], cost: NonZeroU32, now: Instant) -> Decisions {
        let of = Of { store: self, key, hash: self.hasher.hash_one(key), now: self.nanos(now) };
        decisions::take_all(of, windows, cost, now)
    }

    fn charge(&self, key: &K, window: Window, cost: NonZeroU32, now: Instant) -> Decision {
        let hash = self.hash(key, &window);
        let quota = self.quota(key, hash, &window, now);
        self.lines.charge(hash, quota, cost, self.nanos(now))
    }

    fn get(&self, key: &K, window: Window, now: Instant) -> Decision {
        let hash = self.hash(key, &window);
        let quota = self.quota(key, hash, &window, now);
        self.lines.get(hash, quota, self.nanos(now))
    }

    fn set(
        &self,
        key: &K,
        window: Window,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), TooManyOverrides> {
        let key = [self.hash(key, &window), self.more(key, &window)];
        self.overrides.set(key, window.quota(), until, now)
    }

    fn reset(&self, key: &K, window: Window) {
        let hash = self.hash(key, &window);
        if self.overrides.any() {
            self.overrides.remove([hash, self.more(key, &window)]);
        }
        self.lines.reset(hash);
    }

    fn refund(&self, key: &K, window: Window, cost: NonZeroU32, now: Instant) {
        let hash = self.hash(key, &window);
        let quota = self.quota(key, hash, &window, now);
        self.lines.refund(hash, quota, cost, self.nanos(now));
    }

    #[inline]
    fn start(self: &Arc<Self>) {
        Self::start(self);
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn close(&self) {
        Self::close(self);
    }
}

impl<S: Send + Sync + 'static> Sweep for TableStore<S> {
    fn collector(&self) -> &Collector {
        &self.collector
    }

    /// One step of at most [`SLOTS_PER_STEP`](Self::SLOTS_PER_STEP) buckets.
    fn sweep(&self, now: Instant) -> Option<Duration> {
        if self.closed.load(Acquire) {
            return None;
        }
        let lines = self.lines.number().min(LINES_PER_STEP);
        if self.lines.sweep(lines, self.nanos(now)) {
            self.overrides.sweep(now);
        }
        let steps = self.lines.number().div_ceil(LINES_PER_STEP);
        Some(pace(self.settings.sweep_interval, steps))
    }
}
