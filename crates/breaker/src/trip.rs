use std::{error::Error, fmt, time::Duration};

use crate::share::Share;

/// What opens a circuit: too many failures of many calls, in a row, or too many slow calls.
///
/// ```
/// use palisade_breaker::Trip;
/// use std::time::Duration;
///
/// const TRIP: Trip = Trip::rate(0.5)
///     .min(20)
///     .window(Duration::from_secs(10))
///     .or(Trip::consecutive(5))
///     .or(Trip::slow(Duration::from_secs(2), 0.8));
///
/// // From a settings file.
/// let error = Trip::try_rate(1.5).unwrap_err();
/// assert_eq!(error.to_string(), "1.5 is no share of calls: it is above 0 and at most 1");
/// ```
///
/// All constructors are `const`, so that a trip that cannot be is a compile error there. The default is
/// `Trip::rate(0.5).or(Trip::consecutive(5))`: in a row reacts at once to what is down, and the rate to
/// what is half broken.
///
/// # The window
///
/// Outcomes are counted in ten buckets of a tenth of the window each, as resilience4j, Polly, Envoy and
/// linkerd2 do too, and a bucket leaves the window as a whole. So a call counts for at least nine tenths
/// of the window and at most all of it. The window need not have passed for the circuit to open: it takes
/// the [minimum](Self::min) of calls, and nothing else. One window serves a circuit: of two that are
/// stated, the longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trip {
    pub(crate) rate: Option<Share>,
    pub(crate) slow: Option<(Duration, Share)>,
    pub(crate) consecutive: Option<u32>,
    window: Option<Duration>,
}

/// More cannot be counted in each window.
const MOST: u32 = 1 << 24;

/// Long enough for 20 calls of two a second, short enough to forget an outage.
const WINDOW: Duration = Duration::from_secs(10);

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(86_400);

/// What is wrong with a trip.
#[derive(Clone, Debug, PartialEq)]
enum Fault {
    Share(f64),
    Consecutive,
    Threshold(Duration),
    Min(u32),
    Window(Duration),
}

impl Trip {
    const NEVER: Self = Self { rate: None, slow: None, consecutive: None, window: None };

    /// When this share of the calls in the window failed, of at least 20 within 10 seconds unless
    /// [`min`](Self::min) and [`window`](Self::window) say otherwise. Exact to a millionth.
    ///
    /// # Panics
    ///
    /// When the share is not above 0 and at most 1. In a `const` that is a compile error.
    #[must_use]
    pub const fn rate(share: f64) -> Self {
        match Share::checked(share) {
            Some(share) => Self { rate: Some(share), ..Self::NEVER },
            None => panic!("the share of calls that opens a circuit is above 0 and at most 1"),
        }
    }

    /// When this share of the calls in the window failed.
    ///
    /// # Errors
    ///
    /// When the share is not above 0 and at most 1.
    pub fn try_rate(share: f64) -> Result<Self, InvalidTrip> {
        let checked = Share::checked(share).ok_or(InvalidTrip(Fault::Share(share)))?;
        Ok(Self { rate: Some(checked), ..Self::NEVER })
    }

    /// When so many calls failed one after another, however far apart. Answers that ask for patience,
    /// as 429, neither count here nor interrupt.
    ///
    /// # Panics
    ///
    /// When `calls` is 0. In a `const` that is a compile error.
    #[must_use]
    pub const fn consecutive(calls: u32) -> Self {
        assert!(calls > 0, "a circuit opens after at least one failure");
        Self { consecutive: Some(calls), ..Self::NEVER }
    }

    /// When so many calls failed one after another.
    ///
    /// # Errors
    ///
    /// When `calls` is 0.
    pub fn try_consecutive(calls: u32) -> Result<Self, InvalidTrip> {
        if calls == 0 { Err(InvalidTrip(Fault::Consecutive)) } else { Ok(Self::consecutive(calls)) }
    }

    /// When this share of the calls in the window took as long as `threshold` or longer, of at least 20
    /// within 10 seconds unless [`min`](Self::min) and [`window`](Self::window) say otherwise.
    ///
    /// A probe that is slow has failed. Each call takes a second look at the clock.
    ///
    /// # Panics
    ///
    /// When the threshold is zero, or the share not above 0 and at most 1. In a `const` that is a compile
    /// error.
    #[must_use]
    pub const fn slow(threshold: Duration, share: f64) -> Self {
        assert!(!threshold.is_zero(), "a call is slow after some time");
        match Share::checked(share) {
            Some(share) => Self { slow: Some((threshold, share)), ..Self::NEVER },
            None => panic!("the share of calls that opens a circuit is above 0 and at most 1"),
        }
    }

