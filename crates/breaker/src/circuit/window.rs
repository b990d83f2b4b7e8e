//! What became of the calls of late, in ten buckets that are used in turn.
//!
//! A word is a bucket's count of one kind, and in its upper half the *turn* for which that holds: how
//! often the ring has gone round. An outcome is one `fetch_add`, but for the first of a turn, which
//! replaces what was there. A turn of 32 bits never comes round: with the shortest window it lasts 13
//! years from when the circuit was made, with that of ten seconds a thousand, so a circuit that idles for
//! days finds nothing of old that looks new.
//!
//! Turns only go forward. Whoever comes with a clock that is behind counts where others are by now. A
//! thread that sleeps between its load and its `fetch_add` for a whole window, or while the circuit opens
//! and closes again, counts one outcome where it does not belong.
//!
//! Successes look at nothing but their own word. When a rate waits for more calls, it says so there: by a
//! bit that the next success meets in its `fetch_add`, which makes it look at the rates. As both are
//! read-modify-writes of one word, none can miss the other.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use crate::sync::{AtomicU32, AtomicU64};

const BUCKETS: usize = 10;

const TURN: u32 = 32;
/// That a rate waits for more calls; on successes alone.
const ARMED: u64 = 1 << 31;
const COUNT: u64 = ARMED - 1;

/// Counting ends here, far enough from [`ARMED`] for all threads that are past the check.
const FULL: u64 = COUNT - (1 << 20);

#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Window {
    /// Written by most calls. Those that failed or were slow have lines of their own.
    ok: [AtomicU64; BUCKETS],
    failed: [AtomicU64; BUCKETS],
    slow: [AtomicU64; BUCKETS],
    /// Failures since the last success. Beside what failures write, as successes only read it.
    pub(crate) consecutive: AtomicU32,
}

/// What a window holds, or has held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
}

/// Counts of outcomes that have left the window.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) ok: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) slow: AtomicU64,
}

/// Where a moment belongs.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    at: usize,
    turn: u32,
}

impl Place {
    /// So many windows after the circuit was made, and this part of one, in 2⁻⁶⁴.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a part of ten is below ten")]
    pub(crate) fn of(windows: u64, part: u64) -> Self {
        // The first turn is 1, so that the first outcome of each bucket meets another turn than its own.
        let turn = u32::try_from(windows).unwrap_or(u32::MAX).saturating_add(1);
        Self { at: ((u128::from(part) * BUCKETS as u128) >> 64) as usize, turn }
    }
}

fn words() -> [AtomicU64; BUCKETS] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { ok: words(), failed: words(), slow: words(), consecutive: AtomicU32::new(0) }
    }

    /// Returns whether the rates are to be looked at: when one waits for more calls, and with the first
    /// success of a bucket, since others have left the window then.
    #[inline]
    pub(crate) fn succeeded(&self, place: Place, past: &Past) -> bool {
        if self.consecutive.load(Relaxed) != 0 {
            self.consecutive.store(0, Relaxed);
        }
        count(&self.ok[place.at], place.turn, &past.ok)
    }

    pub(crate) fn failed(&self, place: Place, past: &Past) {
        count(&self.failed[place.at], place.turn, &past.failed);
    }

    pub(crate) fn was_slow(&self, place: Place, past: &Past) {
        count(&self.slow[place.at], place.turn, &past.slow);
    }

    /// The next success looks at the rates. What it did not see yet, this thread sees from now on.
    pub(crate) fn arm(&self, place: Place, past: &Past) {
        let word = &self.ok[place.at];
        let mut seen = word.load(Relaxed);
        loop {
            let current = turn(seen) >= place.turn;
            let next = if current { seen | ARMED } else { fresh(place.turn) | ARMED };
            match word.compare_exchange_weak(seen, next, AcqRel, Relaxed) {
                Ok(_) if current => return,
                Ok(_) => return retire(seen, &past.ok),
                Err(changed) => seen = changed,
            }
        }
    }

    /// No success need look at the rates.
    pub(crate) fn disarm(&self, place: Place) {
        let word = &self.ok[place.at];
        if word.load(Relaxed) & ARMED != 0 {
            word.fetch_and(!ARMED, AcqRel);
        }
    }

    /// What is in the window at that place.
    pub(crate) fn sums(&self, place: Place) -> Sums {
        let failed = sum(&self.failed, place);
        let calls = failed + sum(&self.ok, place);
        // To a clock that stepped back a bucket may have slow calls, and of all calls those of a later turn.
        Sums { calls, failed, slow: sum(&self.slow, place).min(calls) }
    }

    /// All that was counted and has not gone to the [`Past`].
    pub(crate) fn totals(&self) -> Sums {
        let all = |words: &[AtomicU64; BUCKETS]| {
            words.iter().map(|word| word.load(Relaxed) & COUNT).sum::<u64>()
        };
        let failed = all(&self.failed);
        Sums { calls: failed + all(&self.ok), failed, slow: all(&self.slow) }
    }

    /// Begins anew. Turns stay, as they only go forward.
    pub(crate) fn clear(&self, past: &Past) {
        let kinds = [(&self.ok, &past.ok), (&self.failed, &past.failed), (&self.slow, &past.slow)];
        for (words, past) in kinds {
            for word in words {
                retire(word.fetch_and(!(ARMED | COUNT), AcqRel), past);
            }
        }
        self.consecutive.store(0, Relaxed);
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the upper half is what is wanted")]
fn turn(word: u64) -> u32 {
    (word >> TURN) as u32
}

fn fresh(turn: u32) -> u64 {
    u64::from(turn) << TURN
}

fn retire(word: u64, past: &AtomicU64) {
    if word & COUNT != 0 {
        past.fetch_add(word & COUNT, Relaxed);
    }
}

/// Counts one. Returns whether it was armed, or the first of its turn.
#[inline]
fn count(word: &AtomicU64, turn_now: u32, past: &AtomicU64) -> bool {
    let mut seen = word.load(Relaxed);
    loop {
        if turn(seen) >= turn_now {
            if seen & COUNT >= FULL {
                return false;
            }
            return word.fetch_add(1, AcqRel) & ARMED != 0;
        }
        match word.compare_exchange_weak(seen, fresh(turn_now) | 1, AcqRel, Relaxed) {
            Ok(_) => {
                retire(seen, past);
                return true;
            }
            Err(changed) => seen = changed,
        }
    }
}

fn sum(words: &[AtomicU64; BUCKETS], place: Place) -> u64 {
    let counts = words.iter().enumerate().map(|(at, word)| {
        let word = word.load(Acquire);
        // Buckets further on in the ring are those of the turn before.
        let oldest = place.turn - u32::from(at > place.at);
        if turn(word) >= oldest { word & COUNT } else { 0 }
    });
    counts.sum()
}
