use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of attempts that were not good enough. Nothing is counted of those that were.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    counts: [AtomicU64; Fate::COUNT],
}

/// What became of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Another attempt was made.
    Retried,
    /// What was answered at last was a success.
    Recovered,
    /// It may have been done, and may not be done twice.
    NotEligible,
    /// Its answer had begun before it was known to be one.
    Begun,
    /// There had been as many as there may be.
    Exhausted,
    /// The budget said no.
    Refused,
    /// There was no time for another, or the service asked for more time than is waited.
    TooLate,
    /// The service was not ready for another.
    NotReady,
    /// The request's body could not be had again.
    NoBody,
}

impl Fate {
    const COUNT: usize = Self::NoBody as usize + 1;
}

impl Counters {
    pub(crate) fn count(&self, fate: Fate) {
        self.counts[fate as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn of(&self, fate: Fate) -> u64 {
        self.counts[fate as usize].load(Relaxed)
    }
}
