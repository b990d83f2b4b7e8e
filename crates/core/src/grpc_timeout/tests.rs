#![allow(clippy::unwrap_used, reason = "a test")]

use proptest::prelude::*;

use super::*;

fn grpc(text: &str) -> Option<Duration> {
    GrpcTimeout::read(&text.parse().unwrap())
}

fn written(left: Duration) -> HeaderValue {
    let mut headers = HeaderMap::new();
    GrpcTimeout::insert(left, &mut headers);
    headers[GrpcTimeout::NAME].clone()
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
        assert_eq!(GrpcTimeout::read(&value), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            let _ = GrpcTimeout::read(&value);
        }
    }

    #[test]
    fn what_is_written_for_grpc_is_valid_and_never_more(
        seconds in prop_oneof![0_u64..200, any::<u64>()],
        nanos in 0_u32..1_000_000_000,
    ) {
        let left = Duration::new(seconds, nanos);
        let read = GrpcTimeout::read(&written(left)).unwrap();
        prop_assert!(read <= left);
        // To a 100,000th, or what 8 digits can say.
        let most = Duration::from_secs(99_999_999 * 3600);
        prop_assert!(left > most || left.saturating_sub(read) <= left / 100_000);
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
