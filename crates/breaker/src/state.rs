use std::time::Instant;

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

impl Mode {
    /// Whether it is not for the circuit to decide.
    pub(crate) const fn is_forced(self) -> bool {
        matches!(self, Self::ForcedOpen | Self::ForcedClosed)
    }
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
