use std::{
    hint::select_unpredictable,
    num::NonZeroU32,
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use super::word::{self, EMPTY, QUARTER, Scale};
use crate::{Decision, Quota, sync::AtomicU64};

/// How many buckets are in a line. Loom's patience ends early, and what it is to find needs no more
/// than one.
pub(crate) const WAYS: usize = if cfg!(palisade_loom) { 1 } else { 7 };

/// Seven buckets and a time, in one cache line.
///
/// A word's time is cut to 39 bits, a ring that wraps in nine minutes at the finest scale. The stamp
/// makes sure that nobody reads it the wrong way round. It is a moment, in nanoseconds, at which the
/// line was looked through, and the rule is: *whoever is a quarter of the finest ring or more past
/// the stamp looks the line through first*, forgetting all buckets that are full, and moves the stamp.
/// Hence, in a bucket's own ticks,
///
/// * it is full before `stamp + 2 · QUARTER`: it was written within a quarter after the stamp, and is
///   at most a quarter ahead of when it was written;
/// * it was full after `stamp - QUARTER`: the time it takes to fill and the collector's patience
///   together are at most a quarter, and what was full for that long is gone.
///
/// So a word is understood from the stamp, however long ago that is; and whoever is less than a
/// quarter past the stamp may as well read it from the present. Idle years cost nothing but the next
/// look.
///
/// Word and stamp must belong together. Whoever writes a word releases what it knows of the stamp, and
/// who reads a word acquires that. So a stamp that is read *after* the word is not older than the
/// word; and one that was read before is the same if it has not changed by then. A stamp that is too
/// new shows in the word: it has gone, or is right for both.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Line {
    pub(crate) stamp: AtomicU64,
    pub(crate) ways: [AtomicU64; WAYS],
}

impl Line {
    pub(crate) fn new() -> Self {
        Self { stamp: AtomicU64::new(0), ways: std::array::from_fn(|_| AtomicU64::new(EMPTY)) }
    }

    /// Takes from the bucket with this head, if it is here and the stamp is recent enough.
    #[inline]
    pub(crate) fn hit(
        &self,
        head: u64,
        scale: Scale,
        quota: &Quota,
        cost: NonZeroU32,
        now: u64,
    ) -> Option<Decision> {
        let stamp = self.stamp.load(Acquire);
        // Before the stamp this is far more than a quarter, too.
        if now.wrapping_sub(stamp) >= QUARTER {
            return None;
        }
        let way = &self.ways[self.find(head)?];
        let tick = scale.floor(now);
        let mut seen = way.load(Acquire);
        loop {
            if !word::has_head(seen, head) || self.stamp.load(Relaxed) != stamp {
                return None;
            }
            let debt = word::ahead(seen, tick).max(0).unsigned_abs();
            let decision = Decision::on(*quota, scale.shift(), debt, cost);
            if !decision.allowed() {
                return Some(decision);
            }
            let next = word::bucket(head, tick.wrapping_add(decision.debt()));
            match way.compare_exchange_weak(seen, next, Release, Acquire) {
                Ok(_) => return Some(decision),
                Err(changed) => seen = changed,
            }
        }
    }

    /// Looks at all words without a branch, which is faster than to stop early.
    #[inline]
    fn find(&self, head: u64) -> Option<usize> {
        let mut found = WAYS;
        for (way, word) in self.ways.iter().enumerate() {
            found = select_unpredictable(word::has_head(word.load(Relaxed), head), way, found);
        }
        (found < WAYS).then_some(found)
    }

    /// Looks the line through if that is due, and returns the time that counts here: the stamp if
    /// the clock has jumped back behind it. `forgotten` is told of each bucket that is given up.
    pub(crate) fn refresh(&self, now: u64, patience: u64, forgotten: impl Fn()) -> u64 {
        'look: loop {
            let stamp = self.stamp.load(Acquire);
            if now < stamp {
                return stamp;
            }
            if now - stamp < QUARTER {
                return now;
            }
            for way in &self.ways {
                // Until it is known to be none of those that the new stamp would misread.
                while let Some(seen) = done(way, stamp, now, patience) {
                    if self.stamp.load(Relaxed) != stamp {
                        continue 'look;
                    }
                    if way.compare_exchange(seen, EMPTY, Release, Relaxed).is_ok() {
                        forgotten();
                    }
                }
            }
            if self.stamp.compare_exchange(stamp, now, AcqRel, Relaxed).is_ok() {
                return now;
            }
        }
    }

    /// Forgets the buckets that are full, and have been for as long as the collector is patient.
    pub(crate) fn sweep(&self, now: u64, patience: u64, forgotten: impl Fn()) {
        let now = self.refresh(now, patience, &forgotten);
        let stamp = self.stamp.load(Acquire);
        for way in &self.ways {
            if let Some(seen) = done(way, stamp, now, patience)
                && self.stamp.load(Relaxed) == stamp
                && way.compare_exchange(seen, EMPTY, Release, Relaxed).is_ok()
            {
                forgotten();
            }
        }
    }
}

/// How long it is until a bucket is full, in its ticks; how long it has been if negative.
pub(crate) fn until_full(seen: u64, stamp: u64, now: u64) -> i64 {
    let scale = word::scale(seen);
    let (stamp, now) = (scale.floor(stamp), scale.floor(now));
    let since = i64::try_from(now.saturating_sub(stamp)).unwrap_or(i64::MAX);
    word::ahead(seen, stamp).saturating_sub(since)
}

/// The word, if it is a bucket that may be forgotten.
fn done(way: &AtomicU64, stamp: u64, now: u64, patience: u64) -> Option<u64> {
    let seen = way.load(Acquire);
    if seen == EMPTY || word::is_claim(seen) {
        return None;
    }
    let patience = i64::try_from(word::scale(seen).ceil(patience)).unwrap_or(i64::MAX);
    (until_full(seen, stamp, now).saturating_add(patience) <= 0).then_some(seen)
}
