use std::{collections::HashMap, sync::atomic::Ordering::Relaxed, time::Instant};

use crate::{
    Quota, TooManyOverrides,
    sync::{AtomicU64, AtomicUsize, Mutex, lock},
};

/// The quotas of single keys, by 128 bits of keyed hash: exact for all that is known of keys here.
///
/// While there are none, asking is one load of a line that nobody writes to. While there are some,
/// every key asks one bit more; those few whose bit is set take the lock.
#[derive(Debug)]
pub(crate) struct Overrides {
    count: AtomicUsize,
    /// One bit for each of the map's keys, and 4,096 in all.
    filter: [AtomicU64; 64],
    map: Mutex<HashMap<[u64; 2], Override>>,
    pub(crate) max: usize,
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
            filter: std::array::from_fn(|_| AtomicU64::new(0)),
            map: Mutex::new(HashMap::new()),
            max,
        }
    }

    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count.load(Relaxed) != 0
    }

    /// The key's own quota. The second half of its hash is only asked for if the first may be known.
    pub(crate) fn of(&self, hash: u64, more: impl FnOnce() -> u64, now: Instant) -> Option<Quota> {
        let (word, bit) = bit(hash);
        if self.filter[word].load(Relaxed) & bit == 0 {
            return None;
        }
        let own = lock(&self.map).get(&[hash, more()]).copied()?;
        (!own.is_over(now)).then_some(own.quota)
    }

    pub(crate) fn set(
        &self,
        key: [u64; 2],
        quota: Quota,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), TooManyOverrides> {
        let mut map = lock(&self.map);
        if map.len() >= self.max && !map.contains_key(&key) {
            map.retain(|_, own| !own.is_over(now));
            if map.len() >= self.max {
                self.publish(&map);
                return Err(TooManyOverrides { max: self.max });
            }
        }
        map.insert(key, Override { quota, until });
        self.publish(&map);
        Ok(())
    }

    pub(crate) fn remove(&self, key: [u64; 2]) {
        let mut map = lock(&self.map);
        if map.remove(&key).is_some() {
            self.publish(&map);
        }
    }

    /// Forgets those whose time has passed.
    pub(crate) fn sweep(&self, now: Instant) {
        if self.any() {
            let mut map = lock(&self.map);
            let before = map.len();
            map.retain(|_, own| !own.is_over(now));
            if map.len() < before {
                self.publish(&map);
            }
        }
    }

    /// Each word goes from old to new at once, so that a key that stays in is never missed.
    fn publish(&self, map: &HashMap<[u64; 2], Override>) {
        let mut filter = [0_u64; 64];
        for [hash, _] in map.keys() {
            let (word, bit) = bit(*hash);
            filter[word] |= bit;
        }
        for (word, bits) in self.filter.iter().zip(filter) {
            word.store(bits, Relaxed);
        }
        self.count.store(map.len(), Relaxed);
    }
}

/// From the middle of the hash, of which the table uses the ends.
#[allow(clippy::cast_possible_truncation, reason = "six bits each")]
fn bit(hash: u64) -> (usize, u64) {
    ((hash >> 24) as usize & 63, 1 << ((hash >> 30) & 63))
}
