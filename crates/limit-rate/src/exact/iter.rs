use std::{fmt, time::Instant, vec};

use super::{ExactStore, PLACES_PER_STEP, shard::Hashed};
use crate::{Decision, Window, sync::lock};

impl<K: Clone + Eq, S> ExactStore<K, S> {
    /// All keys that have a bucket in this window, with [what a take of one token would be
    /// told](crate::Store::get): by the key's own quota if it has one, else by the window's.
    ///
    /// Goes through at most [`PLACES_PER_STEP`](Self::PLACES_PER_STEP) buckets under one lock, and
    /// copies their keys, so it may be stopped, or paused between any two. A key that is there all the
    /// while is told once, as it stood when it was passed; one that comes or goes meanwhile is told or
    /// not.
    pub fn iter(&self, window: Window, now: Instant) -> Iter<'_, K, S> {
        Iter { store: self, window, now, shard: 0, at: 0, page: Vec::new().into_iter() }
    }
}

/// All keys of an [`ExactStore`] in one window; see [`ExactStore::iter`].
pub struct Iter<'a, K, S> {
    store: &'a ExactStore<K, S>,
    window: Window,
    now: Instant,
    /// What is looked at next.
    shard: usize,
    at: usize,
    page: vec::IntoIter<(K, Decision)>,
}

impl<K: Clone + Eq, S> Iterator for Iter<'_, K, S> {
    type Item = (K, Decision);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(next) = self.page.next() {
                return Some(next);
            }
            let shard = lock(&self.store.shards.get(self.shard)?.0);
            let end = shard.buckets.places().min(self.at + PLACES_PER_STEP);
            let places = (self.at..end).filter_map(|at| shard.buckets.at(at));
            let of_window = places.filter(|entry| entry.window == self.window.index());
            let page = of_window.map(|entry| {
                let key = Hashed { hash: entry.hash, key: &entry.key };
                let quota = shard.quota(&key, &self.window, self.now);
                (entry.key.clone(), entry.value.bucket.get(quota, self.now))
            });
            self.page = page.collect::<Vec<_>>().into_iter();
            (self.shard, self.at) =
                if end == shard.buckets.places() { (self.shard + 1, 0) } else { (self.shard, end) };
        }
    }
}

/// No keys.
impl<K, S> fmt::Debug for Iter<'_, K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iter").field("window", &self.window).finish_non_exhaustive()
    }
}
