//! The peer as axum knows it.
#![cfg(feature = "axum")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;

use axum_lean::extract::{ConnectInfo, connect_info::MockConnectInfo};
use http::Request;
use palisade_key::{ExtractKey, ForwardedIp, Head, PeerIp};

fn socket(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn the_peer_is_in_connect_info() {
    let real = Request::get("/")
        .extension(ConnectInfo(socket("192.0.2.1:1")))
        .extension(MockConnectInfo(socket("192.0.2.2:2")))
        .body(())
        .unwrap();
    PeerIp::default()
        .with(Head::of(&real), |key| assert_eq!(key.unwrap().to_string(), "192.0.2.1"));
    let mock =
        Request::get("/").extension(MockConnectInfo(socket("192.0.2.2:2"))).body(()).unwrap();
    assert_eq!(PeerIp::new().address(Head::of(&mock)), "192.0.2.2".parse().ok());
}

#[test]
fn without_connect_info_the_key_is_missing() {
    PeerIp::new().with(Head::of(&Request::new(())), |key| assert_eq!(key, None));
}

#[test]
fn proxies_are_known_by_connect_info_unless_told_otherwise() {
    let client = ForwardedIp::trusting(["10.0.0.0/8".parse().unwrap()]);
    let request = Request::get("/")
        .extension(ConnectInfo(socket("10.0.0.1:1")))
        .header("x-forwarded-for", "192.0.2.1")
        .body(())
        .unwrap();
    client.with(Head::of(&request), |key| assert_eq!(key.unwrap().to_string(), "192.0.2.1"));
}
