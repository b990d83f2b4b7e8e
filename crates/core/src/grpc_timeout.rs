use std::{fmt::Write, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};

/// How long the caller of a gRPC method waits, as `grpc-timeout` says it: the
/// [gRPC wire format](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) has one to eight digits
/// and a unit, and nothing else.
///
/// ```
/// use http::HeaderMap;
/// use palisade_core::GrpcTimeout;
/// use std::time::Duration;
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(GrpcTimeout::of(&headers), None);
/// GrpcTimeout::insert(Duration::from_millis(1_500), &mut headers);
/// assert_eq!(headers["grpc-timeout"], "1500000u");
/// assert_eq!(GrpcTimeout::of(&headers), Some(Duration::from_millis(1_500)));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum GrpcTimeout {}

const SECOND: u64 = 1_000_000_000;

/// gRPC's units of time and their nanoseconds, the finest first.
const UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', SECOND),
    (b'M', 60 * SECOND),
    (b'H', 3600 * SECOND),
];

/// More are not allowed.
const DIGITS: usize = 8;

impl GrpcTimeout {
    /// The name of the header.
    pub const NAME: HeaderName = HeaderName::from_static("grpc-timeout");

    /// The time among `headers`, if there is one that can be read.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Duration> {
        if headers.is_empty() { None } else { Self::read(headers.get(Self::NAME)?) }
    }

    /// Reads the header's value; `None` if it is none.
    #[must_use]
    pub fn read(value: &HeaderValue) -> Option<Duration> {
        let (unit, digits) = value.as_bytes().split_last()?;
        if digits.is_empty() || digits.len() > DIGITS {
            return None;
        }
        let (_, nanos) = UNITS.iter().find(|(letter, _)| letter == unit)?;
        let append = |number: u64, digit: &u8| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        };
        let number = digits.iter().try_fold(0, append)?;
        // 99999999H is more than 2⁶⁴ nanoseconds.
        Some(match nanos / SECOND {
            0 => Duration::from_nanos(number * nanos),
            seconds => Duration::from_secs(number * seconds),
        })
    }

    /// Says how much time is left, in place of what was said.
    ///
    /// In the finest unit for which eight digits suffice, rounded down, so that the next hop is never told
    /// of more time than there is.
    ///
    /// # Panics
    ///
    /// Never but where a header map does: at 32,768 headers.
    pub fn insert(left: Duration, headers: &mut HeaderMap) {
        let fits = |(_, nanos): &&(u8, u64)| left.as_nanos() / u128::from(*nanos) < 100_000_000;
        let (unit, number) = match UNITS.iter().find(fits) {
            Some((unit, nanos)) => (*unit, left.as_nanos() / u128::from(*nanos)),
            None => (b'H', 99_999_999),
        };
        let mut text = String::with_capacity(DIGITS + 1);
        // Into a string it always succeeds, and digits and a letter are a header's value.
        if write!(text, "{number}{}", char::from(unit)).is_ok()
            && let Ok(value) = HeaderValue::try_from(text)
        {
            headers.insert(Self::NAME, value);
        }
    }
}

#[cfg(test)]
mod tests;
