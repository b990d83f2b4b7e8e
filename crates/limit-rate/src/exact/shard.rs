use std::{
    borrow::Borrow,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use super::shelf::Shelf;
use crate::{Bucket, Decision, Quota, Window, overrides::Override};

/// Those keys whose hashes begin alike, and what is done with them under one lock.
#[derive(Debug)]
pub(crate) struct Shard<K> {
    pub(crate) buckets: Shelf<K, Kept>,
    pub(crate) overrides: Shelf<K, Override>,
    /// How many buckets it may hold.
    room: usize,
    /// How long a bucket that is full is kept.
    patience: Duration,
    pub(crate) evicted_live: u64,
    /// The place that is swept next.
    hand: usize,
    /// The first place of the next sample.
    dice: usize,
}

/// A bucket, and how long it takes to fill by the quota that it was last asked with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) bucket: Bucket,
    /// In nanoseconds.
    fill: u64,
}

impl Kept {
    fn decide(
        &mut self,
        quota: Quota,
        decide: impl Fn(&mut Bucket, Quota) -> Decision,
    ) -> Decision {
        self.fill = quota.fill_nanos();
        decide(&mut self.bucket, quota)
    }

    /// The share of it that is owed, in parts of 2^32. Zero is a full bucket.
    fn price(&self, now: Instant) -> u128 {
        let debt = u128::from(self.bucket.debt(now));
        (debt << 32).div_ceil(u128::from(self.fill.max(1)))
    }
}

/// A key, and its hash so that it is made once.
#[derive(Debug)]
pub(crate) struct Hashed<'a, Q: ?Sized> {
    pub(crate) hash: u64,
    pub(crate) key: &'a Q,
}

/// How many buckets a new key sweeps.
const SWEPT_BY_INSERT: usize = 8;

impl<K> Shard<K> {
    /// How many buckets are compared before one is given up.
    pub(crate) const SAMPLE: usize = 16;

    pub(crate) fn new(room: usize, patience: Duration) -> Self {
        Self {
            buckets: Shelf::with_room(room),
            overrides: Shelf::with_room(0),
            room,
            patience,
            evicted_live: 0,
            hand: 0,
            dice: 0,
        }
    }

    /// The quota that counts: the key's own, or the one that is asked with.
    pub(crate) fn quota<Q>(&self, of: &Hashed<'_, Q>, window: &Window, now: Instant) -> Quota
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.overrides.len() == 0 {
            return window.quota();
        }
        let own = self.overrides.get(of.hash, window.index(), of.key);
        own.filter(|own| !own.is_over(now)).map_or(window.quota(), |own| own.quota)
    }

    /// Does this with the key's bucket, and keeps a bucket that it made if anything was taken from it.
    pub(crate) fn decide<Q>(
        &mut self,
        of: &Hashed<'_, Q>,
        window: &Window,
        now: Instant,
        decide: impl Fn(&mut Bucket, Quota) -> Decision,
    ) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let quota = self.quota(of, window, now);
        if let Some(bucket) = self.buckets.get_mut(of.hash, window.index(), of.key) {
            return bucket.decide(quota, decide);
        }
        let mut bucket = Kept::default();
        let decision = bucket.decide(quota, decide);
        if bucket.bucket != Bucket::full() {
            // Before anything is changed: what makes it is not ours, and may panic.
            let key = of.key.to_owned();
            self.sweep(SWEPT_BY_INSERT, now);
            self.make_room(now);
            self.buckets.insert(of.hash, window.index(), key, bucket);
        }
        decision
    }

    pub(crate) fn get<Q>(&self, of: &Hashed<'_, Q>, window: &Window, now: Instant) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let bucket = self.buckets.get(of.hash, window.index(), of.key).copied();
        bucket.unwrap_or_default().bucket.get(self.quota(of, window, now), now)
    }

    pub(crate) fn refund<Q>(
        &mut self,
        of: &Hashed<'_, Q>,
        window: &Window,
        cost: NonZeroU32,
        now: Instant,
    ) where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let quota = self.quota(of, window, now);
        if let Some(bucket) = self.buckets.get_mut(of.hash, window.index(), of.key) {
            bucket.bucket.refund(quota, cost, now);
        }
    }

    /// Gives up the least indebted bucket of a sample, if there is no room for one more. One that is
    /// full owes nothing, so it is the first to go. What counts is the share of its bucket that is owed.
    ///
    /// The sample is spread over all places: neighbours are of keys that came one after another,
    /// perhaps from one hand.
    fn make_room(&mut self, now: Instant) {
        if self.buckets.len() < self.room {
            return;
        }
        let places = self.buckets.places();
        let apart = (places / Self::SAMPLE).max(1);
        let sample = (0..Self::SAMPLE).map(|nth| (self.dice + nth * apart) % places);
        let debts = sample.filter_map(|at| Some((self.buckets.at(at)?.value.price(now), at)));
        if let Some((debt, at)) = debts.min() {
            self.buckets.remove(at);
            self.dice = (self.dice + 1) % places;
            self.evicted_live += u64::from(debt > 0);
        }
    }

    /// Looks at the next buckets, and forgets those that have been full for long enough.
    pub(crate) fn sweep(&mut self, most: usize, now: Instant) {
        for _ in 0..most.min(self.buckets.places()) {
            self.hand = (self.hand + 1) % self.buckets.places();
            let done = self.buckets.at(self.hand);
            if done.is_some_and(|done| done.value.bucket.was_full_for(self.patience, now)) {
                self.buckets.remove(self.hand);
            }
        }
    }

    /// Forgets the quotas whose time has passed. Returns how many that were.
    pub(crate) fn sweep_overrides(&mut self, now: Instant) -> usize {
        let before = self.overrides.len();
        for at in 0..self.overrides.places() {
            if self.overrides.at(at).is_some_and(|own| own.value.is_over(now)) {
                self.overrides.remove(at);
            }
        }
        before - self.overrides.len()
    }
}
