//! limit-rate under axum, over real sockets.
//!
//! axum applies a layer to each route, and `axum::serve` again for each connection.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rates;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use axum::{Router, extract::Request, routing::any};
use http::{HeaderMap, HeaderName, StatusCode, Version};
use palisade::{
    key::{ClientNet, ExtractKey, ForwardedIp, HeaderKey, Missing, PeerIp},
    limit_rate::{Buckets, LimitRateLayer, RateLimitHeaders, TableStore},
};
use palisade_testkit::sockets::{Client, Server};
use rates::{
    FEW, Fields, PATHS, Served, all_scenarios, answer, hello, is_refusal, let_in, quota, read,
    scenarios,
};
use tokio::{runtime::Builder, time::Instant};
use tower::ServiceBuilder;

type Layer = LimitRateLayer<PeerIp>;

fn peer() -> PeerIp {
    PeerIp::new()
}

fn forwarded(by: &str) -> ForwardedIp {
    ForwardedIp::try_trusting([by]).unwrap()
}

fn router() -> Router {
    let answer = async |request: Request| answer(request).await;
    PATHS.iter().fold(Router::new(), |app, path| app.route(path, any(answer)))
}

fn try_served<K>(ip: IpAddr, layer: &LimitRateLayer<K>, version: Version) -> io::Result<Served>
where
    K: ExtractKey<Key = ClientNet> + Send + Sync + 'static,
{
    let buckets = layer.handle();
    let app = router().layer(layer.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let server = Server::try_start_on(ip, |listener| async { axum::serve(listener, app).await })?;
    Ok(Served { server, buckets, version })
}

fn served<K>(layer: &LimitRateLayer<K>, version: Version) -> Served
where
    K: ExtractKey<Key = ClientNet> + Send + Sync + 'static,
{
    try_served(Ipv4Addr::LOCALHOST.into(), layer, version).unwrap()
}

/// Without connect info.
fn keyless(layer: &Layer, version: Version) -> Served {
    let buckets = layer.handle();
    Served { server: Server::axum(router().layer(layer.clone())), buckets, version }
}

all_scenarios!();

#[tokio::test]
async fn what_no_route_is_for_counts_too() {
    for version in rates::BOTH {
        let served = served(&few(), version);
        let client = served.client().await;
        for _ in 0..5 {
            assert_eq!(client.read("/nowhere").await.unwrap().status(), 404);
        }
        is_refusal(&client.read("/nowhere").await.unwrap());
    }
}

fn account() -> HeaderKey {
    HeaderKey::new(HeaderName::from_static("x-account"))
}

#[tokio::test]
async fn servers_that_share_a_layer_share_its_buckets() {
    let layer = LimitRateLayer::new(quota(FEW), account());
    let servers = [(); 2].map(|()| Server::axum(router().layer(layer.clone())));
    let mut admitted = 0;
    for call in 0..8 {
        let client = Client::connect(&servers[call % 2], rates::BOTH[call / 2 % 2]).await;
        admitted += let_in(&client, 1, &[("x-account", "ann")]).await;
    }
    assert_eq!((admitted, layer.handle().refused()), (5, 3));
}

/// Somebody who has been refused, and tries to be forgotten by being many.
#[tokio::test]
async fn a_flood_of_names_frees_nobody() {
    let store = TableStore::new().with_capacity(64);
    let layer = LimitRateLayer::new(quota(FEW), account()).with_store(store);
    let buckets = layer.handle();
    let server = Server::axum(router().layer(layer));
    let client = Client::connect(&server, Version::HTTP_2).await;
    let mallory = [("x-account", "mallory")];
    assert_eq!(let_in(&client, 6, &mallory).await, 5);
    let memory = buckets.store().memory();
    for name in 0..2000 {
        let_in(&client, 1, &[("x-account", &name.to_string())]).await;
    }
    assert!(buckets.store().evicted_live() > 1000);
    assert!(buckets.len() <= memory / 8 && buckets.store().memory() == memory);
    assert_eq!(let_in(&client, 5, &mallory).await, 0);
}

/// Those that are longer than any key are the same as none.
#[tokio::test]
async fn long_names_are_told_apart_to_their_end() {
    for version in rates::BOTH {
        let layer = LimitRateLayer::new(quota(FEW), account());
        let buckets = layer.handle();
        let server = Server::axum(router().layer(layer));
        let client = Client::connect(&server, version).await;
        let long = "x".repeat(8 << 10);
        for end in ["ann", "ben"] {
            assert_eq!(let_in(&client, 6, &[("x-account", &(long.clone() + end))]).await, 5);
        }
        assert_eq!(buckets.len(), 2);
        if version == Version::HTTP_11 {
            let mut admitted = 0;
            for name in 0..7 {
                let name = format!("{}{name}", long.repeat(3));
                admitted += let_in(&client, 1, &[("x-account", &name)]).await;
            }
            assert_eq!((admitted, let_in(&client, 1, &[]).await), (5, 0));
        }
        assert_eq!(buckets.len(), 2);
    }
}

/// All but those who owe something.
async fn only_one_is_left(client: &Client, buckets: &Buckets<[u8]>) {
    let begun = Instant::now();
    while buckets.len() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{} are left", buckets.len());
        // Who comes by and is refused adds nothing.
        assert_eq!(let_in(client, 1, &[("x-account", "mallory")]).await, 0);
    }
}

