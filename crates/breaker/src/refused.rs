use std::{error::Error, fmt, time::Duration};

use crate::State;

/// The call was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub(crate) state: State,
    pub(crate) retry_after: Option<Duration>,
}

impl Refused {
    /// [`State::Open`], or [`State::HalfOpen`] while all probes are out.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// How long until a call may be let through: until an open circuit is probed. While all probes are
    /// out it is a second, or until their leases end if that is sooner: their verdict is near, but nobody
    /// knows how near. `None` if it takes an operator.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.state, self.retry_after) {
            (State::HalfOpen, _) => "the circuit is half-open, and all its probes are out",
            (_, Some(_)) => "the circuit is open",
            (_, None) => "the circuit is held open by an operator",
        })
    }
}

impl Error for Refused {}
