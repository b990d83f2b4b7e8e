use std::time::Duration;

use crate::{Mode, State};

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
