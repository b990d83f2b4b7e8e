use std::time::{Duration, Instant};

use super::window::Place;

/// Moments as nanoseconds since the circuit was made, and as places in its window.
#[derive(Debug)]
pub(crate) struct Clock {
    base: Instant,
    /// Of a bucket's length, in 2⁻⁶⁴: a multiplication where a division would cost as much as all else.
    /// It is rounded up, which makes a bucket of a second shorter by less than a nanosecond, and one of
    /// hours by milliseconds.
    buckets_per_nano: u64,
}

impl Clock {
    pub(crate) fn new(base: Instant, window: Duration) -> Self {
        let bucket = nanos(window) / 10;
        Self { base, buckets_per_nano: u64::MAX / bucket + 1 }
    }

    /// 0 for moments before it was made, up to 584 years.
    #[inline]
    pub(crate) fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(self.base))
    }

    /// The moment, or the last that there is.
    pub(crate) fn instant(&self, nanos: u64) -> Instant {
        self.base.checked_add(Duration::from_nanos(nanos)).unwrap_or(self.base)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is what is wanted")]
    pub(crate) fn place(&self, nanos: u64) -> Place {
        let epoch = (u128::from(nanos) * u128::from(self.buckets_per_nano)) >> 64;
        Place::of(epoch as u64)
    }
}

/// In nanoseconds, up to 584 years.
#[inline]
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
