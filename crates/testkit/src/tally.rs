/// What was done to a [`Probe`](crate::Probe) and its clones so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Polls for readiness.
    pub readiness_polls: usize,
    /// Calls.
    pub calls: usize,
    /// Heads that were answered, with success or with an error.
    pub answered: usize,
    /// Futures dropped before they were ready.
    pub cancelled: usize,
    /// Bodies taken to their end, or to their error.
    pub bodies_ended: usize,
    /// Bodies dropped before their end.
    pub bodies_dropped: usize,
    /// Exchanges under way, from the call to the end of the body.
    pub in_flight: usize,
    /// The most that was under way at once.
    pub peak: usize,
}

impl Tally {
    pub(crate) fn began(&mut self) {
        self.calls += 1;
        self.in_flight += 1;
        self.peak = self.peak.max(self.in_flight);
    }
}
