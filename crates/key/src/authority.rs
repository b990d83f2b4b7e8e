use http::{Uri, header::HOST};
use palisade_core::Head;

use crate::ExtractKey;

/// Not who is asking, but whom they ask: the upstream of a client, the virtual host of a server.
///
/// The key is the authority of the request's URI (of HTTP/2 the `:authority`), else the `Host` header, of
/// which these spellings are one (RFC 3986 §6.2):
///
/// * in lower case, without userinfo and without the dot that may end a host's full name;
/// * without a port that is empty or the scheme's own: 80 of `http`, 443 of `https`, and both where the
///   scheme is not known, as in most requests that a server is sent.
///
/// Percent-escapes and the forms of an IPv6 address are left as they are written: a server that means to
/// count hosts, rather than spellings, first refuses those it does not serve.
///
/// Any other port is part of the key: on a client it makes another upstream. What a server's clients
/// write there means nothing to most servers, and would be a name for each of 65,535 buckets: there, take
/// [`without_port`](Self::without_port).
///
/// Some clients learn whom they ask only behind the layer, so that their requests have no key: to one of
/// tonic around a `Channel`, tell it with `with_origin`.
///
/// A host of more than [`MAX_BYTES`](Self::MAX_BYTES), or anything that is no authority, is no key. Of
/// repeated `Host` headers, which RFC 9112 §3.2 forbids, the first counts, as it does for handlers.
///
/// ```
/// use http::Request;
/// use palisade_key::{Authority, ExtractKey, Head};
///
/// let request = Request::get("https://API.example.com:443/").body(()).unwrap();
/// Authority::new().with(Head::of(&request), |key| assert_eq!(key, Some("api.example.com")));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Authority {
    without_port: bool,
}

impl Authority {
    /// The longest host that is a key: that of the longest name in the DNS (RFC 1035 §2.3.4).
    pub const MAX_BYTES: usize = 255;

    /// The key is the host, and the port if it is not the scheme's own.
    #[must_use]
    pub const fn new() -> Self {
        Self { without_port: false }
    }

    /// Leaves every port out of the key: for servers, which clients may ask for any.
    #[must_use]
    pub const fn without_port(self) -> Self {
        Self { without_port: true }
    }
}

impl ExtractKey for Authority {
    type Key = str;

    #[inline]
    fn with<R>(&self, head: Head<'_>, f: impl FnOnce(Option<&str>) -> R) -> R {
        let Some(mut asked) = asked(head).and_then(Asked::parse) else { return f(None) };
        if self.without_port || asked.port_is_default(head.uri()) {
            asked.port = None;
        }
        match asked.as_it_stands() {
            Some(key) => f(Some(key)),
            None => asked.respelled(f),
        }
    }
}

fn asked(head: Head<'_>) -> Option<&str> {
    let of_uri = head.uri().authority().map(http::uri::Authority::as_str);
    of_uri.or_else(|| head.headers().get(HOST)?.to_str().ok())
}

/// An authority, taken apart.
struct Asked<'a> {
    /// Host and port as they were written.
    written: &'a str,
    host: &'a str,
    /// Its digits, without zeros before them.
    port: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn parse(authority: &'a str) -> Option<Self> {
        let written = authority.rsplit_once('@').map_or(authority, |(_, written)| written);
        let (host, port) = match written.find(']') {
            Some(end) => (&written[..=end], &written[end + 1..]),
            None => written.split_at(written.find(':').unwrap_or(written.len())),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let well_formed = match host.strip_prefix('[') {
            Some(literal) => literal.strip_suffix(']').is_some_and(is_ip),
            None => host.bytes().all(is_of_name) && !host.ends_with('.'),
        };
        if !well_formed || !matches!(host.len(), 1..=Authority::MAX_BYTES) {
            return None;
        }
        let port = match port.strip_prefix(':') {
            Some(digits) => digits,
            None if port.is_empty() => port,
            None => return None,
        };
        if port.is_empty() {
            return Some(Self { written, host, port: None });
        }
        if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().is_err() {
            return None;
        }
        let zeros = port.bytes().take(port.len() - 1).take_while(|&byte| byte == b'0').count();
        Some(Self { written, host, port: Some(&port[zeros..]) })
    }

    fn port_is_default(&self, uri: &Uri) -> bool {
        match self.port {
            Some("80") => matches!(uri.scheme_str(), Some("http") | None),
            Some("443") => matches!(uri.scheme_str(), Some("https") | None),
            _ => false,
        }
    }

    /// The key, if it was written as keys are.
    fn as_it_stands(&self) -> Option<&'a str> {
        if self.host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let Some(port) = self.port else { return Some(self.host) };
        let as_written = self.written.len() == self.host.len() + 1 + port.len();
        as_written.then_some(self.written)
    }

    /// The key in a spelling of its own, which is on the stack.
    fn respelled<R>(&self, f: impl FnOnce(Option<&str>) -> R) -> R {
        let mut space = [0; Authority::MAX_BYTES + ":65535".len()];
        let mut len = 0;
        let parts = [self.host, self.port.map_or("", |_| ":"), self.port.unwrap_or_default()];
        for part in parts {
            let Some(place) = space.get_mut(len..len + part.len()) else { return f(None) };
            place.copy_from_slice(part.as_bytes());
            len += part.len();
        }
        let key = &mut space[..len];
        key.make_ascii_lowercase();
        f(str::from_utf8(key).ok())
    }
}

/// What a registered name or an IPv4 address is written in (RFC 3986 §3.2.2).
const fn is_of_name(byte: u8) -> bool {
    const NAMES: [bool; 256] = {
        let (mut names, others) = ([false; 256], b"-._~%!$&'()*+,;=");
        let mut byte = 0_u8;
        while byte < 128 {
            names[byte as usize] = byte.is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            names[others[at] as usize] = true;
            at += 1;
        }
        names
    };
    NAMES[byte as usize]
}

/// Whether this may stand between an IP literal's brackets; with `%`, before which RFC 6874 puts zones.
fn is_ip(literal: &str) -> bool {
    !literal.is_empty() && literal.bytes().all(|byte| byte == b':' || is_of_name(byte))
}

#[cfg(test)]
mod tests;
