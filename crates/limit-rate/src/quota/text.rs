//! Quotas as people write them: `100/s`, `5000/h burst 200`, `3/250ms`.

use std::{fmt, str::FromStr, time::Duration};

use super::{Fault, InvalidQuota, Quota};

/// The units of an interval in nanoseconds, the longest first.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a limit, a slash and an interval, and perhaps a burst.
///
/// The interval is a unit (`ns`, `us`, `ms`, `s`, `min`, `h`, `d`) or a number of them; spaces are
/// free around the slash.
///
/// ```
/// use palisade_limit_rate::Quota;
///
/// for text in ["100/s", "20/min", "3/250ms", "1/d", "5000/h burst 200"] {
///     assert_eq!(text.parse::<Quota>()?.to_string(), text);
/// }
/// let error = "fast".parse::<Quota>().unwrap_err();
/// assert!(error.to_string().starts_with("\"fast\" is no quota: write a number, a slash and"));
/// # Ok::<_, palisade_limit_rate::InvalidQuota>(())
/// ```
impl FromStr for Quota {
    type Err = InvalidQuota;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unreadable = || InvalidQuota(Fault::Text(text.to_owned()));
        let (limit, rest) = text.split_once('/').ok_or_else(unreadable)?;
        let limit = number(limit.trim()).ok_or_else(unreadable)?;
        let mut words = rest.split_whitespace();
        let interval = words.next().and_then(interval).ok_or_else(unreadable)?;
        let quota = Self::try_new(limit, interval)?;
        match (words.next(), words.next().and_then(number), words.next()) {
            (None, ..) => Ok(quota),
            (Some("burst"), Some(burst), None) => quota.try_with_burst(burst),
            _ => Err(unreadable()),
        }
    }
}

/// Digits and nothing else: `u32` would read "+5" too.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn interval(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count: u64 = if count.is_empty() { 1 } else { number(count)? };
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_nanos(count.checked_mul(*nanos)?))
}

/// As it is read: in the longest unit that divides the interval, with the burst only if it differs
/// from the limit.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(_, nanos): &&(&str, u64)| self.interval.is_multiple_of(*nanos);
        let (unit, nanos) = UNITS.iter().find(divides).unwrap_or(&("ns", 1));
        write!(f, "{}/", self.limit)?;
        match self.interval / nanos {
            1 => f.write_str(unit)?,
            count => write!(f, "{count}{unit}")?,
        }
        if self.burst == self.limit {
            return Ok(());
        }
        write!(f, " burst {}", self.burst)
    }
}
