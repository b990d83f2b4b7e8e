use std::{fmt, sync::Arc};

use crate::{Budget, counters::Fate, state::Common};

/// The operator's end of a retry: what it does, and why it does no more.
///
/// Cheap to clone. It is about everything its layer was applied to, before or after.
#[derive(Clone)]
pub struct Retries(pub(crate) Arc<Common>);

impl Retries {
    /// How many attempts were made beyond the first of their requests.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.0.counters.of(Fate::Retried)
    }

    /// How many requests succeeded that had failed at first.
    #[must_use]
    pub fn recovered(&self) -> u64 {
        self.0.counters.of(Fate::Recovered)
    }

    /// How many failures were final since the request may have been done, and [may not](crate::Eligible) be
    /// done twice.
    #[must_use]
    pub fn not_eligible(&self) -> u64 {
        self.0.counters.of(Fate::NotEligible)
    }

    /// How many failures were final since the answer had begun when its gRPC status said so.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.0.counters.of(Fate::Begun)
    }

    /// How many failures were final since there had been as many attempts as there may be.
    #[must_use]
    pub fn exhausted(&self) -> u64 {
        self.0.counters.of(Fate::Exhausted)
    }

    /// How many failures were final since the budget was used up.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.counters.of(Fate::Refused)
    }

    /// How many failures were final since there was no time for another attempt before the deadline, or
    /// the service asked not to be asked again so soon.
    #[must_use]
    pub fn too_late(&self) -> u64 {
        self.0.counters.of(Fate::TooLate)
    }

    /// How many failures were final since the inner service was not ready after the wait.
    #[must_use]
    pub fn not_ready(&self) -> u64 {
        self.0.counters.of(Fate::NotReady)
    }

    /// How many failures were final since the request's body could not be sent again: it was larger than
    /// is kept, had failed, or was still being sent.
    #[must_use]
    pub fn no_body(&self) -> u64 {
        self.0.counters.of(Fate::NoBody)
    }

    /// How many bytes are taken by request bodies that are kept at this moment, with 128 for each of their
    /// frames.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.0.allowance.in_use()
    }

    /// The budget, which others may share.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.0.terms.budget
    }
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retries")
            .field("retried", &self.retried())
            .field("recovered", &self.recovered())
            .field("not_eligible", &self.not_eligible())
            .field("begun", &self.begun())
            .field("exhausted", &self.exhausted())
            .field("refused", &self.refused())
            .field("too_late", &self.too_late())
            .field("not_ready", &self.not_ready())
            .field("no_body", &self.no_body())
            .field("buffered", &self.buffered())
            .field("budget", self.budget())
            .finish()
    }
}
