//! A limit on how often a client may ask.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, extract::ConnectInfo};
use governor::{clock::QuantaInstant, middleware::NoOpMiddleware};
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use palisade::{
    key::{ForwardedIp, HeaderKey, PeerIp},
    limit_rate::{ExactStore, LimitRateLayer, Quota, TableStore},
};
use tokio::time::{Instant, timeout};
use tower::{
    Layer, Service, ServiceExt,
    limit::{RateLimit, RateLimitLayer},
};
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::{GlobalKeyExtractor, KeyExtractor, PeerIpKeyExtractor, SmartIpKeyExtractor},
};
use tower_resilience_ratelimiter::{RateLimiterLayer, RateLimiterServiceError};

use crate::upstream::{Asked, HOUR, KEY, SECOND, Upstream, from, get, ready};

const ONE: NonZeroU32 = NonZeroU32::MIN;
const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// Who a header says.
#[derive(Clone, Debug)]
struct ByHeader;

impl KeyExtractor for ByHeader {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let key = request.headers().get(KEY).and_then(|key| key.to_str().ok());
        key.map(str::to_owned).ok_or(GovernorError::UnableToExtractKey)
    }
}

type Config<K> = GovernorConfig<K, NoOpMiddleware<QuantaInstant>>;
type Governor<K> = GovernorLayer<K, NoOpMiddleware<QuantaInstant>, Body>;

fn config<K: KeyExtractor>(key: K, token: Duration, burst: u32) -> Config<K> {
    let mut quota = GovernorConfigBuilder::default();
    quota.period(token).burst_size(burst).key_extractor(key).finish().unwrap()
}

fn governor<K: KeyExtractor>(key: K, token: Duration, burst: u32) -> Governor<K> {
    GovernorLayer::new(config(key, token, burst))
}

fn limit_rate(quota: Quota) -> LimitRateLayer<HeaderKey> {
    LimitRateLayer::new(quota, HeaderKey::new(KEY))
}

async fn ask<S, B>(service: &S, request: Asked) -> (u16, HeaderMap)
where
    S: Service<Asked, Response = Response<B>, Error: std::fmt::Debug> + Clone,
{
    let (head, _) = service.clone().oneshot(request).await.unwrap().into_parts();
    (head.status.as_u16(), head.headers)
}

async fn statuses<S, B>(service: S, requests: impl IntoIterator<Item = Asked>) -> Vec<u16>
where
    S: Service<Asked, Response = Response<B>, Error: std::fmt::Debug> + Clone,
{
    let mut statuses = Vec::new();
    for request in requests {
        statuses.push(ask(&service, request).await.0);
    }
    statuses
}

#[tokio::test(start_paused = true)]
async fn palisade_and_tower_governor_give_each_client_its_own_share() {
    let three = || [from("blue"), from("blue"), from("red")];
    let ours = limit_rate(Quota::new(ONE, HOUR)).layer(Upstream::hello());
    assert_eq!(statuses(ours, three()).await, [200, 429, 200]);
    let theirs = governor(ByHeader, HOUR, 1).layer(Upstream::hello());
    assert_eq!(statuses(theirs, three()).await, [200, 429, 200]);
}

#[tokio::test(start_paused = true)]
async fn over_its_rate_tower_waits_whoever_asks() {
    let mut service = RateLimitLayer::new(1, HOUR).layer(Upstream::hello());
    ready(&mut service).await.call(from("blue")).await.unwrap();
    let began = Instant::now();
    ready(&mut service).await.call(from("red")).await.unwrap();
    assert_eq!(began.elapsed(), HOUR);
}

#[tokio::test(start_paused = true)]
async fn over_its_rate_tower_resilience_waits_for_a_tenth_of_a_second_and_fails_whoever_asks() {
    let layer = RateLimiterLayer::builder().limit_for_period(1).refresh_period(HOUR);
    let service = layer.build().unwrap().layer(Upstream::hello());
    service.clone().oneshot(from("blue")).await.unwrap();
    let began = Instant::now();
    let error = service.oneshot(from("red")).await.unwrap_err();
    assert_eq!(began.elapsed(), SECOND / 10);
    assert!(matches!(error, RateLimiterServiceError::RateLimited), "of which it is a whole");
}

/// Where a token comes each half of a second.
#[tokio::test(start_paused = true)]
async fn told_to_come_back_in_half_a_second_palisade_says_1_and_tower_governor_0() {
    let ours = limit_rate(Quota::per_second(TWO).with_burst(ONE)).layer(Upstream::hello());
    ask(&ours, from("blue")).await;
    let (status, headers) = ask(&ours, from("blue")).await;
    assert_eq!((status, headers["retry-after"].as_bytes()), (429, &b"1"[..]));

    let theirs = governor(ByHeader, SECOND / 2, 1).layer(Upstream::hello());
    // It goes by the machine's clock: where the machine is busy a token may be there for the second as well.
    let (status, headers) = loop {
        let answer = ask(&theirs, from("blue")).await;
        if answer.0 != 200 {
            break answer;
        }
    };
    assert_eq!((status, headers["retry-after"].as_bytes()), (429, &b"0"[..]));
}

fn numbered(client: u32) -> Asked {
    Request::get("/").header(KEY, client.to_string()).body(Empty::new()).unwrap()
}

