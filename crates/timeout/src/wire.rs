//! How much time is left, as headers say it.

use std::{fmt::Write, time::Duration};

use http::{HeaderName, HeaderValue};

/// The header in which gRPC sends it.
pub(crate) static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// gRPC's units of time and their nanoseconds, the finest first.
const GRPC_UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', MICRO),
    (b'm', MILLI),
    (b'S', SECOND),
    (b'M', 60 * SECOND),
    (b'H', 3600 * SECOND),
];

/// More digits gRPC does not allow.
const GRPC_DIGITS: usize = 8;

/// Reads `grpc-timeout` as the
/// [gRPC wire format](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) has it: one to
/// eight digits and a unit, nothing else.
pub(crate) fn parse_grpc(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if digits.len() > GRPC_DIGITS {
        return None;
    }
    let (_, nanos) = GRPC_UNITS.iter().find(|(letter, _)| letter == unit)?;
    let number = whole(digits)?;
    // 99999999H is more than 2⁶⁴ nanoseconds.
    Some(match nanos / SECOND {
        0 => Duration::from_nanos(number * nanos),
        seconds => Duration::from_secs(number * seconds),
    })
}

/// Writes `grpc-timeout` in the finest unit for which eight digits suffice, rounded down, so that
/// the next hop is never told of more time than there is.
pub(crate) fn format_grpc(left: Duration) -> HeaderValue {
    let fits = |(_, nanos): &&(u8, u64)| left.as_nanos() / u128::from(*nanos) < 100_000_000;
    let (unit, number) = match GRPC_UNITS.iter().find(fits) {
        Some((unit, nanos)) => (*unit, left.as_nanos() / u128::from(*nanos)),
        None => (b'H', 99_999_999),
    };
    text(|text| write!(text, "{number}{}", char::from(unit)))
}

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
    text(|text| write!(text, "{}.{:06}", left.as_secs(), left.subsec_micros()))
}

fn text(write: impl FnOnce(&mut String) -> std::fmt::Result) -> HeaderValue {
    let mut text = String::with_capacity(16);
    write(&mut text).expect("a String takes all that is written to it");
    HeaderValue::try_from(text).expect("digits and a letter are a header's value")
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

    fn grpc(text: &str) -> Option<Duration> {
        parse_grpc(&value(text))
    }

    fn time(text: &str) -> Option<Duration> {
        parse_time(&value(text))
    }

    #[test]
    fn grpc_timeouts_have_digits_and_a_unit() {
        for (text, expected) in [
            ("1n", Duration::from_nanos(1)),
            ("25u", Duration::from_micros(25)),
            ("100m", Duration::from_millis(100)),
            ("2S", Duration::from_secs(2)),
            ("3M", Duration::from_secs(180)),
            ("4H", Duration::from_secs(14_400)),
            ("0n", Duration::ZERO),
            ("00000007S", Duration::from_secs(7)),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(grpc(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn all_else_is_no_grpc_timeout() {
        for text in [
            "",
            "S",
            "1",
            "1s",
            "1 S",
            " 1S",
            "1S ",
            "+5S",
            "-5S",
            "1.5S",
            "1e3m",
            "0x1S",
            "123456789n",
            "000000001S",
            "1SS",
            "1S,2S",
            "1ms",
            "١S",
        ] {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(parse_grpc(&value), None, "{text:?}");
        }
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
                let _ = (parse_grpc(&value), parse_time(&value));
            }
        }

        #[test]
        fn what_is_written_for_grpc_is_valid_and_never_more(
            seconds in prop_oneof![0_u64..200, any::<u64>()],
            nanos in 0_u32..1_000_000_000,
        ) {
            let left = Duration::new(seconds, nanos);
            let read = parse_grpc(&format_grpc(left)).unwrap();
            prop_assert!(read <= left);
            // To a 100,000th, or what 8 digits can say.
            let most = Duration::from_secs(99_999_999 * 3600);
            prop_assert!(left > most || left.saturating_sub(read) <= left / 100_000);
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

        #[test]
        fn grpc_timeouts_are_read_as_a_naive_reader_does(
            text in "[0-9]{0,10}[numSMHs]?",
        ) {
            let expected = (|| {
                let unit = text.chars().last()?;
                let digits = &text[..text.len() - 1];
                let number: u128 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
                let nanos = match unit {
                    'n' => number,
                    'u' => number * 1_000,
                    'm' => number * 1_000_000,
                    'S' => number * 1_000_000_000,
                    'M' => number * 60_000_000_000,
                    'H' => number * 3_600_000_000_000,
                    _ => return None,
                };
                Some(nanos)
            })();
            prop_assert_eq!(grpc(&text).map(|read| read.as_nanos()), expected);
        }
    }
}
