use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, Instant},
};

use crate::{
    sync::{AtomicU64, AtomicUsize},
    turnover::Turnover,
};

/// The machine behind the layer: a count of what is in flight, and a bound on it.
///
/// Usable without tower. It knows no request and reads no clock.
///
/// ```
/// use std::sync::Arc;
/// use palisade_limit_concurrency::Limit;
///
/// let limit = Arc::new(Limit::new(1));
/// let permit = limit.try_acquire().expect("nothing is in flight");
/// assert!(limit.try_acquire().is_none());
///
/// drop(permit);
/// assert!(limit.try_acquire().is_some());
/// assert_eq!((limit.admitted(), limit.rejected()), (2, 1));
/// ```
///
/// # Exactness
///
/// Admission is one compare-and-swap on one word, so no interleaving admits more than `max`, and
/// none refuses while there is room. A refusal only loads that word, so a flood of refusals does not
/// slow the requests that are served.
#[derive(Debug)]
pub struct Limit {
    /// What is in flight in the lower half; in the upper half the admissions, modulo 2³².
    word: AtomicU64,
    /// Beside the word, so that the line an admission must own anyway brings it along.
    max: AtomicUsize,
    refusals: OwnLine<Refusals>,
}

/// Two lines of 64 bytes, since processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct OwnLine<T>(T);

#[derive(Debug)]
struct Refusals {
    rejected: AtomicU64,
    /// How often the admissions in the word came round to zero.
    rounds: AtomicU64,
    turnover: Mutex<Turnover>,
}

/// One admission in the upper half of the word.
const ADMISSION: u64 = 1 << 32;

/// One request in flight in the lower half of the word.
const IN_FLIGHT: u64 = 1;

/// More than this cannot be in flight, whatever the limit: 2³² − 1, for which the permits alone
/// would take 32 GiB.
const MOST: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the lower half is what is wanted"
    )]
    const fn in_flight(self) -> u32 {
        self.0 as u32
    }

    const fn admissions(self) -> u32 {
        (self.0 >> 32) as u32
    }

    const fn releases(self) -> u32 {
        self.admissions().wrapping_sub(self.in_flight())
    }
}

impl Limit {
    /// Allows `max` permits at once. 0 refuses everything; more than 2³² − 1 is as good as that.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            word: AtomicU64::new(0),
            max: AtomicUsize::new(max),
            refusals: OwnLine(Refusals {
                rejected: AtomicU64::new(0),
                rounds: AtomicU64::new(0),
                turnover: Mutex::new(Turnover::default()),
            }),
        }
    }

    /// A permit, unless as many as are allowed are out.
    #[inline]
    #[must_use = "the permit is given back when it is dropped"]
    pub fn try_acquire(self: &Arc<Self>) -> Option<Permit> {
        let mut seen = self.word.load(Relaxed);
        loop {
            if !self.has_room(Word(seen)) {
                self.reject();
                return None;
            }
            // The upper half may overflow: the carry falls off the word. Acquire pairs with the
            // release of the permit whose place is taken.
            let next = seen.wrapping_add(ADMISSION + IN_FLIGHT);
            match self
                .word
                .compare_exchange_weak(seen, next, Acquire, Relaxed)
            {
                Ok(_) => break,
                Err(changed) => seen = changed,
            }
        }
        if Word(seen).admissions() == u32::MAX {
            self.refusals.0.rounds.fetch_add(1, Relaxed);
        }
        Some(Permit(Arc::clone(self)))
    }

    #[inline]
    fn has_room(&self, word: Word) -> bool {
        let max = self.max.load(Relaxed);
        (word.in_flight() as usize) < max && word.in_flight() < MOST
    }

    /// Whether a permit would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        !self.has_room(Word(self.word.load(Relaxed)))
    }

    /// Counts a refusal that was decided elsewhere.
    #[cold]
    pub(crate) fn reject(&self) {
        self.refusals.0.rejected.fetch_add(1, Relaxed);
    }

    /// How long, by Little's law, until all that is in flight now is done: a good moment for a
    /// refused request to come back.
    ///
    /// To be asked at each refusal, with the time of that refusal; between 1 and 30 seconds. Where
    /// refusals are more than ten seconds apart nothing is known, and the answer is 1 second.
    pub fn retry_after(&self, now: Instant) -> Duration {
        let word = Word(self.word.load(Relaxed));
        let mut turnover = self
            .refusals
            .0
            .turnover
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        turnover.refused(now, word.releases(), word.in_flight())
    }

    /// How many permits are out.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        Word(self.word.load(Relaxed)).in_flight() as usize
    }

    /// How many permits may be out at once.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max.load(Relaxed)
    }

    /// Changes how many permits may be out at once, from now on.
    ///
    /// Lowering it takes no permit back: until enough are returned, none is given. Raising it lets
    /// the next ones in at once.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Relaxed);
    }

    /// How many permits were given so far.
    ///
    /// Read in the instant in which their number passes a multiple of 2³² it may lag by as much.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        let admissions = Word(self.word.load(Relaxed)).admissions();
        (self.refusals.0.rounds.load(Relaxed) << 32) + u64::from(admissions)
    }

    /// How many permits were refused so far.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.refusals.0.rejected.load(Relaxed)
    }
}

/// One of the limit's permits, which goes back when it is dropped.
#[derive(Debug)]
#[must_use = "the permit is given back when it is dropped"]
pub struct Permit(Arc<Limit>);

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.0.word.fetch_sub(IN_FLIGHT, Release);
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
