//! Whom a request behind proxies is from.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::net::IpAddr;

use http::{HeaderName, HeaderValue, Request, header::FORWARDED};
use palisade_key::{ExtractKey, ForwardedIp, Head, PeerIp};

const XFF: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const PROXY: &str = "10.0.0.1";

type Peer = palisade_key::ByExtension<IpAddr, fn(&IpAddr) -> IpAddr>;

fn trusting(proxies: &[&str]) -> ForwardedIp<Peer> {
    let peer: fn(&IpAddr) -> IpAddr = |peer| *peer;
    ForwardedIp::try_trusting(proxies).unwrap().with_peer(PeerIp::from_extension(peer))
}

fn request(peer: &str, header: &HeaderName, lines: &[&str]) -> Request<()> {
    let mut request = Request::new(());
    request.extensions_mut().insert(peer.parse::<IpAddr>().unwrap());
    for line in lines {
        request.headers_mut().append(header, HeaderValue::from_str(line).unwrap());
    }
    request
}

fn key_of(client: &ForwardedIp<Peer>, request: &Request<()>) -> String {
    client.with(Head::of(request), |key| key.map_or_else(String::new, ToString::to_string))
}

/// Behind proxies of 10.0.0.0/8 and `fd00::/8`, asked by 10.0.0.1.
fn by_list(lines: &[&str]) -> String {
    key_of(&trusting(&["10.0.0.0/8", "fd00::/8"]), &request(PROXY, &XFF, lines))
}

fn by_forwarded(lines: &[&str]) -> String {
    let client = trusting(&["10.0.0.0/8", "fd00::/8"]).with_header(FORWARDED);
    key_of(&client, &request(PROXY, &FORWARDED, lines))
}

fn by_real_ip(lines: &[&str]) -> String {
    let client = trusting(&["10.0.0.0/8"]).with_header(REAL_IP);
    key_of(&client, &request(PROXY, &REAL_IP, lines))
}

#[test]
fn the_last_untrusted_address_is_the_client() {
    assert_eq!(by_list(&["192.0.2.1"]), "192.0.2.1");
    assert_eq!(by_list(&["192.0.2.1, 10.0.0.3,10.0.0.2"]), "192.0.2.1");
}

#[test]
fn a_spoofed_leftmost_entry_changes_nothing() {
    for spoofed in ["198.51.100.7", "10.9.9.9", "192.0.2.1", "unknown", "\"", ",", "for=\""] {
        assert_eq!(by_list(&[&format!("{spoofed}, 192.0.2.1, 10.0.0.2")]), "192.0.2.1");
        assert_eq!(by_list(&[spoofed, "192.0.2.1, 10.0.0.2"]), "192.0.2.1");
    }
}

#[test]
fn an_untrusted_peer_is_not_believed() {
    let client = trusting(&["10.0.0.0/8"]);
    let spoofed = request("203.0.113.5", &XFF, &["192.0.2.1", "10.0.0.1"]);
    assert_eq!(key_of(&client, &spoofed), "203.0.113.5");
    let nobody_trusted = trusting(&[]);
    assert_eq!(key_of(&nobody_trusted, &request(PROXY, &XFF, &["192.0.2.1"])), PROXY);
    let (forwarded, real_ip) = (client.clone().with_header(FORWARDED), client.with_header(REAL_IP));
    let spoofed = request("203.0.113.5", &FORWARDED, &["for=192.0.2.1"]);
    assert_eq!(key_of(&forwarded, &spoofed), "203.0.113.5");
    let spoofed = request("203.0.113.5", &REAL_IP, &["192.0.2.1"]);
    assert_eq!(key_of(&real_ip, &spoofed), "203.0.113.5");
}

#[test]
fn an_unparsable_entry_hides_what_is_left_of_it() {
    for unparsable in ["unknown", "_hidden", "", "192.0.2", "[::1", "localhost", "192.0.2.1:http"] {
        let line = format!("198.51.100.7, {unparsable}, 10.0.0.2");
        assert_eq!(by_list(&[&line]), "10.0.0.2", "{line}");
        let lines = ["198.51.100.7", unparsable];
        assert_eq!(by_list(&lines), PROXY, "{lines:?}");
    }
}

