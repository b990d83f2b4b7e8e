use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroU128,
    ops::Range,
};

use http::{HeaderName, HeaderValue};

use crate::Head;

/// The 128 bits by which a refusal is found again in the log.
///
/// A request that carries an identity gives it to its refusal: the trace id of a
/// [W3C `traceparent`](https://www.w3.org/TR/trace-context/#traceparent-header), else an
/// `x-request-id` that is a UUID. Any other refusal gets a random version-4 UUID. Shown as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(NonZeroU128);

impl Id {
    /// A new random id, in the form of a version-4 UUID (RFC 9562 §5.4).
    #[must_use]
    pub fn random() -> Self {
        // The standard library seeds its hasher from the operating system: two keyed hashes are
        // 128 bits that no client can foresee, without a dependency.
        let half = || u128::from(RandomState::new().hash_one(()));
        let bits = half() << 64 | half();
        let (version, variant) = (0xf << 76, 0b11 << 62);
        Self(VERSION_4 | bits & !version & !variant | 0b10 << 62)
    }

    /// The id that the request carries, if it carries one.
    #[must_use]
    pub fn of(head: Head<'_>) -> Option<Self> {
        let headers = head.headers();
        Self::in_headers(headers.get(&TRACEPARENT), headers.get(&X_REQUEST_ID))
    }

    /// The same for a layer that has come across the two headers by itself.
    #[must_use]
    pub fn in_headers(
        traceparent: Option<&HeaderValue>,
        x_request_id: Option<&HeaderValue>,
    ) -> Option<Self> {
        let trace = traceparent.and_then(|value| trace_id(value.as_bytes().trim_ascii()));
        trace.or_else(|| uuid(x_request_id?.as_bytes().trim_ascii())).map(Self)
    }

    /// The id as a number.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0.get()
    }
}

const VERSION_4: NonZeroU128 = NonZeroU128::new(4 << 76).expect("it is not zero");

// Made once: to look a header up by its text is to parse the text.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// `version "-" trace-id "-" parent-id "-" flags`, in lower-case hexadecimal; later versions than
/// 00 may append fields.
fn trace_id(traceparent: &[u8]) -> Option<NonZeroU128> {
    let (known, more) = traceparent.split_at_checked(55)?;
    let field = |field| number(known, &[field]);
    let (version, parent, _flags) = (field(0..2)?, field(36..52)?, field(53..55)?);
    let well_formed = [2, 35, 52].iter().all(|&at| known[at] == b'-')
        && !known.iter().any(u8::is_ascii_uppercase)
        && version != 0xff
        && parent != 0
        && (more.is_empty() || version != 0 && more[0] == b'-');
    let trace = number(known, &[3..19, 19..35])?;
    NonZeroU128::new(trace).filter(|_| well_formed)
}

/// 32 hexadecimal digits, alone or with a UUID's dashes.
fn uuid(text: &[u8]) -> Option<NonZeroU128> {
    let id = match text.len() {
        32 => number(text, &[0..16, 16..32]),
        36 if [8, 13, 18, 23].iter().all(|&at| text[at] == b'-') => {
            number(text, &[0..8, 9..13, 14..18, 19..23, 24..36])
        }
        _ => None,
    };
    id.and_then(NonZeroU128::new)
}

/// The number whose hexadecimal digits, in either case, are in these fields of `text`, each of 16 at
/// most.
///
/// By a table: this is done for requests that nobody refuses, and the processor guesses a branch
/// on what kind of digit comes next wrong as often as right.
fn number(text: &[u8], fields: &[Range<usize>]) -> Option<u128> {
    let mut number = 0;
    for field in fields {
        let (mut part, mut seen) = (0_u64, 0);
        for &byte in &text[field.clone()] {
            let digit = DIGITS[usize::from(byte)];
            (part, seen) = (part << 4 | u64::from(digit), seen | digit);
        }
        if seen >= NO_DIGIT {
            return None;
        }
        number = number << (4 * field.len()) | u128::from(part);
    }
    Some(number)
}

