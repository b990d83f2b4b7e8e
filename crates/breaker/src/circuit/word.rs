//! The circuit's state in 64 bits: 32 of a generation, 10 of a stamp, three times 6 that count probes,
//! two of the [`Mode`] and two of the state.
//!
//! The generation changes with the state. A call is given it along, and an outcome of another generation
//! is late: it decides nothing. It comes round after 4 billion changes, for each of which the circuit was
//! open once.
//!
//! The stamp changes with each probe that is let through. Without it a word could be the same again after
//! a probe came back and another went, and whoever meant to judge the first would judge the second.

use crate::{Mode, Probes, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

const MODE: u32 = 2;
const FAILED: u32 = 4;
const PASSED: u32 = 10;
const ISSUED: u32 = 16;
const STAMP: u32 = 22;
const GENERATION: u32 = 32;

const COUNT: u64 = 0x3f;
const STAMPS: u64 = 0x3ff << STAMP;

impl Word {
    /// Of a new circuit.
    pub(crate) const CLOSED: Self = Self(0);

    #[inline]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is what is wanted")]
    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> GENERATION) as u32
    }

    /// Of the machine, whatever an operator has laid over it.
    #[inline]
    pub(crate) const fn state(self) -> State {
        match self.0 & 0b11 {
            0 => State::Closed,
            1 => State::Open,
            _ => State::HalfOpen,
        }
    }

    #[inline]
    pub(crate) const fn mode(self) -> Mode {
        match (self.0 >> MODE) & 0b11 {
            0 => Mode::Automatic,
            1 => Mode::ForcedOpen,
            2 => Mode::ForcedClosed,
            _ => Mode::ObserveOnly,
        }
    }

    /// What callers meet.
    pub(crate) const fn effective(self) -> State {
        match self.mode() {
            Mode::ForcedOpen => State::Open,
            Mode::ForcedClosed => State::Closed,
            Mode::Automatic | Mode::ObserveOnly => self.state(),
        }
    }

    /// Whether a call is let through and counted as one of many.
    #[inline]
    pub(crate) const fn passes(self) -> bool {
        // Closed, and not forced open.
        matches!(self.0 & 0b1111, 0b0000 | 0b1000 | 0b1100)
    }

    #[allow(clippy::cast_possible_truncation, reason = "six bits")]
    const fn count(self, shift: u32) -> u8 {
        ((self.0 >> shift) & COUNT) as u8
    }

    /// Probes let through and not given back.
    pub(crate) const fn issued(self) -> u8 {
        self.count(ISSUED)
    }

    pub(crate) const fn passed(self) -> u8 {
        self.count(PASSED)
    }

    pub(crate) const fn failed(self) -> u8 {
        self.count(FAILED)
    }

    /// Probes of which nothing was heard yet.
    pub(crate) const fn in_flight(self) -> u8 {
        self.issued() - self.passed() - self.failed()
    }

    /// A new generation, without probes.
    pub(crate) const fn next(self, state: State) -> Self {
        let generation = self.generation().wrapping_add(1) as u64;
        let mode = self.0 & (0b11 << MODE);
        Self(generation << GENERATION | self.0 & STAMPS | mode | state as u64)
    }

    pub(crate) const fn with_mode(self, mode: Mode) -> Self {
        Self(self.0 & !(0b11 << MODE) | (mode as u64) << MODE)
    }

    /// With one more probe.
    pub(crate) const fn issue(self) -> Self {
        let stamp = self.0.wrapping_add(1 << STAMP) & STAMPS;
        Self((self.0 & !STAMPS | stamp) + (1 << ISSUED))
    }

    /// With one probe less, of which there is no verdict.
    pub(crate) const fn release(self) -> Self {
        Self(self.0 - (1 << ISSUED))
    }

    pub(crate) const fn pass(self) -> Self {
        Self(self.0 + (1 << PASSED))
    }

    pub(crate) const fn fail(self) -> Self {
        Self(self.0 + (1 << FAILED))
    }

    /// Of all that are in flight, those that were answered have passed and the others failed. In a new
    /// generation, so that what they still bring is late.
    pub(crate) const fn expire(self, answered: u8) -> Self {
        let generation = self.generation().wrapping_add(1) as u64;
        let in_flight = self.in_flight();
        let passed = if answered < in_flight { answered } else { in_flight };
        let counts = (passed as u64) << PASSED | ((in_flight - passed) as u64) << FAILED;
        Self(generation << GENERATION | (self.0 + counts) & !(u64::MAX << GENERATION))
    }

    pub(crate) const fn has_room(self, probes: Probes) -> bool {
        self.issued() < probes.most
    }

    /// Whether all is well again, if that is known by now.
    pub(crate) const fn verdict(self, probes: Probes) -> Option<bool> {
        if self.passed() >= probes.need {
            Some(true)
        } else if self.failed() > probes.allowed {
            Some(false)
        } else {
            None
        }
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use super::*;

    const STATES: [State; 3] = [State::Closed, State::Open, State::HalfOpen];
    const MODES: [Mode; 4] =
        [Mode::Automatic, Mode::ForcedOpen, Mode::ForcedClosed, Mode::ObserveOnly];

    #[test]
    fn a_word_says_what_it_was_told() {
        let mut word = Word::CLOSED;
        for generation in 1..100 {
            for mode in MODES {
                word = word.with_mode(mode);
                assert_eq!(word.mode(), mode);
            }
            let state = STATES[generation as usize % 3];
            word = word.with_mode(MODES[generation as usize % 4]).next(state);
            assert_eq!((word.generation(), word.state()), (generation, state));
            assert_eq!(word.mode(), MODES[generation as usize % 4]);
            assert_eq!((word.issued(), word.passed(), word.failed()), (0, 0, 0));
        }
    }

    #[test]
    fn as_many_probes_fit_as_there_may_be() {
        let mut word = Word::CLOSED.next(State::HalfOpen);
        for count in 1..=63 {
            word = word.issue();
            assert_eq!((word.issued(), word.in_flight()), (count, count));
        }
        let (mut passed, mut failed) = (word, word);
        for count in 1..=63 {
            (passed, failed) = (passed.pass(), failed.fail());
            assert_eq!(
                (passed.passed(), passed.in_flight(), passed.failed()),
                (count, 63 - count, 0)
            );
            assert_eq!(
                (failed.failed(), failed.in_flight(), failed.passed()),
                (count, 63 - count, 0)
            );
        }
        assert_eq!((failed.state(), failed.generation()), (State::HalfOpen, 1));
        assert_eq!((word.expire(0).failed(), word.expire(0).generation()), (63, 2));
    }

    #[test]
    fn a_word_is_not_the_same_again_when_a_probe_came_back_and_another_went() {
        let first = Word::CLOSED.next(State::HalfOpen).issue();
        let mut word = first;
        for _ in 0..1023 {
            word = word.release().issue();
            assert_ne!(word, first);
            assert_eq!((word.generation(), word.issued()), (1, 1));
        }
        assert_eq!(word.release().issue(), first);
    }

    #[test]
    fn the_generation_comes_round() {
        let mut word = Word::from_bits(u64::from(u32::MAX) << GENERATION);
        word = word.next(State::Open);
        assert_eq!((word.generation(), word.state()), (0, State::Open));
        let last = Word::from_bits(u64::from(u32::MAX) << GENERATION | 2).issue();
        assert_eq!((last.expire(0).generation(), last.expire(0).failed()), (0, 1));
    }
}
