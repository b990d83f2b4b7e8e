use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const ZERO: Option<RetryHint> = Some(RetryHint::After(Duration::ZERO));

/// 08:49:37 on 6 November 1994, which is when RFC 9110 was first an example.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn headers(fields: &[(&'static str, &[u8])]) -> HeaderMap {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_bytes(value).unwrap()))
        .collect()
}

fn retry_after_of(value: &str) -> Option<RetryHint> {
    RetryHint::of(&headers(&[("retry-after", value.as_bytes())]), Protocol::Http, now())
}

fn pushback_of(value: &str) -> Option<RetryHint> {
    RetryHint::of(&headers(&[("grpc-retry-pushback-ms", value.as_bytes())]), Protocol::Grpc, now())
}

#[allow(clippy::unnecessary_wraps, reason = "what is read is an option")]
fn seconds(seconds: u64) -> Option<RetryHint> {
    Some(RetryHint::After(Duration::from_secs(seconds)))
}

#[test]
fn retry_after_is_a_number_of_seconds_or_a_date() {
    for (value, expected) in [
        ("0", ZERO),
        ("120", seconds(120)),
        ("007", seconds(7)),
        ("2147483648", seconds(1 << 31)),
        ("2147483649", seconds(1 << 31)),
        ("99999999999999999999999999999999", seconds(1 << 31)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", ZERO),
        ("Sun, 06 Nov 1994 08:50:37 GMT", seconds(60)),
        ("Sunday, 06-Nov-94 08:50:37 GMT", seconds(60)),
        ("Sun Nov  6 08:50:37 1994", seconds(60)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", seconds(1 << 31)),
        // It has passed.
        ("Sun, 06 Nov 1994 08:49:36 GMT", ZERO),
        ("Thu, 01 Jan 1970 00:00:00 GMT", ZERO),
        // It is neither.
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1 ", None),
        ("1, 2", None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:50:37 CET", None),
        ("Mon, 06 Nov 1994 08:50:37 GMT", None),
        ("Sun, 31 Feb 1994 08:50:37 GMT", None),
        ("Thu, 01 Jan 1009 00:00:00 GMT", None),
    ] {
        assert_eq!(retry_after_of(value), expected, "{value:?}");
    }
}

#[test]
fn a_date_is_relative_to_the_clock_that_wrote_it() {
    let at = |date: &str, now| {
        let until = b"Sun, 06 Nov 1994 08:50:37 GMT".as_slice();
        let fields = headers(&[("retry-after", until), ("date", date.as_bytes())]);
        RetryHint::of(&fields, Protocol::Http, now)
    };
    for ours in [now(), now() + 3600 * SECOND, UNIX_EPOCH] {
        assert_eq!(at("Sun, 06 Nov 1994 08:50:27 GMT", ours), seconds(10));
    }
    assert_eq!(at("yesterday", now()), seconds(60), "where that says nothing, ours");
}

#[test]
fn pushback_is_milliseconds_or_never() {
    for (value, expected) in [
        ("0", ZERO),
        ("250", Some(RetryHint::After(SECOND / 4))),
        ("2147483647", Some(RetryHint::After(Duration::from_millis(2_147_483_647)))),
        ("2147483648", Some(RetryHint::Never)),
        ("99999999999999999999999999999999", Some(RetryHint::Never)),
        ("-1", Some(RetryHint::Never)),
        ("+1", Some(RetryHint::Never)),
        ("1.5", Some(RetryHint::Never)),
        ("later", Some(RetryHint::Never)),
        ("", Some(RetryHint::Never)),
    ] {
        assert_eq!(pushback_of(value), expected, "{value:?}");
    }
    let mut twice = headers(&[("grpc-retry-pushback-ms", b"1")]);
    twice.append("grpc-retry-pushback-ms", HeaderValue::from_static("1"));
    assert_eq!(RetryHint::of(&twice, Protocol::Grpc, now()), Some(RetryHint::Never));
}

#[test]
fn each_protocol_has_its_own_hint_and_grpc_falls_back_on_that_of_proxies() {
    let both = headers(&[("retry-after", b"7"), ("grpc-retry-pushback-ms", b"-1")]);
    assert_eq!(RetryHint::of(&both, Protocol::Http, now()), seconds(7));
    for grpc in [Protocol::Grpc, Protocol::GrpcWeb, Protocol::GrpcWebText] {
        assert_eq!(RetryHint::of(&both, grpc, now()), Some(RetryHint::Never));
    }
    let of_a_proxy = headers(&[("retry-after", b"7")]);
    assert_eq!(RetryHint::of(&of_a_proxy, Protocol::Grpc, now()), seconds(7));
    assert_eq!(RetryHint::of(&HeaderMap::new(), Protocol::Grpc, now()), None);
}

#[test]
fn what_we_say_ourselves_is_what_is_read() {
    use crate::{Reason, Rejection};
    let wait = Duration::from_millis(2500);
    let rejection = Rejection::new(Reason::new("closed"), http::StatusCode::SERVICE_UNAVAILABLE);
    let rejection = rejection.with_retry_after(wait);
    let said = |protocol| {
        let response = rejection.clone().respond(protocol);
        RetryHint::of(response.headers(), protocol, now()).and_then(RetryHint::delay)
    };
    assert_eq!(said(Protocol::Http), Some(3 * SECOND), "in whole seconds, rounded up");
    assert_eq!(said(Protocol::Grpc), Some(wait));
}

/// What a header may hold: anything, and what is nearly right.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(b'\t'), 32..127_u8, 128..=255_u8];
    prop_oneof![
        proptest::collection::vec(byte, 0..40),
        "[-+]?[0-9]{1,30}".prop_map(String::into_bytes),
        "(Mon|Sun|Sunday), [0-9]{2}[ -](Feb|Nov)[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
            .prop_map(String::into_bytes),
        "(Mon|Sun) (Feb|Nov) [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4}"
            .prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn whatever_is_read_can_be_added_to_a_clock(
        hint in value(), date in proptest::option::of(value()), now in 0..=u32::MAX,
    ) {
        let mut fields = headers(&[("retry-after", &hint), ("grpc-retry-pushback-ms", &hint)]);
        if let Some(date) = date {
            fields.insert("date", HeaderValue::from_bytes(&date).unwrap());
        }
        let now = UNIX_EPOCH + SECOND * now;
        for protocol in [Protocol::Http, Protocol::Grpc] {
            if let Some(delay) = RetryHint::of(&fields, protocol, now).and_then(RetryHint::delay) {
                prop_assert!(delay <= RetryHint::LONGEST);
                prop_assert!(now.checked_add(delay).is_some());
            }
        }
    }

    #[test]
    fn numbers_are_read_as_a_naive_reader_does(
        number in prop_oneof![0..=u128::from(u32::MAX) + 9, 0..=u128::MAX],
    ) {
        let text = number.to_string();
        let naive = u64::try_from(number).unwrap_or(u64::MAX).min(1 << 31);
        prop_assert_eq!(retry_after_of(&text), seconds(naive));
        let naive = i32::try_from(number).ok().map(i32::unsigned_abs);
        let naive = naive.map_or(RetryHint::Never, |millis| RetryHint::After(Duration::from_millis(millis.into())));
        prop_assert_eq!(pushback_of(&text), Some(naive));
    }
}
