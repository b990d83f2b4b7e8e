use std::time::{Duration, Instant};

use super::window::Place;

/// Moments as nanoseconds since the circuit was made, and as places in its window.
#[derive(Debug)]
pub(crate) struct Clock {
    base: Instant,
    /// In 2⁻⁶⁴: a multiplication where a division would cost as much as all else. It is rounded up, which
    /// makes a window of ten seconds shorter by nanoseconds, and one of a day by less than a second.
    windows_per_nano: u64,
}

impl Clock {
    pub(crate) fn new(base: Instant, window: Duration) -> Self {
        Self { base, windows_per_nano: u64::MAX / nanos(window) + 1 }
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
    #[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    pub(crate) fn place(&self, nanos: u64) -> Place {
        let windows = u128::from(nanos) * u128::from(self.windows_per_nano);
        Place::of((windows >> 64) as u64, windows as u64)
    }
}

/// In nanoseconds, up to 584 years.
#[inline]
pub(crate) fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}
