use http::HeaderName;
use palisade_core::Head;

use crate::ExtractKey;

/// The client is who a header says: an API key, a tenant, a session.
///
/// The key is the header's value as bytes, without whitespace around it. A header that is absent or
/// empty, or longer than [`MAX_BYTES`](Self::MAX_BYTES), is no key.
///
/// Of a header that is repeated the first value is the key, since `HeaderMap::get` gives handlers the
/// first: who is let in by one value is counted by the same. A service that reads another one, or all of
/// them, must refuse repeated headers before it asks who is calling.
///
/// Clients write headers as they please. A value that nobody has checked yet tells friends apart, and
/// lets an attacker be somebody else each time.
///
/// ```
/// use http::{HeaderName, Request};
/// use palisade_key::{ExtractKey, Head, HeaderKey};
///
/// let tenant = HeaderKey::new(HeaderName::from_static("x-tenant"));
///
/// let request = Request::get("/").header("X-Tenant", "blue").body(()).unwrap();
/// tenant.with(Head::of(&request), |key| assert_eq!(key, Some(&b"blue"[..])));
/// ```
#[derive(Clone, Debug)]
pub struct HeaderKey(HeaderName);

impl HeaderKey {
    /// The longest value that is a key: as much as HTTP/2 servers take of headers in all unless told
    /// otherwise. Stores that keep keys are bounded in their number, and so in memory.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The key is this header's value.
    #[must_use]
    pub const fn new(name: HeaderName) -> Self {
        Self(name)
    }
}

impl ExtractKey for HeaderKey {
    type Key = [u8];

    #[inline]
    fn with<R>(&self, head: Head<'_>, f: impl FnOnce(Option<&[u8]>) -> R) -> R {
        let value = head.headers().get(&self.0).map(|value| value.as_bytes().trim_ascii());
        f(value.filter(|value| matches!(value.len(), 1..=Self::MAX_BYTES)))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Request};

    use super::*;

    fn key_of(values: &[&[u8]]) -> Option<Vec<u8>> {
        let mut request = Request::new(());
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append("x-api-key", value);
        }
        let header = HeaderKey::new(HeaderName::from_static("x-api-key"));
        header.with(Head::of(&request), |key| key.map(<[u8]>::to_owned))
    }

    #[test]
    fn the_value_is_the_key_as_it_stands() {
        assert_eq!(key_of(&[b"Blue"]), Some(b"Blue".to_vec()));
        assert_eq!(key_of(&[b"\xff\xfe"]), Some(b"\xff\xfe".to_vec()));
    }

    #[test]
    fn a_header_that_is_absent_or_empty_is_no_key() {
        assert_eq!(key_of(&[]), None);
        assert_eq!(key_of(&[b""]), None);
        assert_eq!(key_of(&[b" \t"]), None);
    }

    #[test]
    fn whitespace_around_a_value_makes_no_other_client() {
        // HTTP/1 takes it away, HTTP/2 hands it on.
        assert_eq!(key_of(&[b"\t blue "]), key_of(&[b"blue"]));
    }

    #[test]
    fn repeating_a_header_makes_no_other_client() {
        assert_eq!(key_of(&[b"blue", b"red"]), key_of(&[b"blue"]));
        assert_eq!(key_of(&[b"", b"blue"]), None);
    }

    #[test]
    fn a_value_over_the_bound_is_no_key() {
        let longest = vec![b'k'; HeaderKey::MAX_BYTES];
        assert_eq!(key_of(&[&longest]), Some(longest));
        assert_eq!(key_of(&[&vec![b'k'; HeaderKey::MAX_BYTES + 1]]), None);
    }
}