/// Of clients whose buckets are full again before the next one asks.
#[tokio::test(start_paused = true)]
async fn tower_governor_keeps_every_client_until_it_is_told_to_forget() {
    let config = config(ByHeader, Duration::from_nanos(1), 1);
    let limiter = Arc::clone(config.limiter());
    let service = Governor::new(config).layer(Upstream::hello());
    for client in 0..10_000 {
        assert_eq!(ask(&service, numbered(client)).await.0, 200);
    }
    assert_eq!(limiter.len(), 10_000);
    limiter.retain_recent();
    assert!(limiter.len() < 100);
}

/// Of clients that all have used their bucket up.
#[tokio::test(start_paused = true)]
async fn palisade_keeps_no_more_clients_than_it_has_room_for() {
    let store = TableStore::new().with_capacity(1000);
    let (room, memory) = (store.capacity(), store.memory());
    let layer = limit_rate(Quota::new(ONE, HOUR)).with_store(store);
    let (buckets, service) = (layer.handle(), layer.layer(Upstream::hello()));
    // A few in a million are taken for another one, which the next test is about.
    let let_in = let_in(&service).await;
    assert!(let_in > 9_990, "{let_in}");
    assert!(buckets.len() <= 2 * room, "{} of {room}", buckets.len());
    assert_eq!(buckets.store().memory(), memory);
}

/// How many of 10,000 clients find a bucket that is theirs alone.
async fn let_in<S, B>(service: &S) -> usize
where
    S: Service<Asked, Response = Response<B>, Error: std::fmt::Debug> + Clone,
{
    statuses(service.clone(), (0..10_000).map(numbered)).await.iter().filter(|&&s| s == 200).count()
}

#[tokio::test(start_paused = true)]
async fn tower_governor_takes_no_client_for_another_and_palisade_over_an_exact_store_none_either() {
    assert_eq!(let_in(&governor(ByHeader, HOUR, 1).layer(Upstream::hello())).await, 10_000);
    let exact = limit_rate(Quota::new(ONE, HOUR)).with_store(ExactStore::<Vec<u8>>::new());
    assert_eq!(let_in(&exact.layer(Upstream::hello())).await, 10_000);
}

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// From one address that is no proxy, which says that it was asked by others.
fn forged() -> [Asked; 2] {
    ["198.51.100.1", "198.51.100.2"].map(|client| {
        let request = Request::get("/").header("x-forwarded-for", client);
        request.extension(ConnectInfo(SocketAddr::new(PEER, 4711))).body(Empty::new()).unwrap()
    })
}

#[tokio::test(start_paused = true)]
async fn tower_governor_s_smart_key_believes_any_client_and_palisade_s_the_proxies_it_was_told_of()
{
    let smart = governor(SmartIpKeyExtractor, HOUR, 1).layer(Upstream::hello());
    assert_eq!(statuses(smart, forged()).await, [200, 200]);
    let key = ForwardedIp::try_trusting(["10.0.0.0/8"]).unwrap();
    let ours = LimitRateLayer::new(Quota::new(ONE, HOUR), key).layer(Upstream::hello());
    assert_eq!(statuses(ours, forged()).await, [200, 429]);
}

/// As on axum served without `into_make_service_with_connect_info`.
#[tokio::test(start_paused = true)]
async fn where_nobody_says_who_connects_tower_governor_answers_500_and_palisade_has_one_bucket() {
    let peer = governor(PeerIpKeyExtractor, HOUR, 1).layer(Upstream::hello());
    assert_eq!(statuses(peer, [get(), get()]).await, [500, 500]);
    let ours = LimitRateLayer::new(Quota::new(ONE, HOUR), PeerIp::new()).layer(Upstream::hello());
    assert_eq!(statuses(ours, [get(), get()]).await, [200, 429]);
}

/// By the hour and by the day, each a layer, or a window of one.
#[tokio::test(start_paused = true)]
async fn of_two_limits_tower_governor_s_outer_one_charges_for_what_the_inner_one_refuses() {
    let day = governor(GlobalKeyExtractor, HOUR * 24, 2);
    let hour = governor(GlobalKeyExtractor, HOUR, 1);
    let both = day.layer(hour.layer(Upstream::hello()));
    assert_eq!(statuses(both, [get(), get()]).await, [200, 429]);
    assert_eq!(statuses(day.layer(Upstream::hello()), [get()]).await, [429]);

    let ours = limit_rate(Quota::new(ONE, HOUR)).with_quota("day", Quota::new(TWO, HOUR * 24));
    let both = ours.layer(Upstream::hello());
    assert_eq!(statuses(both, [from("blue"), from("blue")]).await, [200, 429]);
    assert_eq!(ours.handle().window("day").unwrap().get(b"blue").remaining(), 1);
}

/// Whether a type can be cloned: what it says itself comes before what all types say.
struct Cloned<T>(std::marker::PhantomData<T>);

trait Otherwise {
    const CAN_BE: bool = false;
}

impl<T> Otherwise for Cloned<T> {}

impl<T: Clone> Cloned<T> {
    const CAN_BE: bool = true;
}

#[test]
fn tower_s_rate_limit_cannot_be_cloned_as_axum_wants_of_a_service() {
    let can_be = [Cloned::<Upstream>::CAN_BE, Cloned::<RateLimit<Upstream>>::CAN_BE];
    assert_eq!(can_be, [true, false]);
}

/// It has to be asked whether it is ready, and may be told that it is not, which a peer that answers need not.
#[tokio::test(start_paused = true)]
async fn while_it_waits_tower_s_rate_limit_is_not_ready() {
    let mut service = RateLimitLayer::new(1, HOUR).layer(Upstream::hello());
    ready(&mut service).await.call(get()).await.unwrap();
    assert!(timeout(SECOND, ready(&mut service)).await.is_err());
}
