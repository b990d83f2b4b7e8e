//! Complete stacks to copy. All of them are compiled, and the first is run.
//!
//! [`choosing`](crate::choosing) says what to set, [`ordering`](crate::ordering) why they stand in this order.
//!
//! # An axum server
//!
//! The longer form, with settings, logs and signals, is the repository's `examples/server`.
//!
//! ```
//! use axum::{Router, routing::get};
//! use palisade::{
//!     health::{Health, HealthLayer},
//!     key::PeerIp,
//!     limit_concurrency::LimitConcurrencyLayer,
//!     limit_rate::{LimitRateLayer, Quota, RateLimitHeaders},
//!     timeout::{RequestBodyTimeoutLayer, TimeoutLayer},
//! };
//! use std::{io, net::SocketAddr, num::NonZeroU32, time::Duration};
//! use tokio::{net::TcpListener, time::sleep};
//! use tower::ServiceBuilder;
//!
//! const SECOND: Duration = Duration::from_secs(1);
//! const PER_CLIENT: Quota = Quota::per_second(NonZeroU32::new(100).unwrap());
//!
//! fn app(health: &Health) -> Router {
//!     // `layer`, which stands in front of what has no route too, and so of probes; `route_layer` does not.
//!     Router::new().route("/", get(async || "hello")).layer(
//!         ServiceBuilder::new()
//!             .layer(HealthLayer::new(health))
//!             .layer(TimeoutLayer::server(10 * SECOND))
//!             .layer(LimitConcurrencyLayer::new(512))
//!             .layer(
//!                 LimitRateLayer::new(PER_CLIENT, PeerIp::new())
//!                     .with_headers(RateLimitHeaders::Draft),
//!             )
//!             .layer(RequestBodyTimeoutLayer::new(10 * SECOND)),
//!     )
//! }
//!
//! /// Serves until it is told to end, and leaves in the order that loses no request: for five seconds it is not
//! /// ready and serves on, for five more its connections close, and then it refuses what is new.
//! async fn serve(
//!     listener: TcpListener,
//!     terminated: impl Future<Output = ()> + Send + 'static,
//! ) -> io::Result<()> {
//!     let health = Health::new();
//!     // Without it nobody knows who connects, and all clients share one bucket.
//!     let service = app(&health).into_make_service_with_connect_info::<SocketAddr>();
//!     let leaving = health.clone();
//!     let server = axum::serve(listener, service).with_graceful_shutdown(async move {
//!         terminated.await;
//!         leaving.drain(10 * SECOND);
//!         sleep(5 * SECOND).await;
//!     });
//!     let longest = async {
//!         health.drained_within(30 * SECOND).await;
//!         // For what is on its way to a client.
//!         sleep(SECOND).await;
//!     };
//!     tokio::select! {
//!         ended = server.into_future() => ended,
//!         () = longest => Ok(()),
//!     }
//! }
//! # use axum::{body::Body, http::Request};
//! # use tower::ServiceExt;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let _ = |listener| serve(listener, std::future::pending());
//! # let app = app(&Health::new());
//! # for (path, status) in [("/", 200), ("/readyz", 200), ("/nowhere", 404)] {
//! #     let request = Request::get(path).body(Body::empty()).unwrap();
//! #     assert_eq!(app.clone().oneshot(request).await.unwrap().status(), status);
//! # }
//! # }
//! ```
//!
//! # A hyper server
//!
//! The repository's `examples/hyper_server.rs` provokes each refusal of this one.
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderName, Request, Response};
//! use http_body_util::Full;
//! use hyper::body::Incoming;
//! use hyper_util::{
//!     rt::{TokioExecutor, TokioIo},
//!     server::conn::auto::Builder,
//!     service::TowerToHyperService,
//! };
//! use palisade::{
//!     health::{Health, HealthLayer},
//!     key::HeaderKey,
//!     limit_concurrency::LimitConcurrencyLayer,
//!     limit_rate::{LimitRateLayer, Quota},
//!     timeout::TimeoutLayer,
//! };
//! use std::{convert::Infallible, io, num::NonZeroU32, time::Duration};
//! use tokio::net::TcpListener;
//! use tower::{ServiceBuilder, service_fn};
//!
//! const PER_CLIENT: Quota = Quota::per_second(NonZeroU32::new(100).unwrap());
//!
//! async fn handler(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(Response::new(Full::from("hello")))
//! }
//!
//! async fn serve(listener: TcpListener, health: Health) -> io::Result<()> {
//!     let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
//!     // Made once, outside of the loop: each connection's clone shares the limits.
//!     let service = ServiceBuilder::new()
//!         .layer(HealthLayer::new(&health))
//!         .layer(TimeoutLayer::server(Duration::from_secs(10)))
//!         .layer(LimitConcurrencyLayer::new(512))
//!         .layer(LimitRateLayer::new(PER_CLIENT, api_key))
//!         .service(service_fn(handler));
//!     loop {
//!         let (connection, _) = listener.accept().await?;
//!         let service = TowerToHyperService::new(service.clone());
//!         tokio::spawn(async move {
//!             let server = Builder::new(TokioExecutor::new());
//!             server.serve_connection_with_upgrades(TokioIo::new(connection), service).await
//!         });
//!     }
//! }
//! # let _ = serve;
//! ```
//!
//! # A hyper client
//!
//! ```
//! use bytes::Bytes;
//! use http::StatusCode;
//! use http_body_util::Full;
//! use hyper_util::{
//!     client::legacy::{Client, connect::HttpConnector},
//!     rt::TokioExecutor,
//! };
//! use palisade::{
//!     breaker::{Breaker, BreakerLayer},
//!     limit_concurrency::{LimitConcurrency, LimitConcurrencyLayer},
//!     retry::{Retry, RetryBody, RetryLayer, RetryPolicy},
//!     timeout::{Timeout, TimeoutLayer},
//! };
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//!
//! type Transport = Client<HttpConnector, RetryBody<Full<Bytes>>>;
//!
//! /// Takes a `Request<Full<Bytes>>`. Clone it: clones share the budget, the circuit and the limit.
//! type Upstream = Timeout<Retry<Breaker<LimitConcurrency<Timeout<Transport>>>>>;
//!
//! fn upstream() -> Upstream {
//!     ServiceBuilder::new()
//!         .layer(TimeoutLayer::client(Duration::from_secs(5)).shared())
//!         .layer(RetryLayer::new(RetryPolicy::http()))
//!         .layer(BreakerLayer::default())
//!         .layer(LimitConcurrencyLayer::new(64).with_status(StatusCode::SERVICE_UNAVAILABLE))
//!         .layer(TimeoutLayer::client(Duration::from_secs(2)))
//!         .service(Client::builder(TokioExecutor::new()).build_http())
//! }
//! # let _ = upstream;
//! ```
//!
//! With the feature `hyper-util`, a POST whose connection was refused is sent again: that it never arrived is then
//! known.
//!
//! # A tonic server
//!
//! Any of tonic's services is added to the `Routes`. `examples/grpc_server.rs` provokes each refusal.
//!
//! ```
//! use palisade::{
//!     health::{Health, HealthLayer},
//!     key::PeerIp,
//!     limit_concurrency::LimitConcurrencyLayer,
//!     limit_rate::{LimitRateLayer, Quota},
//!     timeout::TimeoutLayer,
//! };
//! use std::{net::SocketAddr, num::NonZeroU32, time::Duration};
//! use tonic::{
//!     service::Routes,
//!     transport::{Error, Server, server::TcpConnectInfo},
//! };
//!
//! const PER_CLIENT: Quota = Quota::per_second(NonZeroU32::new(100).unwrap());
//!
//! /// Serves until `health` has drained.
//! async fn serve(services: Routes, address: SocketAddr, health: Health) -> Result<(), Error> {
//!     let client = PeerIp::from_extension(TcpConnectInfo::remote_addr);
//!     Server::builder()
//!         .layer(HealthLayer::new(&health))
//!         .layer(TimeoutLayer::server(Duration::from_secs(10)))
//!         .layer(LimitConcurrencyLayer::new(512))
//!         .layer(LimitRateLayer::new(PER_CLIENT, client))
//!         .add_routes(services)
//!         .serve_with_shutdown(address, async move { health.drained().await })
//!         .await
//! }
//! # let _ = serve;
//! ```
//!
//! # A tonic client
//!
//! `examples/grpc_client.rs` runs this one against a server that does as it is told.
//!
//! ```
//! use http::StatusCode;
//! use palisade::{
//!     breaker::{Breaker, BreakerLayer},
//!     limit_concurrency::{LimitConcurrency, LimitConcurrencyLayer},
//!     retry::{Retry, RetryBody, RetryLayer, RetryPolicy, TransientClassifier},
//!     timeout::{Timeout, TimeoutLayer},
//! };
//! use std::time::Duration;
//! use tonic::{body::Body, transport::Channel};
//! use tower::ServiceBuilder;
//!
//! type Attempt = Breaker<LimitConcurrency<Timeout<Channel>>>;
//!
//! /// What a generated client is made of: `MenuClient::new(upstream(channel))`.
//! type Upstream = Timeout<Retry<Attempt, TransientClassifier, fn(RetryBody<Body>) -> Body>>;
//!
//! fn upstream(channel: Channel) -> Upstream {
//!     // Only the methods that are named here may be called twice.
//!     let policy = RetryPolicy::grpc().idempotent(["menu.Menu/Today"]);
//!     ServiceBuilder::new()
//!         .layer(TimeoutLayer::client(Duration::from_secs(5)).shared())
//!         .layer(RetryLayer::new(policy).with_body(Body::new))
//!         .layer(BreakerLayer::default())
//!         .layer(LimitConcurrencyLayer::new(64).with_status(StatusCode::SERVICE_UNAVAILABLE))
//!         .layer(TimeoutLayer::client(Duration::from_secs(2)).forward())
//!         .service(channel)
//! }
//! # let _ = upstream;
//! ```
//!
//! # Without the type
//!
//! Where a stack's type is not to be written down, it is erased, after which all bodies are of one type:
//!
//! ```
//! use http::{Request, Response};
//! use palisade::{limit_concurrency::LimitConcurrencyLayer, timeout::TimeoutLayer};
//! use std::time::Duration;
//! use tonic::{body::Body, transport::{Channel, Error}};
//! use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
//!
//! fn upstream(channel: Channel) -> BoxCloneSyncService<Request<Body>, Response<Body>, Error> {
//!     let stack = ServiceBuilder::new()
//!         .layer(LimitConcurrencyLayer::new(64))
//!         .layer(TimeoutLayer::client(Duration::from_secs(2)))
//!         .service(channel);
//!     BoxCloneSyncService::new(stack.map_response(|response| response.map(Body::new)))
//! }
//! # let _ = upstream;
//! ```
