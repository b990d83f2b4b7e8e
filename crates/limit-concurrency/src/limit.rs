use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    counters::{Counters, Word},
    sync::lock,
};

/// The machine behind the layer: a count of what is in flight, and a bound on it.
///
/// Usable without tower. It knows no request and reads no clock. Clones are the same limit.
///
/// ```
/// use palisade_limit_concurrency::Limit;
///
/// let limit = Limit::new(1);
/// let permit = limit.try_acquire().expect("nothing is in flight");
/// assert!(limit.try_acquire().is_none());
///
/// drop(permit);
/// assert!(limit.try_acquire().is_some());
/// assert_eq!((limit.admitted(), limit.rejected()), (2, 1));
/// ```
///
/// # Exactness
///
/// Admission is one compare-and-swap on one word, so no interleaving admits more than `max`, and
/// none refuses while there is room. A refusal only loads that word, so a flood of refusals does not
/// slow the requests that are served.
///
/// # Memory
///
/// A limit takes 256 bytes beside its handles. They are used again by the next limit once the last
/// clone and the last permit are gone, and are never returned to the allocator, so that a permit need
/// not count references. A program's limits thus cost what the most that existed at once cost.
#[derive(Clone)]
pub struct Limit {
    counters: &'static Counters,
    /// Shared by the clones; the last to go retires the counters.
    _owner: Arc<Owner>,
}

struct Owner(&'static Counters);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.orphan();
    }
}

impl Limit {
    /// Allows `max` permits at once. 0 refuses everything; more than 2³¹ − 1 is as good as that.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let counters = Counters::take(max);
        Self { counters, _owner: Arc::new(Owner(counters)) }
    }

    /// A permit, unless as many as are allowed are out.
    #[inline]
    #[must_use = "the permit is given back when it is dropped"]
    pub fn try_acquire(&self) -> Option<Permit> {
        if self.counters.admit() {
            Some(Permit(self.counters))
        } else {
            self.reject();
            None
        }
    }

    /// Whether a permit would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        !self.counters.has_room(self.counters.word())
    }

    /// Counts a refusal that was decided elsewhere.
    #[cold]
    pub(crate) fn reject(&self) {
        self.counters.refusals.rejected.fetch_add(1, Relaxed);
    }

    /// How long, by Little's law, until all that is in flight now is done: a good moment for a
    /// refused request to come back.
    ///
    /// To be asked at each refusal, with the time of that refusal; between 1 and 30 seconds. It is an
    /// estimate from below: a client that comes too early is refused again at little cost, one that
    /// stays away too long finds places that were free. Where refusals are more than two seconds apart
    /// nothing is known, and the answer is 1 second. No jitter is added, as places become free one by
    /// one and not all at a moment; that is for clients to add.
    #[must_use]
    pub fn retry_after(&self, now: Instant) -> Duration {
        let Word { in_flight, admissions } = self.counters.word();
        let mut turnover = lock(&self.counters.refusals.turnover);
        turnover.refused(now, admissions.wrapping_sub(in_flight), in_flight)
    }

    /// How many permits are out.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.counters.word().in_flight as usize
    }

    /// How many permits may be out at once.
    #[must_use]
    pub fn max(&self) -> usize {
        self.counters.max.load(Relaxed)
    }

    /// Changes how many permits may be out at once, from now on.
    ///
    /// Lowering it takes no permit back: until enough are returned, none is given. Raising it lets
    /// the next ones in at once.
    pub fn set_max(&self, max: usize) {
        self.counters.max.store(max, Relaxed);
    }

    /// How many permits were given so far.
    ///
    /// Read in the instant in which their number passes a multiple of 2³² it may lag by as much.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        let admissions = self.counters.word().admissions;
        (self.counters.refusals.rounds.load(Relaxed) << 32) + u64::from(admissions)
    }

    /// How many permits were refused so far.
    #[must_use]
    pub fn rejected(&self) -> u64 {
        self.counters.refusals.rejected.load(Relaxed)
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit")
            .field("in_flight", &self.in_flight())
            .field("max", &self.max())
            .field("admitted", &self.admitted())
            .field("rejected", &self.rejected())
            .finish()
    }
}

/// One of the limit's permits, which goes back when it is dropped.
#[must_use = "the permit is given back when it is dropped"]
pub struct Permit(&'static Counters);

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        self.0.release();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

#[cfg(all(test, palisade_loom))]
mod loom_tests;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
