//! What changes a circuit's state.
//!
//! Under a lock, which nothing else takes: calls that are let through or counted never do. Whoever holds
//! it writes first what belongs to the new state, and then the word, by which others see both. Probes are
//! counted in the word without it, so a change away from half-open may find the word changed, and begins
//! again.

use std::{
    collections::VecDeque,
    sync::atomic::Ordering::{Acquire, Relaxed},
    time::Instant,
};

use palisade_core::Rng;

use super::{Circuit, clock, window::Sums, word::Word};
use crate::{
    Cause, Mode, State, Transition,
    sync::{MutexGuard, lock},
};

/// As many transitions are remembered. A circuit changes twice each time that it was open for seconds, so
/// who reads them within a minute misses none.
const REMEMBERED: usize = 32;

/// What only changes of state read and write.
#[derive(Debug)]
pub(crate) struct Cold {
    /// How often it opened in short order.
    attempt: u32,
    /// In nanoseconds.
    closed_since: u64,
    rng: Rng,
    sequence: u64,
    transitions: VecDeque<Transition>,
}

impl Cold {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { attempt: 0, closed_since: 0, rng, sequence: 0, transitions: VecDeque::new() }
    }
}

impl Circuit {
    fn cold(&self) -> MutexGuard<'_, Cold> {
        lock(&self.back.cold)
    }

    /// Opens the circuit if it is time to.
    pub(super) fn judge(&self, generation: u32, now: u64) {
        // Else each failure would come for the lock, for as long as an operator holds the circuit closed.
        if self.word().mode().is_forced() {
            return;
        }
        if let Some(cause) = self.reason_to_open(now) {
            self.trip(generation, now, cause);
        }
    }

    fn reason_to_open(&self, now: u64) -> Option<Cause> {
        let trip = self.back.policy.trip;
        if trip.consecutive.is_some_and(|most| self.window.consecutive.load(Acquire) >= most) {
            return Some(Cause::Consecutive);
        }
        let (rate, slow) = (trip.rate, trip.slow.map(|(_, share)| share));
        if rate.is_none() && slow.is_none() {
            return None;
        }
        let place = self.front.clock.place(now);
        let is_enough =
            |sums: &Sums| [rate, slow].iter().flatten().all(|share| share.is_enough(sums.calls));
        let mut sums = self.window.sums(place);
        if !is_enough(&sums) && sums.failed + sums.slow > 0 {
            self.window.arm(place, &self.back.counts.past);
            // Those that did not meet the bit are counted by now.
            sums = self.window.sums(place);
        }
        if is_enough(&sums) {
            self.window.disarm(place);
        }
        if rate.is_some_and(|share| share.is_reached(sums.failed, sums.calls)) {
            return Some(Cause::Rate);
        }
        slow.is_some_and(|share| share.is_reached(sums.slow, sums.calls)).then_some(Cause::Slow)
    }

    #[cold]
    fn trip(&self, generation: u32, now: u64, cause: Cause) {
        let mut cold = self.cold();
        let word = self.word();
        let closed = word.state() == State::Closed;
        if word.generation() != generation || !closed || word.mode().is_forced() {
            return;
        }
        let decay = clock::nanos(self.back.policy.decay);
        let healthy = now.saturating_sub(cold.closed_since).checked_div(decay).unwrap_or(u64::MAX);
        cold.attempt = cold.attempt.saturating_sub(u32::try_from(healthy).unwrap_or(u32::MAX));
        let opened = self.open(&mut cold, word, now, cause);
        debug_assert!(opened, "a closed circuit's word is written under the lock alone");
        drop(cold);
        self.wake();
    }

    /// A call came when the open circuit's time was over: it is the first probe. `None` if another was.
    pub(super) fn half_open(&self, word: Word, now: u64) -> Option<Word> {
        let mut cold = self.cold();
        self.lease(word, now);
        let next = word.next(State::HalfOpen).issue();
        if !self.swap(word, next) {
            return None;
        }
        self.log(&mut cold, word, next, Cause::OpenTimeOver, now);
        drop(cold);
        self.wake();
        Some(next)
    }

    /// The lease of all probes in flight is over: those that were not answered have failed.
    #[cold]
    pub(super) fn expire(&self, word: Word, now: u64) {
        let mut cold = self.cold();
        // Read once: whoever is about to lose the race for a place may push it meanwhile.
        let over = self.front.lease_until.load(Relaxed);
        if self.word() != word || word.in_flight() == 0 || now < over {
            return;
        }
        let expired = word.expire(self.answered_in(word.generation()));
        let changed = match expired.verdict(self.back.policy.probes) {
            Some(true) => {
                self.close(&mut cold, word, word.next(State::Closed), Cause::ProbesPassed, now)
            }
            Some(false) => {
                // Since then, not since somebody came by: whoever comes late finds it half-open again.
                self.open(&mut cold, word, over, Cause::LeaseOver)
            }
            None => self.swap(word, expired),
        };
        drop(cold);
        if changed {
            let past = &self.back.counts.past;
            past.ok.fetch_add((expired.passed() - word.passed()).into(), Relaxed);
            past.failed.fetch_add((expired.failed() - word.failed()).into(), Relaxed);
            self.wake();
        }
    }

    /// An answered probe is over, without a verdict. Under the lock, so that whoever finds that the leases are
    /// over sees both that it is not in flight and that it is not among the answered.
    pub(super) fn swap_answered(&self, word: Word, next: Word) -> bool {
        let cold = self.cold();
        let swapped = self.swap(word, next);
        if swapped {
            self.count_answered(word.generation(), |answered| answered.saturating_sub(1));
        }
        drop(cold);
        swapped
    }

    /// The probes have shown whether all is well. Returns whether the word was still that one.
    pub(super) fn decide(&self, word: Word, well: bool, now: u64) -> bool {
        let mut cold = self.cold();
        let decided = if well {
            self.close(&mut cold, word, word.next(State::Closed), Cause::ProbesPassed, now)
        } else {
            self.open(&mut cold, word, now, Cause::ProbesFailed)
        };
        drop(cold);
        if decided {
            self.wake();
        }
        decided
    }

    fn open(&self, cold: &mut Cold, word: Word, at: u64, cause: Cause) -> bool {
        let delay = self.back.policy.open.delay(cold.attempt, &mut cold.rng);
        // Nobody reads it before the word says that it is open.
        self.front.open_until.store(at.saturating_add(clock::nanos(delay)), Relaxed);
        let next = word.next(State::Open);
        if !self.swap(word, next) {
            return false;
        }
        cold.attempt = cold.attempt.saturating_add(1);
        self.back.counts.opened.fetch_add(1, Relaxed);
        self.log(cold, word, next, cause, at);
        true
    }

    fn close(&self, cold: &mut Cold, word: Word, next: Word, cause: Cause, now: u64) -> bool {
        self.window.clear(&self.back.counts.past);
        if !self.swap(word, next) {
            return false;
        }
        cold.closed_since = now;
        self.log(cold, word, next, cause, now);
        true
    }

    fn log(&self, cold: &mut Cold, before: Word, after: Word, cause: Cause, at: u64) {
        cold.sequence += 1;
        if cold.transitions.len() == REMEMBERED {
            cold.transitions.pop_front();
        }
        cold.transitions.push_back(Transition {
            sequence: cold.sequence,
            from: before.effective(),
            to: after.effective(),
            mode: after.mode(),
            cause,
            at: self.front.clock.instant(at),
        });
    }

    /// Lays a mode over the circuit, or takes it away with [`Mode::Automatic`].
    ///
    /// Calls that are in flight count as they would have, unless the state has changed.
    pub fn set_mode(&self, mode: Mode, now: Instant) {
        let now = self.front.clock.nanos(now);
        let mut cold = self.cold();
        loop {
            let word = self.word();
            if word.mode() == mode {
                return;
            }
            let with_mode = word.with_mode(mode);
            let changed = match (mode, word.state()) {
                (Mode::ForcedClosed, State::Open | State::HalfOpen) => {
                    let next = with_mode.next(State::Closed);
                    self.close(&mut cold, word, next, Cause::Operator, now)
                }
                (Mode::ForcedOpen, State::HalfOpen) => {
                    self.front.open_until.store(now, Relaxed);
                    self.set(&mut cold, word, with_mode.next(State::Open), now)
                }
                _ => self.set(&mut cold, word, with_mode, now),
            };
            if changed {
                break;
            }
        }
        drop(cold);
        // What was not judged while it was forced is with the next outcome.
        self.window.arm(self.front.clock.place(now), &self.back.counts.past);
        self.wake();
    }

    fn set(&self, cold: &mut Cold, word: Word, next: Word, now: u64) -> bool {
        let set = self.swap(word, next);
        if set {
            self.log(cold, word, next, Cause::Operator, now);
        }
        set
    }

    /// Begins anew: automatic, closed, with an empty window, and no opening remembered.
    ///
    /// What is in flight is late.
    pub fn reset(&self, now: Instant) {
        let now = self.front.clock.nanos(now);
        let mut cold = self.cold();
        cold.attempt = 0;
        loop {
            let word = self.word();
            let next = word.with_mode(Mode::Automatic).next(State::Closed);
            if self.close(&mut cold, word, next, Cause::Operator, now) {
                break;
            }
        }
        drop(cold);
        self.wake();
    }

    /// The circuit's transitions after the one of that number, oldest first. 0 is before the first.
    ///
    /// The last 32 are remembered. Whoever has missed some sees it by their numbers.
    #[must_use]
    pub fn transitions(&self, after: u64) -> Vec<Transition> {
        let cold = self.cold();
        cold.transitions.iter().filter(|transition| transition.sequence > after).copied().collect()
    }
}
