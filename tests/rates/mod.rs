//! What rate limits must do under a real HTTP server, whichever it is.
//!
//! Who is to be refused has a quota by the hour, of which no test gets a token back; who is to be let in
//! again one by the second.

mod answers;
mod askers;
mod fields;
mod load;
mod uploads;
mod windows;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use palisade::{
    Head,
    key::ClientNet,
    limit_rate::{Buckets, Quota},
};
use palisade_testkit::sockets::{Client, Server};

pub(crate) use answers::*;
pub(crate) use askers::*;
pub(crate) use fields::{Fields, is_refusal};
pub(crate) use load::*;
pub(crate) use uploads::*;
pub(crate) use windows::*;

pub(crate) const HTTP_1: [Version; 1] = [Version::HTTP_11];
pub(crate) const HTTP_2: [Version; 1] = [Version::HTTP_2];
pub(crate) const BOTH: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Five, of which one comes back in twelve minutes.
pub(crate) const FEW: &str = "5/h";

pub(crate) const PATHS: [&str; 3] = ["/hello", "/hello/too", "/upload"];

/// What the server does for a path. Other than that, it only has the layer.
pub(crate) async fn answer<B>(request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes>,
{
    match request.uri().path() {
        "/hello" | "/hello/too" => Response::new(Body::from("hello")),
        "/upload" => {
            let mut body = std::pin::pin!(request.into_body());
            let mut read = 0;
            while let Some(Ok(frame)) = body.frame().await {
                read += frame.into_data().map_or(0, |data| data.len());
            }
            Response::new(Body::from(read.to_string()))
        }
        path => panic!("nothing is at {path}"),
    }
}

/// A server that does what [`answer`] does, under a limit by the client's address.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) buckets: Buckets<ClientNet>,
    pub(crate) version: Version,
}

impl Served {
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.server, self.version).await
    }

    /// One with another address: of 127.0.0.0/8 all are this machine's.
    pub(crate) async fn client_from(&self, last: u8) -> Client {
        let from = Ipv4Addr::new(127, 0, 0, last).into();
        Client::connect_from(from, self.server.address(), self.version).await
    }

    pub(crate) async fn client_to(&self, ip: IpAddr) -> Client {
        let server = SocketAddr::new(ip, self.server.address().port());
        let from = if ip.is_ipv4() { ip } else { "::1".parse().unwrap() };
        Client::connect_from(from, server, self.version).await
    }
}

pub(crate) fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

/// A GET with these header fields.
pub(crate) fn hello(fields: &[(&str, &str)]) -> Request<Empty<Bytes>> {
    let request = Request::get("/hello");
    let request =
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Empty::new()).unwrap()
}

pub(crate) async fn read<B>(client: &Client, request: Request<B>) -> Response<Bytes>
where
    B: http_body::Body<Data = Bytes, Error: std::error::Error + Send + Sync> + Send + 'static,
{
    let (head, body) = client.send(request).await.unwrap().into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

/// More than there ever is at once, for a path that asks for it.
pub(crate) fn cost(head: Head<'_>) -> NonZeroU32 {
    let cost = if head.uri().path() == "/upload" { 6 } else { 1 };
    NonZeroU32::new(cost).unwrap()
}

/// How many of so many requests by this client are let in. The others are refused.
pub(crate) async fn let_in(client: &Client, asked: usize, fields: &[(&str, &str)]) -> usize {
    let mut let_in = 0;
    for _ in 0..asked {
        let answer = read(client, hello(fields)).await;
        if answer.status() == 200 {
            assert_eq!(answer.into_body(), "hello");
            let_in += 1;
        } else {
            is_refusal(&answer);
        }
    }
    let_in
}

/// Tests of these scenarios: which versions, which server, under which layer.
macro_rules! scenarios {
    ($($versions:ident, $served:ident, $layer:expr => $($scenario:ident),+;)+) => {$($(
        #[tokio::test]
        async fn $scenario() {
            for version in rates::$versions {
                rates::$scenario($served(&$layer, version)).await;
            }
        }
    )+)+};
}

/// All of them, for whoever has a `peer` and a `forwarded` to key by, and a server each that does and
/// does not tell its peers' addresses: `served` and `keyless`.
macro_rules! all_scenarios {
    () => {
        fn few() -> Layer {
            LimitRateLayer::new(quota(FEW), peer())
        }

        scenarios! {
            BOTH, served, few() =>
                one_quota_is_for_all_routes_and_connections,
                what_the_handle_does_clients_see,
                each_refusal_has_an_id,
                each_address_has_a_bucket_of_its_own,
                who_claims_to_be_somebody_else_is_not_believed,
                who_gives_up_has_asked,
                who_hammers_takes_nothing_from_others,
                no_more_than_allowed_are_let_in_while_the_quota_changes,
                no_bucket_is_doubled_by_a_quota_of_another_scale;
            HTTP_1, served, few() =>
                a_pipeline_is_answered_in_its_order,
                a_refusal_to_head_says_the_length_of_the_one_to_get,
                an_upgrade_is_refused_like_any_other,
                a_small_upload_that_is_refused_leaves_its_connection_be,
                an_upload_that_is_refused_is_not_waited_for;
            HTTP_2, served, few() =>
                the_streams_of_a_connection_are_one_client,
                large_uploads_that_are_refused_leave_their_connection_be;
            BOTH, served, LimitRateLayer::new(quota("2/s burst 1"), peer()) =>
                who_waits_as_told_is_let_in;
            BOTH, served, few().with_headers(RateLimitHeaders::Draft) =>
                answers_tell_how_much_is_left;
            BOTH, served, rates::two_windows(few()) =>
                each_window_counts_and_the_binding_one_is_told_first,
                who_is_refused_by_one_window_is_charged_by_none,
                the_operator_acts_on_a_window_by_its_name;
            BOTH, served, few().with_shadow().with_headers(RateLimitHeaders::Draft) =>
                a_shadow_refuses_nobody_and_counts;
            BOTH, served, few().with_cost(rates::cost) =>
                a_cost_that_is_never_allowed_is_another_refusal;
            BOTH, served, LimitRateLayer::new(quota(FEW), forwarded("127.0.0.0/8")) =>
                each_client_of_a_trusted_proxy_has_its_bucket,
                garbage_counts_for_the_proxy_that_handed_it_on;
            BOTH, served, LimitRateLayer::new(quota(FEW), forwarded("127.0.0.1")) =>
                who_is_no_proxy_of_ours_is_not_believed;
            BOTH, keyless, few() =>
                without_addresses_all_share_one_bucket;
            BOTH, keyless, few().with_missing(Missing::Reject) =>
                without_an_address_a_request_is_rejected_where_that_is_asked_for;
            BOTH, keyless, few().with_missing(Missing::Skip) =>
                without_an_address_a_request_passes_where_that_is_asked_for;
        }

        #[tokio::test]
        async fn ipv4_clients_of_an_ipv6_listener_share_nothing() {
            for version in rates::BOTH {
                let Ok(served) = try_served(Ipv6Addr::UNSPECIFIED.into(), &few(), version) else {
                    return; // a machine without IPv6
                };
                let port = served.server.address().port();
                if std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                    return; // one whose IPv6 listeners take no IPv4 connections
                }
                rates::ipv4_clients_of_an_ipv6_listener_share_nothing(served).await;
            }
        }
    };
}

pub(crate) use {all_scenarios, scenarios};
