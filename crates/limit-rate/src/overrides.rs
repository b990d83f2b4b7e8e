use std::{collections::HashMap, sync::atomic::Ordering::Relaxed, time::Instant};

use crate::{
    Quota, TooManyOverrides,
    sync::{Apart, AtomicU64, AtomicUsize, Mutex, lock},
};

/// The quotas of single keys, by 128 bits of keyed hash: exact for all that is known of keys here.
///
/// While there are none, asking is one load of a line that nobody writes to. While there are some,
/// every key asks one bit more; those few whose bit is set take the lock: with as many as there may be,
/// one key in sixteen.
#[derive(Debug)]
pub(crate) struct Overrides {
    count: AtomicUsize,
    /// A bit for each of the map's keys, and sixteen times as many in all.
    filter: Box<[AtomicU64]>,
    pub(crate) max: usize,
    /// Apart, since what stands before it is read with every request.
    map: Apart<Mutex<HashMap<[u64; 2], Override>>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Override {
    pub(crate) quota: Quota,
    pub(crate) until: Option<Instant>,
}

impl Override {
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl Overrides {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            count: AtomicUsize::new(0),
            filter: (0..words(max)).map(|_| AtomicU64::new(0)).collect(),
            max,
            map: Apart(Mutex::new(HashMap::new())),
        }
    }

    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count.load(Relaxed) != 0
    }

    /// The key's own quota. The second half of its hash is only asked for if the first may be known.
    pub(crate) fn of(&self, hash: u64, more: impl FnOnce() -> u64, now: Instant) -> Option<Quota> {
        let (word, bit) = self.bit(hash);
        if self.filter[word].load(Relaxed) & bit == 0 {
            return None;
        }
        // Not under the lock: how long it takes to hash a key is for its type to say.
        let key = [hash, more()];
        let own = lock(&self.map.0).get(&key).copied()?;
        (!own.is_over(now)).then_some(own.quota)
    }

    pub(crate) fn set(
        &self,
        key: [u64; 2],
        quota: Quota,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), TooManyOverrides> {
        let mut map = lock(&self.map.0);
        if map.len() >= self.max && !map.contains_key(&key) {
            map.retain(|_, own| !own.is_over(now));
            if map.len() >= self.max {
                self.publish(&map);
                return Err(TooManyOverrides { max: self.max });
            }
        }
        map.insert(key, Override { quota, until });
        let (word, bit) = self.bit(key[0]);
        self.filter[word].fetch_or(bit, Relaxed);
        self.count.store(map.len(), Relaxed);
        Ok(())
    }

    pub(crate) fn remove(&self, key: [u64; 2]) {
        let mut map = lock(&self.map.0);
        if map.remove(&key).is_some() {
            self.publish(&map);
        }
    }

    /// Forgets those whose time has passed.
    pub(crate) fn sweep(&self, now: Instant) {
        if self.any() {
            let mut map = lock(&self.map.0);
            let before = map.len();
            map.retain(|_, own| !own.is_over(now));
            if map.len() < before {
                self.publish(&map);
            }
        }
    }

    /// Each word goes from old to new at once, so that a key that stays in is never missed.
    fn publish(&self, map: &HashMap<[u64; 2], Override>) {
        let mut filter = vec![0_u64; self.filter.len()];
        for [hash, _] in map.keys() {
            let (word, bit) = self.bit(*hash);
            filter[word] |= bit;
        }
        for (word, bits) in self.filter.iter().zip(filter) {
            word.store(bits, Relaxed);
        }
        self.count.store(map.len(), Relaxed);
    }

    /// From the middle of the hash, of which the table uses the ends.
    #[allow(clippy::cast_possible_truncation, reason = "what is cut off is masked as well")]
    fn bit(&self, hash: u64) -> (usize, u64) {
        ((hash >> 22) as usize & (self.filter.len() - 1), 1 << ((hash >> 16) & 63))
    }
}

/// How many words of 64 bits the filter has: a power of two.
fn words(max: usize) -> usize {
    const MOST: usize = 1 << 20;
    // To loom each word is another thing that may be read or written in any order.
    if cfg!(palisade_loom) { 1 } else { (max.min(4 * MOST) / 4).clamp(1, MOST).next_power_of_two() }
}
