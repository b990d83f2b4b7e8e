use http::{HeaderValue, Request};
use proptest::prelude::*;

use super::*;

fn key_of(authority: Authority, uri: &str, host: &[&[u8]]) -> Option<String> {
    let mut request = Request::get(uri).body(()).unwrap();
    for host in host {
        request.headers_mut().append(HOST, HeaderValue::from_bytes(host).unwrap());
    }
    authority.with(Head::of(&request), |key| key.map(str::to_owned))
}

fn by_host(host: &str) -> Option<String> {
    key_of(Authority::new(), "/", &[host.as_bytes()])
}

#[test]
fn the_uris_authority_comes_before_the_host_header() {
    let both = key_of(Authority::new(), "http://one.example/", &[b"two.example"]);
    assert_eq!(both.as_deref(), Some("one.example"));
    let host = key_of(Authority::new(), "/", &[b"two.example"]);
    assert_eq!(host.as_deref(), Some("two.example"));
    assert_eq!(key_of(Authority::new(), "/", &[]), None);
    let repeated = key_of(Authority::new(), "/", &[b"two.example", b"three.example"]);
    assert_eq!(repeated.as_deref(), Some("two.example"));
}

#[test]
fn what_means_the_same_is_one_key() {
    for same in [
        "example.com",
        "EXAMPLE.com",
        "Example.Com:",
        "example.com.",
        "example.com:80",
        "example.com:443",
        "example.com.:0443",
        "user:secret@example.com",
        "a@b@EXAMPLE.COM:80",
    ] {
        assert_eq!(by_host(same).as_deref(), Some("example.com"), "{same}");
    }
    for same in ["example.com:8080", "EXAMPLE.com:8080", "example.com.:08080", "u@example.com:8080"]
    {
        assert_eq!(by_host(same).as_deref(), Some("example.com:8080"), "{same}");
    }
    assert_eq!(by_host("[2001:DB8::1]:443").as_deref(), Some("[2001:db8::1]"));
    assert_eq!(by_host("[2001:db8::1]:8443").as_deref(), Some("[2001:db8::1]:8443"));
    assert_eq!(by_host("example.com:0").as_deref(), Some("example.com:0"));
    assert_eq!(by_host("example.com:65535").as_deref(), Some("example.com:65535"));
}

#[test]
fn a_port_is_left_out_if_it_is_the_schemes_own() {
    for (uri, expected) in [
        ("http://a:80/", "a"),
        ("http://a:443/", "a:443"),
        ("https://a:443/", "a"),
        ("https://a:80/", "a:80"),
        ("other://a:80/", "a:80"),
        ("http://A:08080/", "a:8080"),
    ] {
        assert_eq!(key_of(Authority::new(), uri, &[]).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn a_server_may_leave_out_every_port() {
    for port in ["", ":", ":80", ":8080", ":65535"] {
        let host = format!("Example.com{port}");
        let key = key_of(Authority::new().without_port(), "/", &[host.as_bytes()]);
        assert_eq!(key.as_deref(), Some("example.com"), "{host}");
    }
}

#[test]
fn what_is_no_authority_is_no_key() {
    for wrong in [
        "",
        ".",
        ":80",
        "user@",
        "a b",
        "a/b",
        "a\\b",
        "a?b",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]x:80",
        "[]extra",
        "a..",
        "..",
        "a:b",
        "a:80:80",
        "a:+80",
        "a:65536",
        "a:-1",
        "2001:db8::1",
        "a]:80",
        "x[::1]:80",
    ] {
        assert_eq!(by_host(wrong), None, "{wrong:?}");
    }
    assert_eq!(key_of(Authority::new(), "/", &[b"ex\xe4mple.com"]), None);
}

#[test]
fn a_host_over_the_bound_is_no_key() {
    let longest = "h".repeat(Authority::MAX_BYTES);
    assert_eq!(by_host(&longest), Some(longest.clone()));
    assert_eq!(by_host(&format!("{longest}:65535")), Some(format!("{longest}:65535")));
    let respelled = format!("{}:65535", longest.to_uppercase());
    assert_eq!(by_host(&respelled), Some(format!("{longest}:65535")));
    assert_eq!(by_host(&format!("{longest}h")), None);
}

proptest! {
    #[test]
    fn arbitrary_hosts_never_panic_and_keys_are_in_one_spelling(
        host in proptest::collection::vec(prop_oneof![
            proptest::sample::select(b"aA.:@[]%08".to_vec()), 32..=255_u8,
        ], 0..300),
    ) {
        let value = HeaderValue::from_bytes(&host);
        prop_assume!(value.is_ok());
        if let Some(key) = key_of(Authority::new(), "/", &[&host]) {
            prop_assert!(!key.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'@'));
            prop_assert_eq!(by_host(&key), Some(key));
        }
    }
}
