use std::{error::Error, fmt, num::NonZeroU32, time::Duration};

mod text;

/// How much is allowed: so many in an interval, and so many at once.
///
/// A bucket holds up to `burst` tokens and is full at first; `limit` tokens flow in during each
/// interval, evenly. Unless set by [`with_burst`](Self::with_burst), the burst is the limit.
///
/// All constructors are `const`, so that a quota that cannot be is a compile error:
///
/// ```
/// use palisade_limit_rate::Quota;
/// use std::{num::NonZeroU32, time::Duration};
///
/// const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// const SEARCH: Quota = Quota::per_second(TEN);
/// const EXPORT: Quota = Quota::new(TEN, Duration::from_secs(86_400)).with_burst(NonZeroU32::MIN);
///
/// // From text, as in a settings file.
/// let login: Quota = "5000/h burst 200".parse()?;
/// assert_eq!(login.limit().get(), 5000);
/// assert_eq!(login.to_string(), "5000/h burst 200");
/// assert_eq!(EXPORT.to_string(), "10/d burst 1");
/// # Ok::<_, palisade_limit_rate::InvalidQuota>(())
/// ```
///
/// # Exactness
///
/// A token takes a whole number of nanoseconds, rounded up: never too fast, and below a million a
/// second at most a thousandth too slow. More than a billion a second are a billion a second.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    limit: NonZeroU32,
    burst: NonZeroU32,
    /// In nanoseconds.
    interval: u64,
    /// In how many nanoseconds a token flows in. Kept, because a division costs as much as a lookup.
    token: u64,
}

/// In nanoseconds.
const SHORTEST: u128 = Duration::from_millis(1).as_nanos();
const LONGEST: u128 = Duration::from_secs(366 * 86_400).as_nanos();

/// How long filling an empty bucket may take, in nanoseconds: 36 years. With the collector's
/// patience, which has the same bound, this is what the words of a table can hold.
pub(crate) const LONGEST_FILL: u64 = 1 << 60;

/// What is wrong with a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Interval(Duration),
    Burst(NonZeroU32),
    Text(String),
}

impl Quota {
    /// So many a second.
    #[must_use]
    pub const fn per_second(limit: NonZeroU32) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// So many a minute.
    #[must_use]
    pub const fn per_minute(limit: NonZeroU32) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    /// So many an hour.
    #[must_use]
    pub const fn per_hour(limit: NonZeroU32) -> Self {
        Self::new(limit, Duration::from_secs(3600))
    }

    /// So many in each interval. For intervals that come in at run time there is
    /// [`try_new`](Self::try_new).
    ///
    /// # Panics
    ///
    /// When the interval is shorter than a millisecond or longer than 366 days. In a `const` that is
    /// a compile error.
    #[must_use]
    pub const fn new(limit: NonZeroU32, interval: Duration) -> Self {
        match Self::checked(limit, interval) {
            Some(quota) => quota,
            None => panic!("the interval of a quota is between a millisecond and 366 days"),
        }
    }

    /// So many in each interval.
    ///
    /// # Errors
    ///
    /// When the interval is shorter than a millisecond or longer than 366 days.
    pub fn try_new(limit: NonZeroU32, interval: Duration) -> Result<Self, InvalidQuota> {
        Self::checked(limit, interval).ok_or(InvalidQuota(Fault::Interval(interval)))
    }

    #[allow(clippy::cast_possible_truncation, reason = "it was compared with the longest")]
    #[allow(clippy::cast_lossless, reason = "`From` is not const")]
    const fn checked(limit: NonZeroU32, interval: Duration) -> Option<Self> {
        let nanos = interval.as_nanos();
        if nanos < SHORTEST || nanos > LONGEST {
            return None;
        }
        let token = (nanos as u64).div_ceil(limit.get() as u64);
        Some(Self { limit, burst: limit, interval: nanos as u64, token })
    }

    /// So many at once, from a bucket that nobody drew from for long enough.
    ///
    /// # Panics
    ///
    /// When the bucket would take more than 36 years to fill. In a `const` that is a compile error.
    #[must_use]
    pub const fn with_burst(self, burst: NonZeroU32) -> Self {
        match self.checked_burst(burst) {
            Some(quota) => quota,
            None => panic!("a bucket fills in 36 years or less"),
        }
    }

    /// So many at once, from a bucket that nobody drew from for long enough.
    ///
    /// # Errors
    ///
    /// When the bucket would take more than 36 years to fill.
    pub fn try_with_burst(self, burst: NonZeroU32) -> Result<Self, InvalidQuota> {
        self.checked_burst(burst).ok_or(InvalidQuota(Fault::Burst(burst)))
    }

    #[allow(clippy::cast_lossless, reason = "`From` is not const")]
    const fn checked_burst(self, burst: NonZeroU32) -> Option<Self> {
        match self.token.checked_mul(burst.get() as u64) {
            Some(0..=LONGEST_FILL) => Some(Self { burst, ..self }),
            _ => None,
        }
    }

    /// How many tokens flow in during an interval.
    #[must_use]
    pub const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// How many tokens a full bucket holds.
    #[must_use]
    pub const fn burst(&self) -> NonZeroU32 {
        self.burst
    }

    /// The interval.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// In three words, for a cell that is written while it is read.
    pub(crate) fn words(self) -> [u64; 3] {
        let Self { limit, burst, interval, token } = self;
        [u64::from(limit.get()) << 32 | u64::from(burst.get()), interval, token]
    }

    /// Of what [`words`](Self::words) made.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
    pub(crate) fn from_words([rates, interval, token]: [u64; 3]) -> Self {
        let half = |half: u64| NonZeroU32::new(half as u32).unwrap_or(NonZeroU32::MIN);
        Self { limit: half(rates >> 32), burst: half(rates), interval, token }
    }

    /// In how many nanoseconds a token flows in.
    #[inline]
    pub(crate) const fn token_nanos(&self) -> u64 {
        self.token
    }

    /// In how many nanoseconds an empty bucket fills. At most [`LONGEST_FILL`].
    #[inline]
    #[allow(clippy::cast_lossless, reason = "`From` is not const")]
    pub(crate) const fn fill_nanos(&self) -> u64 {
        self.token * self.burst.get() as u64
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quota({self})")
    }
}

/// This is no quota: the text cannot be read, or its values are out of bounds.
///
/// Shown as one line that names the value and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidQuota(Fault);

impl fmt::Display for InvalidQuota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Interval(interval) => write!(
                f,
                "{interval:?} is no interval for a quota: it is between a millisecond and 366 days"
            ),
            Fault::Burst(burst) => write!(
                f,
                "{burst} is no burst for this quota: the bucket would take more than 36 years to fill"
            ),
            Fault::Text(text) => write!(
                f,
                "{text:?} is no quota: write a number, a slash and an interval (ns, us, ms, s, min, h \
                 or d), and perhaps a burst, as in 100/s, 20/min, 3/250ms, 1/d or 5000/h burst 200"
            ),
        }
    }
}

impl Error for InvalidQuota {}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
