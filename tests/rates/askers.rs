//! Who is asking, where somebody would rather be somebody else.

use std::net::{Ipv4Addr, Ipv6Addr};

use futures_util::future::join_all;

use super::{Served, fields::is_problem, let_in};

pub(crate) async fn each_address_has_a_bucket_of_its_own(served: Served) {
    for last in 1..=4 {
        let (client, again) = (served.client_from(last).await, served.client_from(last).await);
        assert_eq!(let_in(&client, 3, &[]).await, 3);
        assert_eq!(let_in(&again, 4, &[]).await, 2);
    }
    assert_eq!((served.buckets.refused(), served.buckets.len()), (8, 4));
}

/// Of a listener for both, which is told of IPv4 addresses in IPv6 form: all of one /64.
pub(crate) async fn ipv4_clients_of_an_ipv6_listener_share_nothing(served: Served) {
    for last in 1..=3 {
        let client = served.client_to(Ipv4Addr::new(127, 0, 0, last).into()).await;
        assert_eq!(let_in(&client, 6, &[]).await, 5, "127.0.0.{last}");
    }
    let client = served.client_to(Ipv6Addr::LOCALHOST.into()).await;
    assert_eq!(let_in(&client, 6, &[]).await, 5);
    assert_eq!(served.buckets.len(), 4);
    for known in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1"] {
        assert_eq!(served.buckets.get(&known.parse().unwrap()).remaining(), 0, "{known}");
    }
}

/// What proxies write, and what somebody writes who is none.
const HOPS: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

pub(crate) async fn who_claims_to_be_somebody_else_is_not_believed(served: Served) {
    let client = served.client_from(9).await;
    let mut admitted = 0;
    for other in 0..20 {
        let (plain, quoted) = (format!("192.0.2.{other}"), format!("for=192.0.2.{other}"));
        let claims = HOPS.map(|name| (name, if name == "forwarded" { &*quoted } else { &*plain }));
        admitted += let_in(&client, 1, &claims).await;
    }
    assert_eq!((admitted, served.buckets.len()), (5, 1));
    // Nor is anybody made to pay for it.
    assert_eq!(served.buckets.get(&"192.0.2.1".parse().unwrap()).remaining(), 5);
}

/// Though there are some who would be.
pub(crate) async fn who_is_no_proxy_of_ours_is_not_believed(served: Served) {
    who_claims_to_be_somebody_else_is_not_believed(served).await;
}

/// A proxy at 127.0.0.7, which is trusted as all of 127.0.0.0/8 is, and what it hands on.
pub(crate) async fn each_client_of_a_trusted_proxy_has_its_bucket(served: Served) {
    let hops = join_all([7, 8].map(|last| served.client_from(last))).await;
    let field = |value: &'static str| [("x-forwarded-for", value)];
    for client in ["192.0.2.1", "192.0.2.2:4711", "2001:db8::1", "::ffff:192.0.2.3"] {
        assert_eq!(let_in(&hops[0], 3, &field(client)).await, 3, "{client}");
        // The same by another way.
        assert_eq!(let_in(&hops[1], 4, &field(client)).await, 2, "{client}");
    }
    // A neighbour has the same network, in which addresses are free.
    assert_eq!(let_in(&hops[0], 1, &field("2001:db8::2")).await, 0);
    assert_eq!(let_in(&hops[0], 1, &field("192.0.2.3")).await, 0);
    // What the client itself wrote stands left of it; so does a proxy's that is not trusted.
    for spoofed in ["203.0.113.1, 192.0.2.1", "127.0.0.1, 192.0.2.1, 127.0.0.9", ",,,, 192.0.2.1"] {
        assert_eq!(let_in(&hops[0], 1, &field(spoofed)).await, 0, "{spoofed}");
    }
    let lines = [("x-forwarded-for", "203.0.113.1"), ("x-forwarded-for", "192.0.2.1")];
    assert_eq!(let_in(&hops[0], 1, &lines).await, 0);
    assert_eq!(served.buckets.len(), 4);
}

/// The walk ends at the trusted proxy that wrote it, whoever stands left of it.
pub(crate) async fn garbage_counts_for_the_proxy_that_handed_it_on(served: Served) {
    let proxy = served.client_from(7).await;
    let mut admitted = 0;
    for garbage in [
        "192.0.2.1, unknown",
        "192.0.2.2, _hidden",
        "192.0.2.3,",
        "192.0.2.4, 192.0.2",
        "192.0.2.5, 999.0.0.1",
        "192.0.2.6, [::1",
        "192.0.2.7, \"192.0.2.8\"",
        "192.0.2.8, 192.0.2.9 192.0.2.10",
        "192.0.2.9, ' OR 1=1 --",
        "",
    ] {
        admitted += let_in(&proxy, 1, &[("x-forwarded-for", garbage)]).await;
    }
    assert_eq!(admitted, 5);
    // More than is read: as many entries as one likes, and all of them of trusted proxies.
    let long = format!("192.0.2.1{}", ", 127.0.0.8".repeat(40));
    let before = served.buckets.len();
    assert_eq!(let_in(&proxy, 6, &[("x-forwarded-for", &long)]).await, 5);
    assert_eq!(served.buckets.len(), before + 1);
    let key = "127.0.0.8".parse().unwrap();
    assert_eq!(served.buckets.get(&key).remaining(), 0);
}

/// By a server that does not tell its peers' addresses: one bucket for all, and no error.
pub(crate) async fn without_addresses_all_share_one_bucket(served: Served) {
    let (one, other) = (served.client_from(1).await, served.client_from(2).await);
    assert_eq!(let_in(&one, 4, &[]).await + let_in(&other, 4, &[]).await, 5);
    assert_eq!((served.buckets.refused(), served.buckets.keyless()), (3, 0));
}

pub(crate) async fn without_an_address_a_request_is_rejected_where_that_is_asked_for(
    served: Served,
) {
    let client = served.client().await;
    for keyless in 1..=2 {
        let refused = client.read("/hello").await.unwrap();
        is_problem(&refused, 400, "key-missing");
        for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
            assert!(!refused.headers().contains_key(name), "{name}");
        }
        assert_eq!((served.buckets.keyless(), served.buckets.refused()), (keyless, 0));
    }
}

pub(crate) async fn without_an_address_a_request_passes_where_that_is_asked_for(served: Served) {
    assert_eq!(let_in(&served.client().await, 20, &[]).await, 20);
    assert!(served.buckets.is_empty());
}