/// As in a program that makes its app before it starts its runtimes, one after the other.
#[test]
fn the_collector_works_in_whatever_runtime_there_is() {
    let store = TableStore::new()
        .with_ttl(Duration::from_millis(1))
        .with_sweep_interval(Duration::from_millis(100));
    let layer = LimitRateLayer::new(quota("1/s"), account()).with_store(store);
    let (buckets, app) = (layer.handle(), router().layer(layer));
    buckets.set(b"mallory", quota(FEW), None).unwrap();
    let clients = Builder::new_current_thread().enable_all().build().unwrap();
    clients.block_on(async {
        for round in 0..3 {
            let server = Server::axum(app.clone());
            let client = Client::connect(&server, rates::BOTH[round % 2]).await;
            let admitted = let_in(&client, 6, &[("x-account", "mallory")]).await;
            assert_eq!(admitted, if round == 0 { 5 } else { 0 });
            let mut most = 0;
            for other in 0..30 {
                let account = format!("{round}/{other}");
                assert_eq!(let_in(&client, 1, &[("x-account", &account)]).await, 1);
                most = most.max(buckets.len());
            }
            assert!(most > 1, "nobody was remembered");
            only_one_is_left(&client, &buckets).await;
        }
    });
    assert_eq!(buckets.store().evicted_live(), 0);
}

/// Who guesses is stopped after three, and who knows the word asks as often as they like, until then.
#[tokio::test]
async fn only_failures_to_log_in_are_charged() {
    let log_in = async |headers: HeaderMap| match headers.get("x-password") {
        Some(word) if word == "sesame" => StatusCode::OK,
        _ => StatusCode::UNAUTHORIZED,
    };
    for version in rates::BOTH {
        let layer = LimitRateLayer::new(quota("3/h"), account())
            .charge_when(|answer| answer.status == StatusCode::UNAUTHORIZED)
            .with_headers(RateLimitHeaders::Draft);
        let buckets = layer.handle();
        let server = Server::axum(Router::new().route("/hello", any(log_in)).layer(layer));
        let client = Client::connect(&server, version).await;
        let ask = async |account: &str, word: &str| {
            read(&client, hello(&[("x-account", account), ("x-password", word)])).await
        };
        for _ in 0..9 {
            assert_eq!(ask("ann", "sesame").await.status(), 200);
        }
        for (word, left) in [("guess", 2), ("sesame", 2), ("guess", 1), ("guess", 0)] {
            let answer = ask("ann", word).await;
            assert_eq!(answer.status(), if word == "sesame" { 200 } else { 401 });
            assert_eq!(Fields::of(answer.headers()).remaining, left);
        }
        // The right word comes too late, of one whose account it is as well.
        let told = is_refusal(&ask("ann", "sesame").await);
        assert!((1100..=1200).contains(&told.retry_after.unwrap()), "{told:?}");
        assert_eq!(ask("ben", "sesame").await.status(), 200);
        assert_eq!((buckets.refused(), buckets.get(b"ben").remaining()), (1, 3));
    }
}

/// First by address, then by account: each says of its refusals how its own bucket stands.
#[tokio::test]
async fn of_two_limits_the_one_that_refuses_is_told() {
    let by_account = LimitRateLayer::new(quota("2/h"), account());
    let by_peer = few().with_headers(RateLimitHeaders::Draft);
    let app = router().layer(ServiceBuilder::new().layer(by_peer).layer(by_account));
    let server = Server::start(|listener| async {
        axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
    });
    let client = Client::connect(&server, Version::HTTP_2).await;
    for account in ["ann", "ann"] {
        assert_eq!(let_in(&client, 1, &[("x-account", account)]).await, 1);
    }
    let refused = is_refusal(&read(&client, hello(&[("x-account", "ann")])).await);
    assert_eq!((refused.quota, refused.remaining), (2, 0));
    assert_eq!(let_in(&client, 3, &[("x-account", "ben")]).await, 2);
    // Now the address is the one.
    let refused = is_refusal(&read(&client, hello(&[("x-account", "cem")])).await);
    assert_eq!((refused.quota, refused.remaining), (5, 0));
}
