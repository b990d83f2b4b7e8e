//! What is done with keys: the map as a [`Store`], and as what a [`Collector`] sweeps.

use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed},
    },
    time::{Duration, Instant},
};

use super::{
    ExactStore, PLACES_PER_STEP,
    shard::{Hashed, Shard},
};
use crate::{
    Collector, Decision, Decisions, Store, Sweep, TooManyOverrides, Window,
    collector::pace,
    decisions::{self, Windows},
    overrides::Override,
    sync::{MutexGuard, lock},
};

impl<K, S> ExactStore<K, S> {
    /// The upper end of the product spreads hashes over any number of shards.
    #[allow(clippy::cast_possible_truncation, reason = "it is less than the number of shards")]
    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<K>> {
        let at = ((u128::from(hash) * self.shards.len() as u128) >> 64) as usize;
        lock(&self.shards[at].0)
    }

    /// Where all windows of a key are.
    fn find<'a, Q>(&self, key: &'a Q) -> (MutexGuard<'_, Shard<K>>, Hashed<'a, Q>)
    where
        Q: Hash + ?Sized,
        S: BuildHasher,
    {
        let hash = self.hasher.hash_one(key);
        (self.shard(hash), Hashed { hash, key })
    }

    /// Forgets the quotas whose time has passed, in one shard after another.
    fn sweep_overrides(&self, now: Instant) {
        if self.overrides.load(Relaxed) > 0 {
            for shard in &self.shards {
                let mut shard = lock(&shard.0);
                self.overrides.fetch_sub(shard.sweep_overrides(now), Relaxed);
            }
        }
    }

    /// Whether there is room for one more quota, which is taken then.
    fn reserve_override(&self) -> bool {
        let more = |count| (count < self.settings.max_overrides).then_some(count + 1);
        self.overrides.fetch_update(Relaxed, Relaxed, more).is_ok()
    }
}

impl<Q, K, S> Store<Q> for ExactStore<K, S>
where
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    K: Borrow<Q> + Send + 'static,
    S: BuildHasher + Send + Sync + 'static,
{
    fn take(&self, key: &Q, window: Window, cost: NonZeroU32, now: Instant) -> Decision {
        let (mut shard, key) = self.find(key);
        shard.decide(&key, &window, now, |bucket, quota| bucket.take(quota, cost, now))
    }

    fn charge(&self, key: &Q, window: Window, cost: NonZeroU32, now: Instant) -> Decision {
        let (mut shard, key) = self.find(key);
        shard.decide(&key, &window, now, |bucket, quota| bucket.charge(quota, cost, now))
    }

    /// All of them under one lock: nobody else sees a token go that comes back.
    fn take_all(&self, key: &Q, windows: &[Window], cost: NonZeroU32, now: Instant) -> Decisions {
        let (mut shard, key) = self.find(key);
        decisions::take_all(Of { shard: &mut *shard, key }, windows, cost, now)
    }

    fn get(&self, key: &Q, window: Window, now: Instant) -> Decision {
        let (shard, key) = self.find(key);
        shard.get(&key, &window, now)
    }

    fn set(
        &self,
        key: &Q,
        window: Window,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), TooManyOverrides> {
        let own = Override { quota: window.quota(), until };
        let swept = self.overrides.load(Relaxed) >= self.settings.max_overrides;
        let (mut shard, Hashed { hash, key }) = self.find(key);
        if let Some(known) = shard.overrides.get_mut(hash, window.index(), key) {
            *known = own;
            return Ok(());
        }
        let owned = key.to_owned();
        if swept {
            // No two shards' locks are ever held at once.
            drop(shard);
            self.sweep_overrides(now);
            shard = self.shard(hash);
        }
        if let Some(known) = shard.overrides.get_mut(hash, window.index(), key) {
            *known = own;
        } else if self.reserve_override() {
            shard.overrides.insert(hash, window.index(), owned, own);
        } else {
            return Err(TooManyOverrides { max: self.settings.max_overrides });
        }
        Ok(())
    }

    fn reset(&self, key: &Q, window: Window) {
        let (mut shard, Hashed { hash, key }) = self.find(key);
        let own = shard.overrides.find(hash, window.index(), key);
        if own.and_then(|own| shard.overrides.remove(own)).is_some() {
            self.overrides.fetch_sub(1, Relaxed);
        }
        if let Some(bucket) = shard.buckets.find(hash, window.index(), key) {
            shard.buckets.remove(bucket);
        }
    }

    fn refund(&self, key: &Q, window: Window, cost: NonZeroU32, now: Instant) {
        let (mut shard, key) = self.find(key);
        shard.refund(&key, &window, cost, now);
    }

    #[inline]
    fn start(self: &Arc<Self>) {
        Self::start(self);
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    /// The collector ends at its next step.
    fn close(&self) {
        Self::close(self);
    }
}

/// A key's windows in a shard that is locked.
struct Of<'a, K, Q: ?Sized> {
    shard: &'a mut Shard<K>,
    key: Hashed<'a, Q>,
}

impl<K, Q> Windows for Of<'_, K, Q>
where
    K: Borrow<Q>,
    Q: Eq + ToOwned<Owned = K> + ?Sized,
{
    fn get(&mut self, window: &Window, now: Instant) -> Decision {
        self.shard.get(&self.key, window, now)
    }

    fn take(&mut self, window: &Window, cost: NonZeroU32, now: Instant) -> Decision {
        self.shard.decide(&self.key, window, now, |bucket, quota| bucket.take(quota, cost, now))
    }

    fn refund(&mut self, window: &Window, cost: NonZeroU32, now: Instant) {
        self.shard.refund(&self.key, window, cost, now);
    }
}

impl<K: Send + 'static, S: Send + Sync + 'static> Sweep for ExactStore<K, S> {
    fn collector(&self) -> &Collector {
        &self.collector
    }

    /// One step of at most [`PLACES_PER_STEP`](Self::PLACES_PER_STEP) buckets, in the next shard.
    fn sweep(&self, now: Instant) -> Option<Duration> {
        if self.closed.load(Acquire) {
            return None;
        }
        let shards = self.shards.len();
        let at = self.hand.fetch_add(1, Relaxed) % shards;
        lock(&self.shards[at].0).sweep(PLACES_PER_STEP, now);
        if at + 1 == shards {
            self.sweep_overrides(now);
        }
        let steps = shards * self.room().div_ceil(PLACES_PER_STEP);
        Some(pace(self.settings.sweep_interval, steps))
    }
}
