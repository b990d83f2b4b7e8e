//! How much time is left, as headers say it.

use std::{fmt::Write, time::Duration};

use http::HeaderValue;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Reads a time for people: a number, perhaps with a fraction, and a unit: `ms`, `s`, `m` or `h`;
/// without a unit it is in seconds.
pub(crate) fn parse_time(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit {
        "ms" => MILLI,
        "" | "s" => SECOND,
        "m" => 60 * SECOND,
        "h" => 3600 * SECOND,
        _ => return None,
    };
    let (before, after) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((before, after)) => (before, after),
        None => (number, ""),
    };
    let mut nanos = u128::from(whole(before.as_bytes())?) * u128::from(unit);
    let mut tenth = u128::from(unit);
    for digit in after.chars() {
        tenth /= 10;
        nanos += u128::from(digit.to_digit(10)?) * tenth;
    }
    let (seconds, nanos) = (nanos / u128::from(SECOND), nanos % u128::from(SECOND));
    Some(Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?))
}

/// Writes a time in seconds, to the microsecond and rounded down.
pub(crate) fn format_time(left: Duration) -> HeaderValue {
    let mut text = String::with_capacity(16);
    write!(text, "{}.{:06}", left.as_secs(), left.subsec_micros())
        .expect("a String takes all that is written to it");
    HeaderValue::try_from(text).expect("digits and a point are a header's value")
}

/// A whole number of one digit at least, and of nothing but digits.
fn whole(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    if is_number { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> HeaderValue {
        text.parse().unwrap()
    }

    fn time(text: &str) -> Option<Duration> {
        parse_time(&value(text))
    }

    #[test]
    fn times_have_a_fraction_and_a_unit_if_they_like() {
        for (text, expected) in [
            ("2", Duration::from_secs(2)),
            ("1.5", Duration::from_millis(1500)),
            ("0.0000000019", Duration::from_nanos(1)),
            ("250ms", Duration::from_millis(250)),
            ("0.5ms", Duration::from_micros(500)),
            (" 2s ", Duration::from_secs(2)),
            ("1.5m", Duration::from_secs(90)),
            ("1h", Duration::from_secs(3600)),
            ("0", Duration::ZERO),
            ("18446744073709551615", Duration::from_secs(u64::MAX)),
        ] {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        for text in [
            "",
            ".",
            "s",
            "1.",
            ".5",
            "1..5",
            "1.5.2",
            "+1",
            "-1",
            "1 s",
            "1S",
            "1us",
            "1d",
            "inf",
            "NaN",
            "1e3",
            "1,5",
            "18446744073709551616",
            "18446744073709551615m",
            "1m30s",
        ] {
            assert_eq!(time(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let _ = parse_time(&value);
            }
        }

        #[test]
        fn what_is_written_in_seconds_is_read_back_and_never_more(
            seconds: u64,
            nanos in 0_u32..1_000_000_000,
        ) {
            let left = Duration::new(seconds, nanos);
            let read = parse_time(&format_time(left)).unwrap();
            prop_assert_eq!(read, Duration::new(seconds, nanos / 1000 * 1000));
        }
    }
}
