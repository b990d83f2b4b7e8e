//! One limit over all routes and connections of `axum::serve(listener, app)`, which applies a layer to each route,
//! and again for each connection.

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, error_handling::HandleErrorLayer, routing::get};
use http::StatusCode;
use palisade::{
    key::Global,
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{LimitRateLayer, Quota},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tower::{
    ServiceBuilder,
    limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
};
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor,
};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;

use crate::upstream::HOUR;

const MINUTE: Duration = Duration::from_secs(60);

/// How many are in the handlers now, and were at most, and what they wait for.
#[derive(Clone)]
struct Room {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Room {
    fn with(gate: usize) -> Self {
        let gate = Arc::new(Semaphore::new(gate));
        Self { now: Arc::default(), most: Arc::default(), gate }
    }
}

async fn enter(room: Room) {
    let now = room.now.fetch_add(1, Relaxed) + 1;
    room.most.fetch_max(now, Relaxed);
    // Others come in here, if they may.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let _ = room.gate.acquire().await.unwrap();
    room.now.fetch_sub(1, Relaxed);
}

/// Without a state: one that is set before the layer would have that applied once for each route only.
fn app(room: &Room) -> Router {
    let (here, there) = (room.clone(), room.clone());
    Router::new()
        .route("/a", get(move || enter(here.clone())))
        .route("/b", get(move || enter(there.clone())))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

/// Over a connection of its own.
async fn ask(address: SocketAddr, number: usize) -> u16 {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let path = ["/a", "/b"][number % 2];
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer["HTTP/1.1 ".len()..]["200".len() - 3..3].parse().unwrap()
}

const CLIENTS: usize = 6;

/// Of six requests over as many connections to two routes, how many are let in one after the other.
async fn let_in(app: Router) -> usize {
    let address = serve(app).await;
    let mut let_in = 0;
    for number in 0..CLIENTS {
        let_in += usize::from(ask(address, number).await == 200);
    }
    let_in
}

/// How many are in the handlers at once, where nobody is let go before all are there.
async fn all_at_once(app: Router, room: &Room) -> usize {
    let address = serve(app).await;
    let mut asked = (0..CLIENTS).map(|number| ask(address, number)).collect::<JoinSet<_>>();
    let all_are_there = async {
        while room.now.load(Relaxed) < CLIENTS {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(MINUTE, all_are_there).await.expect("all are let in");
    room.gate.add_permits(CLIENTS);
    while asked.join_next().await.is_some() {}
    room.most.load(Relaxed)
}

/// How many are in the handlers at once, where each goes when it likes.
async fn most_at_once(app: Router, room: &Room) -> usize {
    let address = serve(app).await;
    let asked = (0..CLIENTS).map(|number| ask(address, number)).collect::<JoinSet<_>>();
    asked.join_all().await;
    room.most.load(Relaxed)
}

async fn unavailable<E>(_: E) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

#[tokio::test]
async fn palisade_s_limits_are_one_over_all_routes_and_connections() {
    let room = Room::with(CLIENTS);
    let quota = Quota::new(NonZeroU32::new(2).unwrap(), HOUR);
    assert_eq!(let_in(app(&room).layer(LimitRateLayer::new(quota, Global))).await, 2);
    let room = Room::with(CLIENTS);
    assert_eq!(most_at_once(app(&room).layer(LimitConcurrencyLayer::new(1)), &room).await, 1);
}

#[tokio::test]
async fn tower_s_concurrency_limit_is_one_for_each_route_and_connection() {
    let room = Room::with(0);
    let app = app(&room).layer(ConcurrencyLimitLayer::new(1));
    assert_eq!(all_at_once(app, &room).await, CLIENTS);
}

#[tokio::test]
async fn tower_s_global_concurrency_limit_is_one_over_all() {
    let room = Room::with(CLIENTS);
    let app = app(&room).layer(GlobalConcurrencyLimitLayer::new(1));
    assert_eq!(most_at_once(app, &room).await, 1);
}

#[tokio::test]
async fn tower_governor_s_limit_is_one_over_all() {
    let mut quota = GovernorConfigBuilder::default();
    let quota = quota.period(HOUR).burst_size(2).key_extractor(GlobalKeyExtractor).finish();
    let room = Room::with(CLIENTS);
    assert_eq!(let_in(app(&room).layer(GovernorLayer::new(quota.unwrap()))).await, 2);
}

#[tokio::test]
async fn tower_resilience_s_limits_are_one_over_all_only_if_built_with_a_handle() {
    let rate = || RateLimiterLayer::builder().limit_for_period(2).refresh_period(HOUR);
    macro_rules! handled {
        ($layer:expr) => {
            ServiceBuilder::new().layer(HandleErrorLayer::new(unavailable)).layer($layer)
        };
    }
    let room = Room::with(CLIENTS);
    let built = handled!(rate().build().unwrap());
    assert_eq!(let_in(app(&room).layer(built)).await, CLIENTS);
    let built = handled!(rate().build_with_handle().unwrap().0);
    assert_eq!(let_in(app(&room).layer(built)).await, 2);

    let bulkhead = || BulkheadLayer::builder().max_concurrent_calls(1);
    let room = Room::with(0);
    let built = handled!(bulkhead().build().unwrap());
    assert_eq!(all_at_once(app(&room).layer(built), &room).await, CLIENTS);
    let room = Room::with(CLIENTS);
    let built = handled!(bulkhead().build_with_handle().unwrap().0);
    assert_eq!(most_at_once(app(&room).layer(built), &room).await, 1);
}
