//! What a gRPC client is told.

use std::{
    convert::Infallible,
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
};

use bytes::{Buf, BufMut, Bytes};
use http::{Request, StatusCode};
use palisade::{
    breaker::BreakerLayer,
    key::Global,
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{LimitRateLayer, Quota},
    timeout::TimeoutLayer,
};
use tokio::net::{TcpListener, TcpSocket};
use tonic::{
    Code, Status,
    body::Body,
    client::{Grpc, GrpcService},
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    service::Routes,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, layer::layer_fn, limit::GlobalConcurrencyLimitLayer,
    load_shed::LoadShedLayer, service_fn, timeout::TimeoutLayer as TowerTimeoutLayer,
};
use tower_governor::{
    GovernorLayer, governor::GovernorConfigBuilder, key_extractor::GlobalKeyExtractor,
};
use tower_http::timeout::TimeoutLayer as HttpTimeoutLayer;
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::CircuitBreakerLayer;
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_timelimiter::TimeLimiterLayer;

use crate::upstream::{HOUR, SECOND};

/// Messages as they come.
#[derive(Clone, Copy, Debug, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// What comes of one call.
async fn called<S>(service: S) -> Status
where
    S: GrpcService<Body>,
    S::ResponseBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut client = Grpc::new(service);
    client.ready().await.map_err(|_| ()).unwrap();
    let path = http::uri::PathAndQuery::from_static("/menu.Menu/Today");
    let called = client.unary(tonic::Request::new(Bytes::new()), path, Raw).await;
    called.map(drop).unwrap_err()
}

fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

/// A tonic server behind this layer, which knows no service, and so answers `UNIMPLEMENTED`.
macro_rules! serve {
    ($layer:expr) => {{
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().layer($layer).add_routes(Routes::default());
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        channel(address)
    }};
}

/// Whatever is inside, no answer ever comes.
fn hangs<S>() -> impl Layer<
    S,
    Service: Service<
        Request<Body>,
        Response = http::Response<Body>,
        Error = Infallible,
        Future: Send,
    > + Clone
                 + Send
                 + 'static,
> + Clone {
    layer_fn(|_| {
        service_fn(async |_: Request<Body>| {
            pending::<Result<http::Response<Body>, Infallible>>().await
        })
    })
}

#[tokio::test]
async fn at_the_limit_of_a_server_a_client_of_palisade_s_sees_resource_exhausted() {
    let told = called(serve!(LimitConcurrencyLayer::new(0))).await;
    assert_eq!(told.code(), Code::ResourceExhausted);
    assert!(told.metadata().contains_key("grpc-retry-pushback-ms"));
}

#[tokio::test]
async fn at_the_limit_of_a_server_a_client_of_tower_s_sees_resource_exhausted_and_not_when_to_come_back()
 {
    let shed = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(0))
        .into_inner();
    let told = called(serve!(shed)).await;
    assert_eq!(told.code(), Code::ResourceExhausted);
    assert!(!told.metadata().contains_key("grpc-retry-pushback-ms"));
}

#[tokio::test]
async fn at_the_limit_of_a_server_a_client_of_tower_resilience_s_sees_internal() {
    let full = BulkheadLayer::builder().max_concurrent_calls(1).reject_when_full();
    let (full, handle) = full.build_with_handle().unwrap();
    let server = serve!(ServiceBuilder::new().layer(full).layer(hangs()).into_inner());
    let first = tokio::spawn(called(server.clone()));
    while handle.active_calls() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(called(server).await.code(), Code::Internal);
    first.abort();
}

