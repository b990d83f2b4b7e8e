use std::{
    hash::{BuildHasher, Hash, RandomState},
    time::{Duration, Instant},
};

use crate::sync::{Apart, Mutex, MutexGuard, lock};

/// A client that was refused often of late.
///
/// Told by [`Buckets::offenders`](crate::Buckets::offenders). Who it is, is not: it has a number, which says
/// whether two of them are the same, and by which
/// [a key that is known](crate::Buckets::offender) or, over an [`ExactStore`](crate::ExactStore),
/// [any key](crate::Buckets::offending_keys) is found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offender {
    id: u64,
    refused: u64,
    /// How much of it may be another's, whose place this one took.
    others: u64,
}

impl Offender {
    /// Its number, for as long as the layer lives: `SipHash` by a seed of its own, from which neither the
    /// key nor the place of its bucket follows.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many of its requests were refused, at most: each minute that passes halves what was before.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How many they were at least.
    #[must_use]
    pub fn at_least(&self) -> u64 {
        self.refused - self.others
    }
}

/// The clients that are refused most often, in memory that has a bound.
///
/// A *stream summary* by the Space-Saving algorithm (Metwally, Agrawal, El Abbadi, *Efficient
/// Computation of Frequent and Top-k Elements in Data Streams*, ICDT 2005): a client that is not among
/// the counted ones takes the place of the least counted, and its count, which is how much it may be
/// overestimated. Whoever makes up more than a 64th of all refusals is in it for sure.
///
/// A refusal that meets another one at the lock goes uncounted: who causes so many shows all the same.
#[derive(Debug)]
pub(crate) struct Offenders {
    hasher: RandomState,
    /// Apart, since what stands beside it is read by all requests.
    summary: Apart<Mutex<Summary>>,
}

#[derive(Debug, Default)]
struct Summary {
    counted: Vec<Offender>,
    halved: Option<Instant>,
}

/// How many are counted.
const MOST: usize = 64;

/// What was refused so long ago counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);

impl Offenders {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), summary: Apart(Mutex::default()) }
    }

    pub(crate) fn id<K: Hash + ?Sized>(&self, key: &K) -> u64 {
        self.hasher.hash_one(key)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refused<K: Hash + ?Sized>(&self, key: &K, now: Instant) {
        let id = self.id(key);
        if let Some(mut summary) = self.try_lock() {
            summary.refused(id, now);
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Summary>> {
        use std::sync::TryLockError::{Poisoned, WouldBlock};
        match self.summary.0.try_lock() {
            Ok(summary) => Some(summary),
            Err(Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(WouldBlock) => None,
        }
    }

    /// The most refused first.
    pub(crate) fn list(&self, now: Instant) -> Vec<Offender> {
        let mut summary = lock(&self.summary.0);
        summary.halve(now);
        let mut counted = summary.counted.clone();
        drop(summary);
        counted.sort_by_key(|one| (u64::MAX - one.refused, one.others));
        counted
    }
}

impl Summary {
    fn refused(&mut self, id: u64, now: Instant) {
        self.halve(now);
        if let Some(known) = self.counted.iter_mut().find(|one| one.id == id) {
            known.refused = known.refused.saturating_add(1);
            return;
        }
        if self.counted.len() < MOST {
            self.counted.push(Offender { id, refused: 1, others: 0 });
        } else if let Some(least) = self.counted.iter_mut().min_by_key(|one| one.refused) {
            let others = least.refused;
            *least = Offender { id, refused: others.saturating_add(1), others };
        }
    }

    fn halve(&mut self, now: Instant) {
        let since = now.saturating_duration_since(*self.halved.get_or_insert(now));
        let times = since.as_secs() / HALF_LIFE.as_secs();
        if times == 0 {
            return;
        }
        // What is left of a minute counts for the next.
        let left = Duration::from_secs(since.as_secs() % HALF_LIFE.as_secs());
        self.halved = now.checked_sub(left);
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        for one in &mut self.counted {
            one.refused = one.refused.checked_shr(times).unwrap_or(0);
            // Rounded up: it is what may be another's.
            let part = 1_u64.checked_shl(times).unwrap_or(u64::MAX);
            one.others = one.others.div_ceil(part).min(one.refused);
        }
        self.counted.retain(|one| one.refused > 0);
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[allow(clippy::disallowed_methods, reason = "it is told its times")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_most_refused_come_first_and_others_leave_in_time() {
        let (offenders, now) = (Offenders::new(), start());
        for (key, times) in [("a", 3), ("b", 8), ("c", 1)] {
            (0..times).for_each(|_| offenders.refused(key, now));
        }
        let told = |later| {
            let list = offenders.list(now + later);
            list.iter().map(|one| (one.id(), one.refused(), one.at_least())).collect::<Vec<_>>()
        };
        let [a, b, c] = ["a", "b", "c"].map(|key| offenders.id(key));
        assert_eq!(told(Duration::from_secs(59)), [(b, 8, 8), (a, 3, 3), (c, 1, 1)]);
        assert_eq!(told(Duration::from_secs(60)), [(b, 4, 4), (a, 1, 1)]);
        assert_eq!(told(Duration::from_secs(179)), [(b, 2, 2)]);
        assert_eq!(told(Duration::from_secs(1 << 40)), []);
    }

    proptest! {
        /// Against counting all of them.
        #[test]
        fn who_makes_up_a_64th_is_told_and_nobody_is_told_too_low(
            refused in proptest::collection::vec((0..200_u16, 1..40_u16), 0..300),
        ) {
            let (offenders, now) = (Offenders::new(), start());
            let mut all = HashMap::<u64, u64>::new();
            for (key, times) in refused {
                // Few of the keys are frequent.
                let key = if times < 30 { key } else { key % 7 };
                for _ in 0..times {
                    offenders.refused(&key, now);
                    *all.entry(offenders.id(&key)).or_default() += 1;
                }
            }
            let list = offenders.list(now);
            prop_assert!(list.len() <= MOST);
            for one in &list {
                prop_assert!(one.at_least() <= all[&one.id] && all[&one.id] <= one.refused);
            }
            let total: u64 = all.values().sum();
            for (id, count) in all {
                prop_assert!(count <= total / 64 || list.iter().any(|one| one.id == id));
            }
        }
    }
}
