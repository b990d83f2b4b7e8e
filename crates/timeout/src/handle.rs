use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use crate::counters::Counters;

/// The operator's end of a timeout: change the limit, count what ran out of time.
///
/// Cheap to clone. It acts on everything its layer was applied to, before or after.
#[derive(Clone, Debug)]
pub struct Timeouts(Arc<Counters>);

impl Timeouts {
    pub(crate) fn new(limit: Duration) -> Self {
        Self(Counters::new(limit.into()))
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0
    }

    /// How long an exchange may take that nothing else limits. [`Duration::MAX`] is for ever.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.0.limit().into()
    }

    /// Changes the limit, from the next request on. Zero refuses everything, [`Duration::MAX`] lifts
    /// it; so does all above 584 years.
    pub fn set_limit(&self, limit: Duration) {
        self.0.set_limit(limit.into());
    }

    /// How many requests were answered by the layer because the service's answer was not there in
    /// time.
    #[must_use]
    pub fn timed_out(&self) -> u64 {
        self.0.timed_out.load(Relaxed)
    }

    /// How many responses were cut off in the middle of their body.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.0.cut.load(Relaxed)
    }

    /// How many requests were refused before they began, since their time was up or nearly so.
    #[must_use]
    pub fn expired(&self) -> u64 {
        self.0.expired.load(Relaxed)
    }
}
