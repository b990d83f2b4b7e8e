use std::num::NonZeroU64;

/// What a call that was let through holds until its outcome is known.
///
/// Plain data of 16 bytes, without a reference to its circuit. It goes back to that one, once, by
/// [`record`](crate::Circuit::record) or [`abandon`](crate::Circuit::abandon): a probe whose ticket is
/// dropped instead keeps its place until its lease is over.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the circuit is told what became of the call"]
pub struct Ticket {
    /// In nanoseconds since the circuit was made, or [`UNTIMED`].
    pub(crate) started: u64,
    /// The generation in the upper half, the role in the lower, above a bit that is always set: two words go
    /// along in registers, where three fields are written and read back.
    whose: NonZeroU64,
}

/// Of a ticket that does not know when its call began.
pub(crate) const UNTIMED: u64 = u64::MAX;

/// What a call's outcome is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// One of many, in the window.
    Counted = 0,
    /// The verdict on a half-open circuit.
    Probe = 1,
    /// The same, and its answer has begun.
    AnsweredProbe = 2,
    /// Nothing: the call would have been refused.
    Observed = 3,
}

impl Role {
    #[inline]
    fn of(self, generation: u32) -> NonZeroU64 {
        NonZeroU64::MIN | (self as u64) << 1 | u64::from(generation) << 32
    }
}

impl Ticket {
    #[inline]
    pub(crate) fn new(started: u64, generation: u32, role: Role) -> Self {
        Self { started, whose: role.of(generation) }
    }

    /// Of the state in which it was given.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is what is wanted")]
    pub(crate) fn generation(&self) -> u32 {
        (self.whose.get() >> 32) as u32
    }

    #[inline]
    pub(crate) fn role(&self) -> Role {
        match self.whose.get() >> 1 & 0b11 {
            0 => Role::Counted,
            1 => Role::Probe,
            2 => Role::AnsweredProbe,
            _ => Role::Observed,
        }
    }

    pub(crate) fn set_role(&mut self, role: Role) {
        self.whose = role.of(self.generation());
    }

    /// Whether the circuit is half-open and this call is to show that all is well again.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        matches!(self.role(), Role::Probe | Role::AnsweredProbe)
    }

    /// Whether it is known when the call began.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.started != UNTIMED
    }
}

/// What became of a call, as far as a circuit cares.
///
/// | | in the rate | in a row | as a probe |
/// | --- | --- | --- | --- |
/// | `Success` | well | ends the row | passed |
/// | `Success`, and [slow](crate::Trip::slow) | well, and slow | ends the row | failed |
/// | `Failure`, also a panic | failed | one more | failed |
/// | `Throttled` | failed | – | failed |
/// | `Ignored` | – | – | gives its place back |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// It did what it was asked to.
    Success,
    /// It did not, and what was called is to blame.
    Failure,
    /// What was called asks for patience, as by 429 or `RESOURCE_EXHAUSTED`: no failure in a row, since
    /// it answers, and no sign that all is well.
    Throttled,
    /// It says nothing about what was called: it was never sent, or the caller is to blame.
    Ignored,
}
