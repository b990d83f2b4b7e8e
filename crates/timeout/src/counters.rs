//! What becomes of exchanges, and how an exchange finds where to count it.
//!
//! Hardly any exchange runs out of time, so none of them should pay for a counted reference to the
//! counters. It takes a number along instead, and only one that did run out looks the number up. Where
//! all that could read the counters is gone, there is nothing to count.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::alarm::Nanos;

/// What the operator of a layer sees and sets.
#[derive(Debug)]
pub(crate) struct Counters {
    number: u64,
    limit: AtomicU64,
    pub(crate) timed_out: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) expired: AtomicU64,
}

/// The number of a layer's counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally(u64);

/// The counters that somebody can read, by their number.
static LIVE: Mutex<BTreeMap<u64, Weak<Counters>>> = Mutex::new(BTreeMap::new());

fn live() -> MutexGuard<'static, BTreeMap<u64, Weak<Counters>>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counters {
    pub(crate) fn new(limit: Nanos) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let counters = Arc::new(Self {
            number: NEXT.fetch_add(1, Relaxed),
            limit: AtomicU64::new(limit.0),
            timed_out: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            expired: AtomicU64::new(0),
        });
        live().insert(counters.number, Arc::downgrade(&counters));
        counters
    }

    #[inline]
    pub(crate) fn limit(&self) -> Nanos {
        Nanos(self.limit.load(Relaxed))
    }

    pub(crate) fn set_limit(&self, limit: Nanos) {
        self.limit.store(limit.0, Relaxed);
    }

    #[inline]
    pub(crate) fn tally(&self) -> Tally {
        Tally(self.number)
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        live().remove(&self.number);
    }
}

impl Tally {
    /// Counts one, if somebody can still read it.
    pub(crate) fn count(self, counter: impl FnOnce(&Counters) -> &AtomicU64) {
        // The lock is back before the counters may be dropped, which takes it.
        let counters = live().get(&self.0).and_then(Weak::upgrade);
        if let Some(counters) = counters {
            counter(&counters).fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_for_as_long_as_somebody_can_read_them() {
        let counters = Counters::new(Nanos::ZERO);
        let other = Counters::new(Nanos::ZERO);
        let tally = counters.tally();
        tally.count(|counters| &counters.cut);
        assert_eq!((counters.cut.load(Relaxed), other.cut.load(Relaxed)), (1, 0));
        assert!(live().contains_key(&tally.0));
        drop(counters);
        assert!(!live().contains_key(&tally.0));
        tally.count(|_| unreachable!("nobody can read it"));
    }
}
