use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use http::{HeaderName, HeaderValue};

use crate::{Decision, Quota};

/// Which header fields tell a client how it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RateLimitHeaders {
    /// None.
    #[default]
    Off,
    /// `RateLimit-Policy` and `RateLimit`, by
    /// [draft-ietf-httpapi-ratelimit-headers-11](https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/11/):
    /// lists of structured fields (RFC 9651).
    ///
    /// ```text
    /// RateLimit-Policy: "burst";q=100;w=1, "daily";q=1000;w=86400
    /// RateLimit: "burst";r=50;t=1
    /// ```
    Draft,
}

/// `ratelimit-policy`: all windows with their quotas, whoever asks.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// `ratelimit`: what is left in the windows that matter.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl RateLimitHeaders {
    /// The value of [`RATELIMIT_POLICY`] for these windows, by name. Made once, it can be sent again
    /// and again.
    ///
    /// `w` is the quota's interval in seconds. One that is no whole number of them is rounded up, and
    /// `q` raised with it, rounded down: 3 in 250 ms are told as 12 in a second. Of a name only what
    /// a structured field can hold is told: printable ASCII.
    ///
    /// ```
    /// use palisade_limit_rate::RateLimitHeaders;
    ///
    /// let windows = [("burst", "100/s".parse()?), ("daily", "1000/d".parse()?)];
    /// assert_eq!(
    ///     RateLimitHeaders::policy(windows),
    ///     r#""burst";q=100;w=1, "daily";q=1000;w=86400"#
    /// );
    /// # Ok::<_, palisade_limit_rate::InvalidQuota>(())
    /// ```
    #[must_use]
    pub fn policy<'a>(windows: impl IntoIterator<Item = (&'a str, Quota)>) -> HeaderValue {
        list(windows, |f, quota| {
            let seconds = ceil(quota.interval());
            let limit = u128::from(quota.limit().get()) * Duration::from_secs(seconds).as_nanos()
                / quota.interval().as_nanos();
            write!(f, ";q={limit};w={seconds}")
        })
    }

    /// The value of [`RATELIMIT`] for what these windows decided, by name.
    ///
    /// `r` is what is [left](Decision::remaining), and `t` the seconds until there is more, rounded
    /// up: of a refusal, until the same request will be allowed, which is never later than a
    /// `Retry-After` made of [`retry_after`](Decision::retry_after). A bucket that is full has no
    /// `t`, nor has a refusal that is for ever.
    #[must_use]
    pub fn limit<'a>(windows: impl IntoIterator<Item = (&'a str, Decision)>) -> HeaderValue {
        list(windows, |f, decision| {
            write!(f, ";r={}", decision.remaining())?;
            write_time(f, &decision)
        })
    }

    /// As [`limit`](Self::limit), of a refusal: a window that would have allowed it has no `t`, since that
    /// may be later than when to come back.
    pub(crate) fn refused<'a>(
        windows: impl IntoIterator<Item = (&'a str, Decision)>,
    ) -> HeaderValue {
        list(windows, |f, decision| {
            write!(f, ";r={}", decision.remaining())?;
            if decision.allowed() { Ok(()) } else { write_time(f, &decision) }
        })
    }
}

fn write_time(f: &mut String, decision: &Decision) -> fmt::Result {
    let more = decision.retry_after().unwrap_or_else(|| decision.more_after());
    if decision.is_never() || more.is_zero() {
        return Ok(());
    }
    write!(f, ";t={}", ceil(more))
}

/// At least one second.
fn ceil(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

/// Numbers here have 14 digits at most, and a structured field's may have 15.
fn list<'a, T>(
    windows: impl IntoIterator<Item = (&'a str, T)>,
    parameters: impl Fn(&mut String, T) -> fmt::Result,
) -> HeaderValue {
    let mut value = String::new();
    for (name, window) in windows {
        if !value.is_empty() {
            value.push_str(", ");
        }
        value.push('"');
        for letter in name.chars().filter(|letter| matches!(letter, ' '..='~')) {
            if matches!(letter, '"' | '\\') {
                value.push('\\');
            }
            value.push(letter);
        }
        value.push('"');
        // Writing to a string does not fail.
        let _ = parameters(&mut value, window);
    }
    // Printable ASCII is always a header's value.
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