#[tokio::test]
async fn over_its_rate_a_client_of_palisade_s_and_of_tower_governor_s_sees_resource_exhausted() {
    let ours = serve!(LimitRateLayer::new(Quota::new(NonZeroU32::MIN, HOUR), Global));
    assert_eq!(called(ours.clone()).await.code(), Code::Unimplemented);
    let refused = called(ours).await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(refused.metadata().contains_key("grpc-retry-pushback-ms"));

    let mut quota = GovernorConfigBuilder::default();
    let quota = quota.period(HOUR).burst_size(1).key_extractor(GlobalKeyExtractor).finish();
    let theirs = serve!(GovernorLayer::new(quota.unwrap()));
    assert_eq!(called(theirs.clone()).await.code(), Code::Unimplemented);
    let refused = called(theirs).await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(!refused.metadata().contains_key("grpc-retry-pushback-ms"));
}

const SOON: std::time::Duration = std::time::Duration::from_millis(1);

#[tokio::test]
async fn out_of_time_a_client_of_palisade_s_sees_deadline_exceeded() {
    let late = ServiceBuilder::new().layer(TimeoutLayer::server(SOON)).layer(hangs());
    assert_eq!(called(serve!(late.into_inner())).await.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn out_of_time_a_client_of_tower_s_and_of_tower_resilience_s_sees_internal() {
    let late = ServiceBuilder::new().layer(TowerTimeoutLayer::new(SOON)).layer(hangs());
    assert_eq!(called(serve!(late.into_inner())).await.code(), Code::Internal);
    let limiter = TimeLimiterLayer::builder().timeout_duration(SOON).build();
    let late = ServiceBuilder::new().layer(limiter).layer(hangs());
    assert_eq!(called(serve!(late.into_inner())).await.code(), Code::Internal);
}

#[tokio::test]
async fn out_of_time_a_client_of_tower_http_s_sees_what_its_status_is_taken_for() {
    for (status, code) in [(504, Code::Unavailable), (408, Code::Unknown)] {
        let status = StatusCode::from_u16(status).unwrap();
        let late = ServiceBuilder::new()
            .layer(HttpTimeoutLayer::with_status_code(status, SOON))
            .layer(hangs());
        assert_eq!(called(serve!(late.into_inner())).await.code(), code);
    }
}

/// A port that nobody listens on, and that no other test is given as long as the process lives.
fn nowhere() -> Channel {
    let socket = Box::leak(Box::new(TcpSocket::new_v4().unwrap()));
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    channel(socket.local_addr().unwrap())
}

#[tokio::test]
async fn a_connection_refused_is_unavailable_to_a_client_and_so_it_is_through_palisade_and_tower() {
    assert_eq!(called(nowhere()).await.code(), Code::Unavailable);
    let ours = ServiceBuilder::new()
        .layer(BreakerLayer::default())
        .layer(LimitConcurrencyLayer::new(1))
        .layer(TimeoutLayer::client(HOUR))
        .service(nowhere());
    assert_eq!(called(ours).await.code(), Code::Unavailable);
    let tower = TowerTimeoutLayer::new(HOUR).layer(nowhere());
    assert_eq!(called(tower).await.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_connection_refused_is_unknown_through_tower_resilience() {
    let breaker = CircuitBreakerLayer::builder().build().unwrap();
    assert_eq!(called(breaker.layer(nowhere())).await.code(), Code::Unknown);
    let bulkhead = BulkheadLayer::builder().build().unwrap();
    assert_eq!(called(bulkhead.layer(nowhere())).await.code(), Code::Unknown);
    let rate = RateLimiterLayer::builder().build().unwrap();
    assert_eq!(called(rate.layer(nowhere())).await.code(), Code::Unknown);
    let time = TimeLimiterLayer::builder().timeout_duration(SECOND).build();
    assert_eq!(called(time.layer(nowhere())).await.code(), Code::Unknown);
}

#[tokio::test]
async fn an_open_circuit_is_unavailable_through_palisade_and_unknown_through_tower_resilience() {
    let ours = BreakerLayer::default();
    ours.handle().force_open();
    assert_eq!(called(ours.layer(nowhere())).await.code(), Code::Unavailable);
    let (theirs, handle) = CircuitBreakerLayer::builder().build_with_handle().unwrap();
    handle.force_open().await;
    assert_eq!(called(theirs.layer(nowhere())).await.code(), Code::Unknown);
}
