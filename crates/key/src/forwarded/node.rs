use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address of an entry: alone, or with a port.
pub(super) fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok()?;
    if let Some(text) = text.strip_prefix('[') {
        let (v6, port) = text.split_once(']')?;
        let well_formed = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return if well_formed { v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6) } else { None };
    }
    let v4 = |text: &str| text.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    match text.split_once(':') {
        None => v4(text),
        Some((text, port)) if is_port(port) => v4(text),
        Some(_) => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
    }
}

/// Digits, or a name that hides them (RFC 7239 §6).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(is_of_hidden),
        None => matches!(text.len(), 1..=5) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

const fn is_of_hidden(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// What the parameter `for` of a `Forwarded` element says (RFC 7239 §4), without its quotes.
///
/// Where a value is not quoted it may have what only quotes allow, such as the `:` before a port:
/// proxies write that.
pub(super) fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    let mut found = None;
    let mut rest = Some(element);
    while let Some(pairs) = rest {
        let pair;
        (pair, rest) = split_pair(pairs);
        let pair = pair.trim_ascii();
        if pair.is_empty() {
            continue;
        }
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..])?);
        if !name.iter().copied().all(is_of_token) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
    found
}

/// The first pair, and what is behind its `;` if there is one.
fn split_pair(pairs: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in pairs.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b';' if !quoted => return (&pairs[..at], Some(&pairs[at + 1..])),
            _ => {}
        }
    }
    (pairs, None)
}

/// A value without its quotes, but with its escapes: addresses have none, so one that has is none.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let Some(text) = value.strip_prefix(b"\"") else {
        return (!value.contains(&b'"')).then_some(value);
    };
    let text = text.strip_suffix(b"\"")?;
    let mut escaped = false;
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return None,
            _ => {}
        }
    }
    (!escaped).then_some(text)
}

/// RFC 9110 §5.6.2.
const fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-')
        || matches!(byte, b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_with_and_without_ports() {
        for (entry, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("192.0.2.1:_hidden", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:65535", "2001:db8::1"),
            ("[2001:db8::1]:_a.b-c_d", "2001:db8::1"),
        ] {
            assert_eq!(address(entry.as_bytes()), expected.parse().ok(), "{entry}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for entry in [
            "",
            "unknown",
            "_hidden",
            "localhost",
            "192.0.2",
            "192.0.2.256",
            "192.0.02.1",
            "192.0.2.1:",
            "192.0.2.1:http",
            "192.0.2.1:123456",
            "192.0.2.1:_",
            "192.0.2.1:_a b",
            "192.0.2.1:80:80",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "[2001:db8::1]:x",
            "[fe80::1%eth0]",
            "fe80::1%1",
            "[]",
            "[",
            "]",
            ":",
            "\"192.0.2.1\"",
            "192.0.2.1 192.0.2.2",
            "192.0.2.1\\",
        ] {
            assert_eq!(address(entry.as_bytes()), None, "{entry}");
        }
        assert_eq!(address(b"192.0.2.1\xff"), None);
    }

    #[test]
    fn elements_tell_whom_they_are_for() {
        for (element, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"[2001:db8::1]:4711\"", "[2001:db8::1]:4711"),
            ("by=203.0.113.43; FOR=192.0.2.1 ;proto=https", "192.0.2.1"),
            ("host=\"a,b;for=1.2.3.4\\\"\";for=192.0.2.1;;", "192.0.2.1"),
            ("for=[2001:db8::1]:80;host=a:80", "[2001:db8::1]:80"),
            ("for=unknown", "unknown"),
            ("for=\"\"", ""),
            ("host=;for=_x", "_x"),
        ] {
            assert_eq!(forwarded_for(element.as_bytes()), Some(expected.as_bytes()), "{element}");
        }
    }

    #[test]
    fn elements_that_are_not_well_formed_are_for_nobody() {
        for element in [
            "",
            ";",
            "192.0.2.1",
            "by=192.0.2.1",
            "for",
            "for=1.1.1.1;for=1.1.1.1",
            "for=\"1.1.1.1",
            "for=1.1.1.1\"",
            "for=\"1.1.1.1\\\"",
            "for=\"1.1.1.1\"x",
            "for=\"1.1\"1.1\"",
            "for=\"",
            "f or=1.1.1.1",
            "for =1.1.1.1",
            "for=1.1.1.1;x",
            "for=1.1.1.1;\"=x",
            "for=1.1.1.1;x=a\"b\"",
        ] {
            assert_eq!(forwarded_for(element.as_bytes()), None, "{element}");
        }
    }
}