#[test]
fn an_entry_with_a_port_is_an_address() {
    assert_eq!(by_list(&["198.51.100.7, 192.0.2.1:4711"]), "192.0.2.1");
    assert_eq!(by_list(&["198.51.100.7, [2001:db8::1]:4711"]), "2001:db8::/64");
    assert_eq!(
        by_list(&["192.0.2.1, 10.0.0.2:443, [fd00::2]:443, [fd00::1], fd00::"]),
        "192.0.2.1"
    );
}

#[test]
fn if_all_are_trusted_the_leftmost_is_the_client() {
    assert_eq!(by_list(&["10.0.0.4, 10.0.0.3", "10.0.0.2"]), "10.0.0.4");
    assert_eq!(by_list(&[]), PROXY);
}

#[test]
fn repeated_headers_are_one_list_in_their_order() {
    assert_eq!(by_list(&["198.51.100.7", "192.0.2.1, 10.0.0.3", "10.0.0.2"]), "192.0.2.1");
    assert_eq!(by_forwarded(&["for=198.51.100.7", "for=192.0.2.1", "for=10.0.0.2"]), "192.0.2.1");
}

#[test]
fn forwarded_is_walked_from_the_right() {
    let line = "for=198.51.100.7;proto=http, For=\"192.0.2.1:_port\";by=10.0.0.2, for=10.0.0.2";
    assert_eq!(by_forwarded(&[line]), "192.0.2.1");
    assert_eq!(by_forwarded(&["for=192.0.2.1, for=\"[fd00::1]:4711\""]), "192.0.2.1");
    assert_eq!(
        by_forwarded(&["for=\"[2001:db8::1]\";host=\"a, b; \\\" for=1.1.1.1\""]),
        "2001:db8::/64"
    );
    for hidden in
        ["for=unknown", "for=_mallory", "by=192.0.2.1", "for=1.1.1.1;for=1.1.1.1", "", "x"]
    {
        let line = format!("for=198.51.100.7, {hidden}, for=10.0.0.2");
        assert_eq!(by_forwarded(&[&line]), "10.0.0.2", "{line}");
    }
}

#[test]
fn a_quote_left_open_swallows_nothing_that_proxies_add() {
    for spoofed in ["for=\"", "for=\"198.51.100.7", "\"", "\\\"", "for=\"\\", "a=\"b\"\""] {
        assert_eq!(by_forwarded(&[&format!("{spoofed}, for=192.0.2.1")]), "192.0.2.1", "{spoofed}");
        let quoted = format!("{spoofed}, for=\"192.0.2.1:80\";host=\"\\\\\"");
        assert_eq!(by_forwarded(&[&quoted]), "192.0.2.1", "{spoofed}");
        // Behind a trusted entry it is read, and is no address.
        assert_eq!(by_forwarded(&[&format!("{spoofed}, for=10.0.0.2")]), "10.0.0.2", "{spoofed}");
    }
}

#[test]
fn one_header_is_read_and_no_other() {
    let client = trusting(&["10.0.0.0/8"]);
    let mut both = request(PROXY, &XFF, &["192.0.2.1"]);
    both.headers_mut().insert(FORWARDED, HeaderValue::from_static("for=192.0.2.2"));
    both.headers_mut().insert(REAL_IP, HeaderValue::from_static("192.0.2.3"));
    assert_eq!(key_of(&client, &both), "192.0.2.1");
    assert_eq!(key_of(&client.clone().with_header(FORWARDED), &both), "192.0.2.2");
    assert_eq!(key_of(&client.clone().with_header(REAL_IP), &both), "192.0.2.3");
    both.headers_mut().remove(XFF);
    assert_eq!(key_of(&client, &both), PROXY, "another header took its place");
}

#[test]
fn a_header_for_one_address_holds_one() {
    assert_eq!(by_real_ip(&["192.0.2.1"]), "192.0.2.1");
    assert_eq!(by_real_ip(&[" [2001:db8::1]:80 "]), "2001:db8::/64");
    assert_eq!(by_real_ip(&["10.9.9.9"]), "10.9.9.9");
    for not_one in [&["192.0.2.1, 192.0.2.2"][..], &["192.0.2.1", "192.0.2.2"], &[""], &["x"], &[]]
    {
        assert_eq!(by_real_ip(not_one), PROXY, "{not_one:?}");
    }
}

