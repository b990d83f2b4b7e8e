//! The walk through forwarded addresses against a plain one, and against whatever bytes clients send.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Request, header::FORWARDED};
use palisade_key::{ForwardedIp, Head, PeerIp};
use proptest::prelude::*;

const XFF: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An entry as a proxy writes it, and what it means.
#[derive(Clone, Debug)]
struct Entry {
    text: String,
    address: Option<IpAddr>,
    trusted: bool,
}

fn client_of(header: &HeaderName, peer: &str, lines: &[Vec<u8>]) -> IpAddr {
    let client = ForwardedIp::try_trusting(["10.0.0.0/8", "fd00::/8"])
        .unwrap()
        .with_peer(PeerIp::from_extension(|peer: &IpAddr| *peer))
        .with_header(header.clone());
    let mut request = Request::new(());
    request.extensions_mut().insert(peer.parse::<IpAddr>().unwrap());
    for line in lines {
        request.headers_mut().append(header, HeaderValue::from_bytes(line).unwrap());
    }
    client.address(Head::of(&request)).unwrap()
}

/// All entries, from the right, until one settles it.
fn expected(peer: &str, lines: &[Vec<Entry>]) -> IpAddr {
    let mut client = peer.parse().unwrap();
    let entries: Vec<&Entry> = lines.iter().flatten().collect();
    for entry in entries.into_iter().rev().take(ForwardedIp::MAX_ENTRIES) {
        match entry.address {
            None => break,
            Some(address) => client = address,
        }
        if !entry.trusted {
            break;
        }
    }
    client
}

/// Addresses, most of them trusted so that walks are long, in all the ways they are written.
fn address() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![6 => Just(true), 1 => Just(false)];
    (kind, any::<u8>(), 0..6_u8).prop_map(|(trusted, host, form)| {
        let v4 = format!("{}.{host}", if trusted { "10.0.0" } else { "192.0.2" });
        let v6 = format!("{}::{host:x}", if trusted { "fd00" } else { "2001:db8" });
        let (text, address) = match form {
            0 => (v4.clone(), v4),
            1 => (format!("{v4}:{host}"), v4),
            2 => (format!("::ffff:{v4}"), v4),
            3 => (v6.clone(), v6),
            4 => (format!("[{v6}]"), v6),
            _ => (format!("[{v6}]:{host}"), v6),
        };
        Entry { text, address: Some(address.parse().unwrap()), trusted }
    })
}

fn garbage() -> impl Strategy<Value = Entry> {
    const TEXTS: [&str; 8] =
        ["unknown", "_x", "", "10.0.0", "10.0.0.1:", "[fd00::1", "fd00::1]:1", "1.2.3.4 5"];
    proptest::sample::select(&TEXTS[..]).prop_map(|text| Entry {
        text: text.to_owned(),
        address: None,
        trusted: false,
    })
}

fn lines_of(entry: impl Strategy<Value = Entry>) -> impl Strategy<Value = Vec<Vec<Entry>>> {
    proptest::collection::vec(proptest::collection::vec(entry, 1..14), 0..4)
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![12 => address(), 1 => garbage()]
}

/// An entry as an element of `Forwarded`, with what may stand around.
fn element() -> impl Strategy<Value = Entry> {
    (entry(), any::<bool>(), 0..5_u8).prop_map(|(entry, quoted, around)| {
        let node = if quoted { format!("\"{}\"", entry.text) } else { entry.text };
        let (text, well_formed) = match around {
            0 => (format!("for={node}"), true),
            1 => (format!("FOR={node};proto=https"), true),
            2 => (format!("host=\"a,for=1.1.1.1;\\\"\"; For={node}"), true),
            3 => (format!(";by=10.1.1.1;for={node};"), true),
            _ if entry.address.is_some() => (format!("for={node};for={node}"), false),
            _ => (format!("by={node}"), false),
        };
        Entry { text, address: entry.address.filter(|_| well_formed), ..entry }
    })
}

fn written(lines: &[Vec<Entry>], comma: &str) -> Vec<Vec<u8>> {
    let line = |entries: &Vec<Entry>| {
        let texts: Vec<_> = entries.iter().map(|entry| entry.text.as_str()).collect();
        texts.join(comma).into_bytes()
    };
    lines.iter().map(line).collect()
}

fn comma() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&[",", ", ", " ,\t"][..])
}

/// Bytes that a header may have, and more often those that mean something here.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        proptest::sample::select(b"for=10.0.0.2,;:[]\"\\ fd".to_vec()),
        any::<u8>().prop_filter("is in headers", |byte| HeaderValue::from_bytes(&[*byte]).is_ok()),
    ];
    proptest::collection::vec(byte, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn walks_a_list_as_the_plain_walk_does(lines in lines_of(entry()), comma in comma(), trusted: bool) {
        let peer = if trusted { "10.0.0.1" } else { "203.0.113.5" };
        let expected = if trusted { expected(peer, &lines) } else { peer.parse().unwrap() };
        prop_assert_eq!(client_of(&XFF, peer, &written(&lines, comma)), expected);
    }

    #[test]
    fn walks_forwarded_as_the_plain_walk_does(lines in lines_of(element()), comma in comma()) {
        let actual = client_of(&FORWARDED, "fd00::1", &written(&lines, comma));
        prop_assert_eq!(actual, expected("fd00::1", &lines));
    }

    #[test]
    fn whatever_a_client_sends_it_is_who_its_first_trusted_proxy_says(
        sent in proptest::collection::vec(bytes(), 1..3),
        same_line: bool,
    ) {
        for (header, added) in [(XFF, "192.0.2.1, 10.0.0.2"), (FORWARDED, "for=192.0.2.1, for=10.0.0.2")] {
            let mut lines = sent.clone();
            if same_line {
                lines.last_mut().unwrap().extend_from_slice(format!(", {added}").as_bytes());
            } else {
                lines.push(added.as_bytes().to_vec());
            }
            let client = client_of(&header, "10.0.0.1", &lines);
            prop_assert_eq!(client, IpAddr::from([192, 0, 2, 1]));
        }
    }

    #[test]
    fn whatever_is_left_of_garbage_is_not_believed(
        left in proptest::collection::vec(bytes(), 1..3),
        garbage in garbage(),
    ) {
        for (header, before) in [(XFF, ""), (FORWARDED, "for=")] {
            let mut lines = left.clone();
            let right = format!(", {before}{}, {before}10.0.0.2", garbage.text);
            lines.last_mut().unwrap().extend_from_slice(right.as_bytes());
            let client = client_of(&header, "10.0.0.1", &lines);
            prop_assert_eq!(client, IpAddr::from([10, 0, 0, 2]));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(lines in proptest::collection::vec(bytes(), 0..5)) {
        for header in [XFF, FORWARDED, HeaderName::from_static("x-real-ip")] {
            client_of(&header, "10.0.0.1", &lines);
        }
    }
}