    /// When this share of the calls in the window took as long as `threshold` or longer.
    ///
    /// # Errors
    ///
    /// When the threshold is zero, or the share not above 0 and at most 1.
    pub fn try_slow(threshold: Duration, share: f64) -> Result<Self, InvalidTrip> {
        if threshold.is_zero() {
            return Err(InvalidTrip(Fault::Threshold(threshold)));
        }
        let checked = Share::checked(share).ok_or(InvalidTrip(Fault::Share(share)))?;
        Ok(Self { slow: Some((threshold, checked)), ..Self::NEVER })
    }

    /// With at least so many calls in the window, for the rates that are stated so far. 0 is as good
    /// as 1.
    ///
    /// # Panics
    ///
    /// When it is more than 16,777,216. In a `const` that is a compile error.
    #[must_use]
    pub const fn min(self, calls: u32) -> Self {
        assert!(calls <= MOST, "a circuit opens by a rate of at most 16777216 calls");
        self.with_min(calls)
    }

    /// With at least so many calls in the window, for the rates that are stated so far.
    ///
    /// # Errors
    ///
    /// When it is more than 16,777,216.
    pub fn try_min(self, calls: u32) -> Result<Self, InvalidTrip> {
        if calls > MOST { Err(InvalidTrip(Fault::Min(calls))) } else { Ok(self.with_min(calls)) }
    }

    const fn with_min(mut self, calls: u32) -> Self {
        let min = if calls == 0 { 1 } else { calls };
        if let Some(share) = &mut self.rate {
            share.min = min;
        }
        if let Some((_, share)) = &mut self.slow {
            share.min = min;
        }
        self
    }

    /// Of the calls within so long.
    ///
    /// # Panics
    ///
    /// When it is shorter than a tenth of a second or longer than a day. In a `const` that is a compile
    /// error.
    #[must_use]
    pub const fn window(self, window: Duration) -> Self {
        assert!(is_window(window), "a window is between 100 ms and a day");
        Self { window: Some(window), ..self }
    }

    /// Of the calls within so long.
    ///
    /// # Errors
    ///
    /// When it is shorter than a tenth of a second or longer than a day.
    pub fn try_window(self, window: Duration) -> Result<Self, InvalidTrip> {
        if is_window(window) {
            Ok(self.window(window))
        } else {
            Err(InvalidTrip(Fault::Window(window)))
        }
    }

    /// By this or by that, whichever comes first. Of two of one kind, by `other`'s.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            rate: if other.rate.is_some() { other.rate } else { self.rate },
            slow: if other.slow.is_some() { other.slow } else { self.slow },
            consecutive: if other.consecutive.is_some() {
                other.consecutive
            } else {
                self.consecutive
            },
            window: match (self.window, other.window) {
                (Some(one), Some(two)) if one.as_nanos() > two.as_nanos() => Some(one),
                (one, None) => one,
                (_, two) => two,
            },
        }
    }

    pub(crate) fn window_or_default(&self) -> Duration {
        self.window.unwrap_or(WINDOW)
    }
}

impl Default for Trip {
    fn default() -> Self {
        Self::rate(0.5).or(Self::consecutive(5))
    }
}

const fn is_window(window: Duration) -> bool {
    window.as_nanos() >= SHORTEST.as_nanos() && window.as_nanos() <= LONGEST.as_nanos()
}

/// This is no trip: a value is out of bounds.
///
/// Shown as one line that names the value and what is accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidTrip(Fault);

impl fmt::Display for InvalidTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Fault::Share(share) => {
                write!(f, "{share} is no share of calls: it is above 0 and at most 1")
            }
            Fault::Consecutive => f.write_str("0 failures open no circuit: at least 1 does"),
            Fault::Threshold(threshold) => {
                write!(f, "{threshold:?} makes every call slow: the threshold is longer than that")
            }
            Fault::Min(calls) => {
                write!(f, "{calls} calls are too many for a rate to wait for: at most {MOST} are")
            }
            Fault::Window(window) => {
                write!(f, "{window:?} is no window: it is between {SHORTEST:?} and a day")
            }
        }
    }
}

impl Error for InvalidTrip {}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
