use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroU128,
};

use http::HeaderName;

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
    #[inline]
    #[must_use]
    pub fn of(head: Head<'_>) -> Option<Self> {
        if head.headers().is_empty() { None } else { Self::in_headers(head) }
    }

    fn in_headers(head: Head<'_>) -> Option<Self> {
        let text = |name| head.headers().get(name).and_then(|value| value.to_str().ok());
        let trace = text(&TRACEPARENT).and_then(trace_id);
        trace.or_else(|| text(&X_REQUEST_ID).and_then(uuid)).map(Self)
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
fn trace_id(traceparent: &str) -> Option<NonZeroU128> {
    let mut fields = traceparent.trim().split('-');
    let version = fields.next()?;
    let trace = fields.next()?;
    let (parent, flags) = (fields.next()?, fields.next()?);
    let lower_hex = |field: &str, digits| field.len() == digits && field.bytes().all(is_lower_hex);
    let well_formed = lower_hex(version, 2)
        && version != "ff"
        && lower_hex(trace, 32)
        && lower_hex(parent, 16)
        && parent != "0000000000000000"
        && lower_hex(flags, 2)
        && (version != "00" || fields.next().is_none());
    let id = if well_formed { u128::from_str_radix(trace, 16).ok()? } else { 0 };
    NonZeroU128::new(id)
}

/// 32 hexadecimal digits, alone or with a UUID's dashes.
fn uuid(text: &str) -> Option<NonZeroU128> {
    let text = text.trim();
    let dashed = text.len() == 36 && [8, 13, 18, 23].iter().all(|&at| text.as_bytes()[at] == b'-');
    if !dashed && text.len() != 32 {
        return None;
    }
    let is_dash = |at| dashed && [8, 13, 18, 23].contains(&at);
    let digits = text.chars().enumerate().filter(|&(at, _)| !is_dash(at));
    // Digit by digit, since a string without the dashes would be one allocation for each request
    // that a layer looks at before it knows whether it will refuse it.
    let id = digits
        .map(|(_, digit)| digit.to_digit(16))
        .try_fold(0, |id, digit| Some(id << 4 | u128::from(digit?)));
    id.and_then(NonZeroU128::new)
}

const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

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
            let value = http::HeaderValue::from_bytes(&value);
            prop_assume!(value.is_ok());
            let value = value.unwrap();
            let request = Request::get("/").header("traceparent", &value).header("x-request-id", &value);
            let _ = Id::of(Head::of(&request.body(()).unwrap()));
        }

        #[test]
        fn a_uuid_is_read_back_as_shown(bits: NonZeroU128) {
            let shown = Id(bits).to_string();
            prop_assert_eq!(id_of(&[("x-request-id", &shown)]), Some(shown));
        }
    }
}
