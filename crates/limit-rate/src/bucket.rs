use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use crate::{Decision, Quota, decision::refunded, quota::LONGEST_FILL};

/// The machine: one token bucket, told the time and its quota.
///
/// Usable without tower, a store or a key. It decides exactly, in nanoseconds, and is nothing but the
/// moment at which it will be full: a token bucket written as the generic cell rate algorithm
/// (ITU-T I.371, Annex A), whose *theoretical arrival time* that moment is. So a bucket does not know
/// its quota: told another, it keeps its debt in time.
///
/// ```
/// use palisade_limit_rate::{Bucket, Quota};
/// use std::{num::NonZeroU32, time::{Duration, Instant}};
///
/// let (quota, one) = (Quota::per_second(NonZeroU32::MIN), NonZeroU32::MIN);
/// # let now = Instant::now();
/// let mut bucket = Bucket::full();
/// assert!(bucket.take(quota, one, now).allowed());
/// assert!(!bucket.take(quota, one, now + Duration::from_millis(999)).allowed());
/// assert!(bucket.take(quota, one, now + Duration::from_secs(1)).allowed());
/// ```
///
/// A clock that steps back only delays: no token flows in a second time for the same second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// `None` is a bucket that was always full.
    full_at: Option<Instant>,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub const fn full() -> Self {
        Self { full_at: None }
    }

    /// Takes tokens, if there are enough.
    pub fn take(&mut self, quota: Quota, cost: NonZeroU32, now: Instant) -> Decision {
        let decision = Decision::on(quota, 0, self.debt(now), cost);
        if decision.allowed() {
            self.owe(decision.debt(), now);
        }
        decision
    }

    /// Takes tokens also where there are not enough, for what has happened already. The bucket then owes
    /// them; but never more than it can hold, however much is charged. Told is what
    /// [`take`](Self::take) would have said, with the times that follow from what is owed now.
    pub fn charge(&mut self, quota: Quota, cost: NonZeroU32, now: Instant) -> Decision {
        let decision = Decision::charged(quota, 0, self.debt(now), cost);
        self.owe(decision.debt(), now);
        decision
    }

    /// What [`take`](Self::take) would say of one token, without taking it.
    #[must_use]
    pub fn get(&self, quota: Quota, now: Instant) -> Decision {
        Decision::peek(quota, 0, self.debt(now), NonZeroU32::MIN)
    }

    /// Gives tokens back. A bucket never holds more than its burst.
    pub fn refund(&mut self, quota: Quota, cost: NonZeroU32, now: Instant) {
        let debt = self.debt(now);
        if debt > 0 {
            self.owe(refunded(quota, 0, debt, cost), now);
        }
    }

    /// Whether it has been full for so long: whoever finds a new one instead finds the same.
    pub(crate) fn was_full_for(&self, patience: Duration, now: Instant) -> bool {
        let since = |full_at| now.checked_duration_since(full_at);
        self.full_at.is_none_or(|full_at| since(full_at).is_some_and(|since| since >= patience))
    }

    /// In how many nanoseconds it is full.
    pub(crate) fn debt(&self, now: Instant) -> u64 {
        let ahead = self.full_at.map(|full_at| full_at.saturating_duration_since(now));
        nanos(ahead.unwrap_or_default()).min(2 * LONGEST_FILL)
    }

    fn owe(&mut self, debt: u64, now: Instant) {
        // Where a clock can say no later moment, there is nothing left to be counted.
        self.full_at = now.checked_add(Duration::from_nanos(debt)).or(self.full_at);
    }
}

/// In nanoseconds, up to 584 years.
#[inline]
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