#[test]
fn mapped_addresses_are_ipv4_ones_before_anything_else() {
    for proxies in ["10.0.0.0/8", "::ffff:10.0.0.0/104"] {
        let client = trusting(&[proxies]);
        let request = request("::ffff:10.0.0.1", &XFF, &["::ffff:192.0.2.1, [::ffff:10.0.0.2]:80"]);
        assert_eq!(key_of(&client, &request), "192.0.2.1");
    }
    let single = trusting(&["10.0.0.0/8"]).with_header(REAL_IP);
    assert_eq!(key_of(&single, &request(PROXY, &REAL_IP, &["::ffff:192.0.2.1"])), "192.0.2.1");
}

#[test]
fn the_walk_ends_at_the_bound_on_entries() {
    let trusted = vec!["10.0.0.2"; ForwardedIp::MAX_ENTRIES - 1].join(",");
    assert_eq!(by_list(&[&format!("192.0.2.1,{trusted}")]), "192.0.2.1");
    assert_eq!(by_list(&[&format!("192.0.2.1,10.0.0.3,{trusted}")]), "10.0.0.3");
    assert_eq!(by_list(&["192.0.2.1", "10.0.0.3", &trusted]), "10.0.0.3");
}

#[test]
fn the_walk_ends_at_the_bound_on_bytes() {
    // With exactly as many bytes behind the comma as are considered.
    let spaces = |used: usize| " ".repeat(ForwardedIp::MAX_BYTES - used);
    let within = format!("192.0.2.1,{}10.0.0.2", spaces("192.0.2.1,10.0.0.2".len()));
    assert_eq!(by_list(&[&within]), "192.0.2.1");
    // Cut here, the entry would be another address.
    let cut = format!("192.0.2.123,{}10.0.0.2", spaces("192.0.2.12,10.0.0.2".len()));
    assert_eq!(by_list(&[&cut]), "10.0.0.2");
    let cut = format!("1{within}");
    assert_eq!(by_list(&[&cut]), "10.0.0.2");
    assert_eq!(by_list(&["192.0.2.111", &within[10..]]), "10.0.0.2", "several lines, one bound");
    let quoted = format!("for=192.0.2.1, for=10.0.0.3;x=\"{}\", for=10.0.0.2", "x".repeat(5000));
    assert_eq!(by_forwarded(&[&quoted]), "10.0.0.2");
}

#[test]
fn the_peers_grouping_holds_unless_told_otherwise() {
    let peer = || PeerIp::from_extension(|peer: &IpAddr| *peer).with_ipv6_prefix(48);
    let proxies = || ForwardedIp::try_trusting(["fd00::/8"]).unwrap();
    let request = request("fd00::1", &XFF, &["2001:db8:1:2:3::"]);
    for (client, expected) in [
        (proxies().with_peer(peer()), "2001:db8:1::/48"),
        (proxies().with_ipv6_prefix(56).with_peer(peer()), "2001:db8:1::/56"),
        (proxies().with_peer(peer()).try_with_ipv6_prefix(64).unwrap(), "2001:db8:1:2::/64"),
    ] {
        client.with(Head::of(&request), |key| assert_eq!(key.unwrap().to_string(), expected));
        assert_eq!(client.address(Head::of(&request)), "2001:db8:1:2:3::".parse().ok());
    }
    assert!(proxies().try_with_ipv6_prefix(0).is_err());
}

#[test]
fn without_a_peer_there_is_no_key_whatever_the_header_says() {
    let client = trusting(&["0.0.0.0/0", "::/0"]);
    let request = Request::get("/").header(XFF, "192.0.2.1").body(()).unwrap();
    assert_eq!(client.address(Head::of(&request)), None);
    client.with(Head::of(&request), |key| assert_eq!(key, None));
}

#[test]
fn networks_as_text_are_checked_and_the_wrong_one_is_named() {
    let error = ForwardedIp::try_trusting(["10.0.0.0/8", "10.0.0.0/33"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"10.0.0.0/33\" is no network: write 10.0.0.0/8, 2001:db8::/32 or a single address"
    );
    let _typed = ForwardedIp::trusting(["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
}
