use std::time::Duration;

use palisade_core::{Backoff, Jitter};

use crate::{Probes, Trip};

/// When a circuit opens, for how long, and what closes it again.
///
/// A [`Trip`] alone is a policy, with defaults for everything else:
///
/// | | default | reason |
/// | --- | --- | --- |
/// | opens | at 50 % of 20 or more calls in 10 s, or after 5 failures in a row | [`Trip`] |
/// | for | 5 s, then twice as long each time, up to 60 s, a third of it left to chance | the first outages to hope for are a restart or a lost connection; jitter keeps clients from returning at once |
/// | forgets a past opening | after each 30 s closed | [`with_decay`](Self::with_decay) |
/// | closes | when two of three probes succeed, each within 30 s | [`Probes`] |
/// | slow calls | are none | what is slow is known to its caller only |
///
/// ```
/// use palisade_breaker::{Policy, Probes, Trip};
/// use palisade_core::{Backoff, Jitter};
/// use std::time::Duration;
///
/// let policy = Policy::new(Trip::rate(0.3).min(50))
///     .with_open(Backoff::constant(Duration::from_secs(2)).with_jitter(Jitter::Upward))
///     .with_probes(Probes::new(1).lease(Duration::from_secs(5)));
/// assert_ne!(policy, Trip::rate(0.3).min(50).into());
/// assert_eq!(Policy::default(), Trip::default().into());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    pub(crate) trip: Trip,
    pub(crate) open: Backoff,
    pub(crate) probes: Probes,
    pub(crate) decay: Duration,
}

/// With its jitter, which is within the maximum, it is 5 to 7.5 seconds at first and 40 to 60 at last.
const OPEN: Backoff =
    Backoff::new(Duration::from_secs(5), Duration::from_secs(60)).with_jitter(Jitter::Upward);

const DECAY: Duration = Duration::from_secs(30);

impl Policy {
    /// Opens by this trip, with defaults for everything else.
    #[must_use]
    pub fn new(trip: Trip) -> Self {
        Self { trip, open: OPEN, probes: Probes::default(), decay: DECAY }
    }

    /// Opens by this trip instead.
    #[must_use]
    pub fn with_trip(self, trip: Trip) -> Self {
        Self { trip, ..self }
    }

    /// How long the circuit is open, before it is probed: the first time, the second in short order, and
    /// so on.
    ///
    /// [Full](Jitter::Full) jitter, the default of a `Backoff`, is for what may as well be tried again at
    /// once. A circuit would be open for next to no time, so here it is read as [`Jitter::Equal`].
    #[must_use]
    pub fn with_open(self, open: Backoff) -> Self {
        let full = open.jitter() == Jitter::Full;
        Self { open: if full { open.with_jitter(Jitter::Equal) } else { open }, ..self }
    }

    /// How it is found out that all is well again.
    #[must_use]
    pub fn with_probes(self, probes: Probes) -> Self {
        Self { probes, ..self }
    }

    /// For each such time that the circuit was closed, it is open for as long as one opening earlier.
    ///
    /// If one success began anew, an upstream that comes and goes would never be left alone for long.
    /// Envoy's outlier detection (and gRFC A50 with it) takes one opening back for each of its intervals
    /// in health. Zero begins anew each time that the circuit closes.
    #[must_use]
    pub fn with_decay(self, decay: Duration) -> Self {
        Self { decay, ..self }
    }

    /// What opens the circuit.
    #[must_use]
    pub const fn trip(&self) -> Trip {
        self.trip
    }

    /// How long it is open.
    #[must_use]
    pub const fn open(&self) -> Backoff {
        self.open
    }

    /// How it is probed.
    #[must_use]
    pub const fn probes(&self) -> Probes {
        self.probes
    }

    /// Outliving this, a call that nobody waits for any more counts as a failure: the threshold of
    /// [slow](Trip::slow) calls, or else the lease of a probe.
    pub(crate) fn patience(&self) -> Duration {
        self.trip.slow.map_or(self.probes.lease, |(threshold, _)| threshold)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new(Trip::default())
    }
}

impl From<Trip> for Policy {
    fn from(trip: Trip) -> Self {
        Self::new(trip)
    }
}
