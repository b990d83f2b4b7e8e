use std::net::IpAddr;

use super::{ForwardedIp, node, trusted::Trusted};

/// How the header is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Syntax {
    /// Addresses between commas.
    List,
    /// RFC 7239.
    Forwarded,
    /// One address.
    Single,
}

/// The last entry of a line, as an address if it is one, and what is left of its comma.
pub(super) struct Last<'a> {
    address: Option<IpAddr>,
    rest: Option<&'a [u8]>,
}

/// From the peer back towards the client: the first address that is not trusted, or the last before
/// what is not an address.
pub(super) fn walk<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    last: impl Fn(&'a [u8]) -> Last<'a>,
    peer: IpAddr,
    trusted: &Trusted,
) -> IpAddr {
    let mut client = peer;
    let (mut entries, mut bytes) = (ForwardedIp::MAX_ENTRIES, ForwardedIp::MAX_BYTES);
    for line in lines.rev() {
        let beyond = line.len().saturating_sub(bytes);
        bytes -= line.len() - beyond;
        let mut unread = Some(&line[beyond..]);
        while let Some(line) = unread {
            let Last { address, rest } = last(line);
            let whole = beyond == 0 || rest.is_some();
            let (Some(address), 1.., true) = (address, entries, whole) else { return client };
            client = address.to_canonical();
            if !trusted.contains(client) {
                return client;
            }
            entries -= 1;
            unread = rest;
        }
    }
    client
}

pub(super) fn of_list(line: &[u8]) -> Last<'_> {
    let comma = line.iter().rposition(|&byte| byte == b',');
    let (rest, entry) = split(line, comma);
    Last { address: node::address(entry), rest }
}

pub(super) fn of_forwarded(line: &[u8]) -> Last<'_> {
    let (rest, element) = split(line, last_comma_outside_quotes(line));
    Last { address: node::forwarded_for(element).and_then(node::address), rest }
}

/// The address of a header that has no other.
pub(super) fn only<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Option<IpAddr> {
    match (lines.next(), lines.next()) {
        (Some(line), None) => {
            node::address(line.trim_ascii()).map(|address| address.to_canonical())
        }
        _ => None,
    }
}

fn split(line: &[u8], comma: Option<usize>) -> (Option<&[u8]>, &[u8]) {
    let (rest, entry) = match comma {
        Some(at) => (Some(&line[..at]), &line[at + 1..]),
        None => (None, line),
    };
    (rest, entry.trim_ascii())
}

/// Quotes, too, are read from the right: read from the left, one that a client leaves open would
/// swallow what proxies add behind it.
fn last_comma_outside_quotes(line: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (at, &byte) in line.iter().enumerate().rev() {
        match byte {
            b'"' => quoted = !quoted || is_escaped(&line[..at]),
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether what follows has a backslash before it that is not itself escaped.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}
