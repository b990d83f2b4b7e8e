use std::time::{Duration, Instant};

/// Moments as numbers, so that an atomic can hold one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
}

/// The latest moment there is: 146 years on. The two bits above it are for marks.
pub(crate) const END: u64 = (1 << 62) - 1;

impl Clock {
    pub(crate) fn new(base: Instant) -> Self {
        Self { base }
    }

    /// Nanoseconds since the base; a moment before it is the base.
    #[inline]
    pub(crate) fn nanos(self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.base))
    }

    /// The moment that is so many nanoseconds after the base.
    pub(crate) fn moment(self, nanos: u64) -> Option<Instant> {
        self.base.checked_add(Duration::from_nanos(nanos))
    }
}

/// A time in nanoseconds.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "it was compared with the most")]
pub(crate) fn nanos(time: Duration) -> u64 {
    time.as_nanos().min(u128::from(END)) as u64
}

/// The clock of the layers.
#[inline]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
