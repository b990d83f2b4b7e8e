use std::time::Instant;

use crate::{Mode, State};

/// A change of a circuit's state or mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// 1 for the circuit's first, and one more for each.
    pub sequence: u64,
    /// What calls met before. The same as `to` if only the mode has changed.
    pub from: State,
    /// What they meet from now on. In [`Mode::ObserveOnly`], what they would meet.
    pub to: State,
    /// The mode from now on.
    pub mode: Mode,
    /// Why.
    pub cause: Cause,
    /// When, by the clock of whose call brought it about.
    pub at: Instant,
}

/// Why a circuit has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Too large a share of the calls had failed.
    Rate,
    /// Too many calls in a row had failed.
    Consecutive,
    /// Too large a share of the calls were slow.
    Slow,
    /// It had been open for long enough, and a call came.
    OpenTimeOver,
    /// Enough probes had succeeded.
    ProbesPassed,
    /// Too many probes had failed.
    ProbesFailed,
    /// Too many probes had failed, of which some were not heard of within their lease.
    LeaseOver,
    /// An operator wanted it.
    Operator,
}
