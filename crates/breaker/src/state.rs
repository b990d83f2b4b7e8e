use std::{
    error::Error,
    fmt,
    time::{Duration, Instant},
};

/// What a circuit does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Lets them through.
    Closed = 0,
    /// Refuses them.
    Open = 1,
    /// Lets a few through as probes, and refuses the others.
    HalfOpen = 2,
}

/// What an operator has laid over a circuit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Nothing: the circuit decides by itself.
    #[default]
    Automatic = 0,
    /// Refuses all calls. Beneath it, the circuit stays as it was; if it was half-open, it probes anew
    /// afterwards.
    ForcedOpen = 1,
    /// Lets all calls through. The circuit is closed and counts, so that it can judge afterwards.
    ForcedClosed = 2,
    /// Opens, probes and closes as ever, in its accounts: calls that it would refuse it lets through, and
    /// counts. To learn what a policy would do.
    ObserveOnly = 3,
}

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

/// Whether a call would be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It would.
    Ready,
    /// Not before this moment: the circuit is open.
    After(Instant),
    /// Not while all probes are out: until one comes back, or else this moment, when their leases end.
    ProbesBusy(Instant),
    /// Not before an operator says so.
    Forced,
}

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

/// How a circuit stands.
///
/// Read without a lock while calls go on, so its numbers may be some calls apart.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// What calls meet.
    pub state: State,
    /// What an operator has laid over it.
    pub mode: Mode,
    /// Until an open circuit is probed. `None` if it is not open, or if that takes an operator.
    pub retry_after: Option<Duration>,
    /// Outcomes in the window.
    pub calls: u64,
    /// Of those in the window, failures.
    pub failures: u64,
    /// Of those in the window, slow ones.
    pub slow: u64,
    /// Failures since the last success.
    pub consecutive: u32,
    /// Probes of which nothing was heard yet.
    pub probes_in_flight: u32,
    /// Outcomes since the circuit was made, without those below. What is in flight is not counted.
    pub total_calls: u64,
    /// Failures since the circuit was made.
    pub total_failures: u64,
    /// Calls whose outcome was [ignored](crate::Signal::Ignored).
    pub ignored: u64,
    /// Outcomes that came when the circuit had changed since, and that decided nothing.
    pub late: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that would have been refused, and passed in [`Mode::ObserveOnly`].
    pub observed: u64,
    /// How often it has opened by itself.
    pub opened: u64,
}

impl Stats {
    /// The share of failures in the window, from 0 to 1; 0 if nothing was called.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn failure_rate(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.failures as f64 / self.calls as f64 }
    }

    /// The share of slow calls in the window, from 0 to 1; 0 if nothing was called.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn slow_rate(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.slow as f64 / self.calls as f64 }
    }
}