/// What each byte is worth as a hexadecimal digit.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value as usize] as usize] = value;
        digits[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

const NO_DIGIT: u8 = 16;

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = |shift: u32, digits: u32| (self.0.get() >> shift) & ((1 << (4 * digits)) - 1);
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            field(96, 8),
            field(80, 4),
            field(64, 4),
            field(48, 4),
            field(0, 12)
        )
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn id_of(headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Id::of(Head::of(&request.body(()).unwrap())).map(|id| id.to_string())
    }

    #[test]
    fn a_trace_id_comes_before_a_request_id() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let request = "9D8C7B6A-0000-4000-8000-0123456789AB";
        let from_trace = Some("4bf92f35-77b3-4da6-a3ce-929d0e0e4736".to_owned());
        let from_request = Some("9d8c7b6a-0000-4000-8000-0123456789ab".to_owned());
        assert_eq!(id_of(&[("traceparent", trace), ("x-request-id", request)]), from_trace);
        assert_eq!(id_of(&[("traceparent", "garbled"), ("x-request-id", request)]), from_request);
        let plain = "9d8c7b6a000040008000\u{30}123456789ab";
        assert_eq!(id_of(&[("x-request-id", plain)]), from_request);
    }

    #[test]
    fn what_is_not_an_id_is_none() {
        assert_eq!(id_of(&[]), None);
        for traceparent in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01", // all zero is invalid
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", // upper case is invalid
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", // no such version
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", // version 00 has 4 fields
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(id_of(&[("traceparent", traceparent)]), None, "{traceparent}");
        }
        for request_id in ["42", "", "+d8c7b6a000040008000123456789abc", "9d8c7b6a-0000-4000-8000"]
        {
            assert_eq!(id_of(&[("x-request-id", request_id)]), None, "{request_id}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes";
        assert!(id_of(&[("traceparent", later)]).is_some());
    }

    #[test]
    fn random_ids_are_version_4_uuids_and_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| Id::random()).collect();
        assert_eq!(ids.len(), 1000);
        for id in ids {
            let text = id.to_string();
            assert_eq!((text.len(), &text[14..15]), (36, "4"), "{text}");
            assert!("89ab".contains(&text[19..20]), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_header_values_never_panic(value in proptest::collection::vec(32..=255_u8, 0..70)) {
            let value = HeaderValue::from_bytes(&value);
            prop_assume!(value.is_ok());
            let value = value.unwrap();
            let request = Request::get("/").header("traceparent", &value).header("x-request-id", &value);
            let _ = Id::of(Head::of(&request.body(()).unwrap()));
        }

        #[test]
        fn a_trace_id_is_read_as_field_by_field(
            version in "[0-9a-f]{2}|00|FF|ff",
            trace in "[0-9a-f]{32}|0{32}|[0-9a-fA-F]{31,33}",
            parent in "[0-9a-f]{16}|0{16}|[0-9a-g]{16}",
            flags in "[0-9a-f]{2}|[0-9A-F]{1,3}",
            more in "|-|-x|x",
        ) {
            let lower_hex = |field: &str, digits| {
                field.len() == digits && field.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
            };
            let valid = lower_hex(&version, 2)
                && version != "ff"
                && lower_hex(&trace, 32)
                && lower_hex(&parent, 16)
                && parent != "0".repeat(16)
                && lower_hex(&flags, 2)
                && (more.is_empty() || version != "00" && more.starts_with('-'));
            let expected = u128::from_str_radix(&trace, 16).ok().and_then(NonZeroU128::new);
            let expected = expected.filter(|_| valid).map(|bits| Id(bits).to_string());
            let traceparent = format!("{version}-{trace}-{parent}-{flags}{more}");
            prop_assert_eq!(id_of(&[("traceparent", &traceparent)]), expected);
        }

        #[test]
        fn a_uuid_is_read_back_as_shown(bits: NonZeroU128) {
            let shown = Id(bits).to_string();
            prop_assert_eq!(id_of(&[("x-request-id", &shown)]), Some(shown));
        }
    }
}
