//! The atomics of a limit, and where they live.
//!
//! A permit must reach its limit for as long as it is out. Behind an `Arc` that would cost two more
//! writes to a shared cache line for each request, half of all there are. So counters live forever,
//! and a permit is a plain reference. What keeps this from being a leak is that they are used again:
//! the word that counts permits also says whether the limit is orphaned, so exactly one of the last
//! permit and the last handle sees that nothing refers to the counters any more and hands them to
//! the next limit.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::{
    sync::{AtomicU64, AtomicUsize, Mutex, fence, lock},
    turnover::Turnover,
};

#[derive(Debug)]
pub(crate) struct Counters {
    /// What is in flight in the lower half, below [`ORPHANED`]; in the upper half the admissions,
    /// modulo 2³².
    word: AtomicU64,
    /// Beside the word, so that the line an admission must own anyway brings it along.
    pub(crate) max: AtomicUsize,
    pub(crate) refusals: Refusals,
}

/// On lines of its own: two of 64 bytes, since processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Refusals {
    pub(crate) rejected: AtomicU64,
    /// How often the admissions in the word came round to zero.
    pub(crate) rounds: AtomicU64,
    pub(crate) turnover: Mutex<Turnover>,
}

/// One request in flight.
const IN_FLIGHT: u64 = 1;

/// No handle is left; set once, by the last.
const ORPHANED: u64 = 1 << 31;

/// One admission.
const ADMISSION: u64 = 1 << 32;

/// More than this cannot be in flight, whatever the limit.
const MOST: u32 = (1 << 31) - 1;

/// The word of a limit that has handles.
#[derive(Clone, Copy)]
pub(crate) struct Word {
    pub(crate) in_flight: u32,
    /// Modulo 2³².
    pub(crate) admissions: u32,
}

impl From<u64> for Word {
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    fn from(word: u64) -> Self {
        Self { in_flight: word as u32, admissions: (word >> 32) as u32 }
    }
}

impl Counters {
    /// Counters at zero, and a limit: used ones if there are any.
    pub(crate) fn take(max: usize) -> &'static Self {
        let counters = unused::take().unwrap_or_else(|| Box::leak(Box::new(Self::new())));
        counters.max.store(max, Relaxed);
        counters
    }

    fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            max: AtomicUsize::new(0),
            refusals: Refusals {
                rejected: AtomicU64::new(0),
                rounds: AtomicU64::new(0),
                turnover: Mutex::new(Turnover::default()),
            },
        }
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        self.word.load(Relaxed).into()
    }

    #[inline]
    pub(crate) fn has_room(&self, word: Word) -> bool {
        (word.in_flight as usize) < self.max.load(Relaxed) && word.in_flight < MOST
    }

    /// Counts one request in, if there is room.
    #[inline]
    pub(crate) fn admit(&self) -> bool {
        let mut seen = self.word.load(Relaxed);
        loop {
            if !self.has_room(seen.into()) {
                return false;
            }
            // The upper half may overflow: the carry falls off the word. Acquire pairs with the
            // release of the permit whose place is taken.
            let next = seen.wrapping_add(ADMISSION + IN_FLIGHT);
            match self.word.compare_exchange_weak(seen, next, Acquire, Relaxed) {
                Ok(_) => break,
                Err(changed) => seen = changed,
            }
        }
        if Word::from(seen).admissions == u32::MAX {
            self.refusals.rounds.fetch_add(1, Relaxed);
        }
        true
    }

    /// Counts one request out.
    #[inline]
    pub(crate) fn release(&'static self) {
        let before = self.word.fetch_sub(IN_FLIGHT, Release);
        if Word::from(before).in_flight == Word::from(ORPHANED | IN_FLIGHT).in_flight {
            fence(Acquire);
            self.retire();
        }
    }

    /// The last handle is gone. To be called once.
    pub(crate) fn orphan(&'static self) {
        let before = self.word.fetch_or(ORPHANED, AcqRel);
        if Word::from(before).in_flight == 0 {
            self.retire();
        }
    }

    /// Nothing refers to these counters any more.
    #[cold]
    #[inline(never)]
    fn retire(&'static self) {
        self.word.store(0, Relaxed);
        self.refusals.rejected.store(0, Relaxed);
        self.refusals.rounds.store(0, Relaxed);
        *lock(&self.refusals.turnover) = Turnover::default();
        unused::put(self);
    }

    #[cfg(all(test, palisade_loom))]
    pub(crate) fn unused() -> usize {
        unused::len()
    }

    #[cfg(all(test, not(palisade_loom)))]
    pub(crate) fn set_word(&self, in_flight: u32, admissions: u32) {
        self.word.store(u64::from(admissions) << 32 | u64::from(in_flight), Relaxed);
    }
}

/// The counters that wait for a limit. Not on any request's path.
mod unused {
    use super::Counters;
    use crate::sync::{Mutex, lock, shared};

    shared! {
        static UNUSED: Mutex<Vec<&'static Counters>> = Mutex::new(Vec::new());
    }

    pub(super) fn take() -> Option<&'static Counters> {
        lock(&UNUSED).pop()
    }

    #[cfg(all(test, palisade_loom))]
    pub(super) fn len() -> usize {
        lock(&UNUSED).len()
    }

    pub(super) fn put(counters: &'static Counters) {
        lock(&UNUSED).push(counters);
    }
}
