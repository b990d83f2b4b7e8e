use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{DATE, RETRY_AFTER},
};

use crate::Protocol;

/// When a service that turned a request away wants it back.
///
/// ```
/// use http::HeaderMap;
/// use palisade_core::{Protocol, RetryHint};
/// use std::time::{Duration, SystemTime};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(RetryHint::of(&headers, Protocol::Http, SystemTime::now()), None);
///
/// headers.insert("retry-after", "120".parse().unwrap());
/// let hint = RetryHint::of(&headers, Protocol::Http, SystemTime::now());
/// assert_eq!(hint, Some(RetryHint::After(Duration::from_secs(120))));
///
/// headers.insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
/// let hint = RetryHint::of(&headers, Protocol::Grpc, SystemTime::now());
/// assert_eq!(hint, Some(RetryHint::Never));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryHint {
    /// After this time, which is at most [`LONGEST`](Self::LONGEST).
    After(Duration),
    /// Not at all. Only gRPC can say so.
    Never,
}

pub(crate) const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

impl RetryHint {
    /// What any longer time is read as: 2³¹ seconds, or 68 years, as RFC 9111 §1.2.2 has it for times
    /// in seconds. It can be added to any clock.
    pub const LONGEST: Duration = Duration::from_secs(1 << 31);

    /// The hint among `headers`, if there is one that can be read.
    ///
    /// * HTTP: `Retry-After` ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)),
    ///   in whole seconds or as a date, in the current form or one of the two old ones (§5.6.7). A
    ///   date is relative to the response's own `Date`, which comes from the same clock, and only
    ///   without one to `now`. A date that has passed is no time at all.
    /// * gRPC: `grpc-retry-pushback-ms`
    ///   ([gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)), in the head of
    ///   a trailers-only answer or in the trailers. A value that is negative, given twice or no 32-bit
    ///   number means [`Never`](Self::Never). Without one `Retry-After` counts: proxies speak no gRPC.
    ///
    /// Ask for it only where it means something: with a 429 or a 503, or a gRPC status that is not
    /// `OK`.
    #[must_use]
    pub fn of(headers: &HeaderMap, protocol: Protocol, now: SystemTime) -> Option<Self> {
        let pushback = if protocol.is_grpc() { pushback(headers) } else { None };
        pushback.or_else(|| retry_after(headers, now).map(Self::After))
    }

    /// The time to wait, if there is one.
    #[must_use]
    pub const fn delay(self) -> Option<Duration> {
        match self {
            Self::After(delay) => Some(delay),
            Self::Never => None,
        }
    }
}

fn pushback(headers: &HeaderMap) -> Option<RetryHint> {
    let mut values = headers.get_all(PUSHBACK).iter();
    let value = number(values.next()?);
    let millis = value.filter(|&millis| i32::try_from(millis).is_ok() && values.next().is_none());
    Some(millis.map_or(RetryHint::Never, |millis| RetryHint::After(Duration::from_millis(millis))))
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    let delay = if let Some(seconds) = number(value) {
        Duration::from_secs(seconds)
    } else {
        let now = headers.get(DATE).and_then(date).unwrap_or(now);
        date(value)?.duration_since(now).unwrap_or(Duration::ZERO)
    };
    Some(delay.min(RetryHint::LONGEST))
}

/// Nothing but digits, however many: what is too large is the largest.
fn number(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let append =
        |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, append))
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests;
