//! What extractors find, and that they find it without allocating.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::{
    borrow::Borrow,
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use allocation_counter::measure;
use http::{HeaderName, Request, header::FORWARDED};
use palisade_key::{
    Authority, ByExtension, ClientNet, ExtractKey, FindPeer, ForwardedIp, Global, Head, HeaderKey,
    PeerIp,
};

/// What a server knows of a connection.
#[derive(Clone)]
struct Connection {
    remote: Option<SocketAddr>,
}

impl Connection {
    fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }
}

fn from(remote: &str) -> Request<()> {
    let remote = Some(remote.parse().unwrap());
    Request::get("/").extension(Connection { remote }).body(()).unwrap()
}

fn net_of(peer: &impl ExtractKey<Key = ClientNet>, request: &Request<()>) -> Option<String> {
    peer.with(Head::of(request), |key| key.map(ToString::to_string))
}

/// Written down with a function pointer.
type Named = PeerIp<ByExtension<Connection, fn(&Connection) -> Option<SocketAddr>>>;

fn peer() -> Named {
    PeerIp::from_extension(Connection::remote)
}

#[test]
fn all_connections_of_a_client_have_one_key() {
    assert_eq!(net_of(&peer(), &from("192.0.2.1:4711")).as_deref(), Some("192.0.2.1"));
    assert_eq!(net_of(&peer(), &from("192.0.2.1:4712")).as_deref(), Some("192.0.2.1"));
    assert_eq!(net_of(&peer(), &from("[2001:db8::1]:1")).as_deref(), Some("2001:db8::/64"));
    assert_eq!(net_of(&peer(), &from("[2001:db8::2]:2")).as_deref(), Some("2001:db8::/64"));
}

#[test]
fn ipv4_clients_on_an_ipv6_listener_are_told_apart() {
    for peer in [peer(), peer().with_ipv6_prefix(56), peer().with_ipv6_prefix(1)] {
        for address in ["192.0.2.1", "192.0.2.2"] {
            let request = from(&format!("[::ffff:{address}]:4711"));
            assert_eq!(net_of(&peer, &request).as_deref(), Some(address));
            assert_eq!(peer.address(Head::of(&request)), address.parse().ok());
        }
    }
}

#[test]
fn a_peer_that_is_not_known_is_a_missing_key() {
    assert_eq!(net_of(&peer(), &Request::new(())), None);
    let unix = Request::get("/").extension(Connection { remote: None }).body(()).unwrap();
    assert_eq!(net_of(&peer(), &unix), None);
}

#[test]
fn an_extension_may_give_the_address_in_any_of_its_types() {
    let request = from("192.0.2.1:4711");
    let known = |connection: &Connection| connection.remote.unwrap();
    let ip = PeerIp::from_extension(move |connection: &Connection| known(connection).ip());
    let socket = PeerIp::from_extension(known);
    let some = PeerIp::from_extension(move |connection: &Connection| Some(known(connection).ip()));
    let local = PeerIp::from_extension(|_: &Connection| Ipv4Addr::new(192, 0, 2, 1));
    for found in [net_of(&ip, &request), net_of(&socket, &request), net_of(&some, &request)] {
        assert_eq!(found.as_deref(), Some("192.0.2.1"));
    }
    assert_eq!(net_of(&local, &request).as_deref(), Some("192.0.2.1"));
}

#[test]
fn a_source_of_ones_own_finds_the_peer() {
    struct Fixed;
    impl FindPeer for Fixed {
        fn find_peer(&self, _: Head<'_>) -> Option<IpAddr> {
            "::ffff:192.0.2.1".parse().ok()
        }
    }
    let request = Request::new(());
    assert_eq!(net_of(&PeerIp::from_source(Fixed), &request).as_deref(), Some("192.0.2.1"));
}

#[test]
fn prefixes_are_checked() {
    assert_eq!(
        peer().try_with_ipv6_prefix(129).unwrap_err().to_string(),
        "clients cannot be told apart by 129 bits of IPv6: choose from 1 to 128"
    );
    let whole = peer().try_with_ipv6_prefix(128).unwrap();
    assert_eq!(net_of(&whole, &from("[2001:db8::2]:2")).as_deref(), Some("2001:db8::2/128"));
}

#[test]
#[should_panic(expected = "0 bits of IPv6: choose from 1 to 128")]
fn a_prefix_of_no_bits_panics() {
    let _ = peer().with_ipv6_prefix(0);
}

#[test]
fn a_closure_is_an_extractor() {
    let by_path = |head: Head<'_>| head.uri().path().strip_prefix("/tenants/").map(str::len);
    let request = Request::get("/tenants/blue").body(()).unwrap();
    by_path.with(Head::of(&request), |key| assert_eq!(key, Some(&4)));
    by_path.with(Head::of(&Request::new(())), |key| assert_eq!(key, None));
}

#[test]
fn everybody_is_one() {
    assert!(Global.with(Head::of(&Request::new(())), |key| key == Some(&())));
}

/// As a store that keeps keys does: owned in the map, looked up as lent.
fn count<E: ExtractKey>(
    counts: &mut HashMap<<E::Key as ToOwned>::Owned, u32>,
    extractor: &E,
    request: &Request<()>,
) -> u32
where
    <E::Key as ToOwned>::Owned: std::hash::Hash + Eq + Borrow<E::Key>,
{
    extractor.with(Head::of(request), |key| {
        let key = key.unwrap();
        if !counts.contains_key(key) {
            counts.insert(key.to_owned(), 0);
        }
        let count = counts.get_mut(key).unwrap();
        *count += 1;
        *count
    })
}

#[test]
fn nothing_is_allocated_to_find_a_key_and_look_it_up() {
    fn allocates<E: ExtractKey>(extractor: &E, request: &Request<()>) -> u64
    where
        <E::Key as ToOwned>::Owned: std::hash::Hash + Eq + Borrow<E::Key>,
    {
        let mut counts = HashMap::new();
        assert_eq!(count(&mut counts, extractor, request), 1);
        measure(|| assert_eq!(count(&mut counts, extractor, request), 2)).count_total
    }
    let request = Request::get("/")
        .extension(Connection { remote: "[::ffff:10.0.0.1]:443".parse().ok() })
        .header("x-forwarded-for", "192.0.2.1, [fd00::1]:1")
        .header("x-forwarded-for", "::ffff:10.0.0.3, 10.0.0.2:80")
        .header("forwarded", "for=192.0.2.1, FOR=\"[fd00::1]:4711\";host=\"a,\\\"b\"")
        .header("x-api-key", "blue")
        .header("host", "user@API.Example.com.:08080")
        .body(())
        .unwrap();
    let forwarded =
        ForwardedIp::try_trusting(["10.0.0.0/8", "fd00::/8"]).unwrap().with_peer(peer());
    assert_eq!(net_of(&forwarded, &request).as_deref(), Some("192.0.2.1"));
    let x_real_ip = forwarded.clone().with_header(HeaderName::from_static("x-real-ip"));
    for allocated in [
        allocates(&peer(), &request),
        allocates(&forwarded, &request),
        allocates(&forwarded.with_header(FORWARDED), &request),
        allocates(&x_real_ip, &request),
        allocates(&HeaderKey::new(HeaderName::from_static("x-api-key")), &request),
        allocates(&Authority::new(), &request),
        allocates(&Global, &request),
    ] {
        assert_eq!(allocated, 0);
    }
}
