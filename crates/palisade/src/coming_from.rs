//! What changes in your code when you come from tower's own layers, `tower_governor` or tower-resilience: before and
//! after, for what people use most. All of *after* is compiled, and so is what comes from tower.
//!
//! What changes in behaviour is in [`compared`](crate::compared), whole stacks are in [`stacks`](crate::stacks).
//!
//! # tower: a limit that refuses
//!
//! tower's `ConcurrencyLimitLayer` makes requests wait; to refuse them takes `LoadShedLayer` around it, whose
//! error is boxed, so that axum asks for a `HandleErrorLayer` to make an answer of it:
//!
//! ```
//! use axum::{BoxError, Router, error_handling::HandleErrorLayer, http::StatusCode, routing::get};
//! use tower::{ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer};
//!
//! async fn shed(_: BoxError) -> StatusCode {
//!     StatusCode::SERVICE_UNAVAILABLE
//! }
//!
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(
//!     ServiceBuilder::new()
//!         .layer(HandleErrorLayer::new(shed))
//!         .layer(LoadShedLayer::new())
//!         .layer(GlobalConcurrencyLimitLayer::new(512)),
//! );
//! ```
//!
//! Here that is one layer, which answers, and counts a request until its body is over:
//!
//! ```
//! use axum::{Router, http::StatusCode, routing::get};
//! use palisade::limit_concurrency::LimitConcurrencyLayer;
//!
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(LimitConcurrencyLayer::new(512).with_status(StatusCode::SERVICE_UNAVAILABLE));
//! ```
//!
//! As tower's `GlobalConcurrencyLimitLayer`, and unlike its `ConcurrencyLimitLayer`, a layer of ours is one limit
//! wherever it is applied.
//!
//! # tower: a timeout
//!
//! `tower::timeout::TimeoutLayer` ends what takes too long to begin an answer with a boxed error. `TimeoutLayer`
//! answers 503 on a server and 504 on a client, over gRPC `DEADLINE_EXCEEDED`, and bounds the body too:
//!
//! ```
//! use axum::{Router, routing::get};
//! use palisade::timeout::TimeoutLayer;
//! use std::time::Duration;
//!
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(TimeoutLayer::server(Duration::from_secs(10)));
//! ```
//!
//! # tower: a retry
//!
//! `tower::retry::RetryLayer` asks for a `Policy` of your own, which has to copy the request, and those of axum,
//! hyper and tonic are not `Clone`. What the usual policy would say is here already:
//!
//! ```
//! use palisade::retry::{Retry, RetryBody, RetryLayer, RetryPolicy, TransientClassifier};
//! use tonic::{body::Body, transport::Channel};
//! use tower::Layer;
//!
//! type Client = Retry<Channel, TransientClassifier, fn(RetryBody<Body>) -> Body>;
//!
//! fn client(channel: Channel) -> Client {
//!     let policy = RetryPolicy::grpc().idempotent(["menu.Menu/Today"]);
//!     RetryLayer::new(policy).with_body(Body::new).layer(channel)
//! }
//! ```
//!
//! A `TpsBudget` becomes a [`Budget`](crate::retry::Budget). It has no reserve of retries a second unless you give it
//! one, and a ratio is exactly what it says.
//!
//! # `tower_governor`
//!
//! A `GovernorConfigBuilder` with `per_second`, which is the *interval* between two requests, `burst_size` and
//! `key_extractor` becomes a quota and a key. Building it cannot fail, and you need no task that forgets old clients:
//!
//! ```
//! use axum::{Router, routing::get};
//! use palisade::{key::PeerIp, limit_rate::{LimitRateLayer, Quota, RateLimitHeaders}};
//! use std::{net::SocketAddr, num::NonZeroU32};
//!
//! const QUOTA: Quota = Quota::per_second(NonZeroU32::new(20).unwrap());
//!
//! let limit = LimitRateLayer::new(QUOTA.with_burst(NonZeroU32::new(40).unwrap()), PeerIp::new())
//!     .with_headers(RateLimitHeaders::Draft);
//! let app = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(limit)
//!     .into_make_service_with_connect_info::<SocketAddr>();
//! ```
//!
//! | `tower_governor` | here |
//! | --- | --- |
//! | `PeerIpKeyExtractor` | [`PeerIp`](crate::key::PeerIp) |
//! | `SmartIpKeyExtractor`, which believes any client's header | [`ForwardedIp::trusting`](crate::key::ForwardedIp), which believes your proxies |
//! | a `KeyExtractor` that clones its key | [`HeaderKey`](crate::key::HeaderKey), or a closure; keys are lent |
//! | a request without a key: an error, 500 by default | [`Missing`](crate::key::Missing), a policy |
//! | `retain_recent()` in a task of yours | [collected](crate::limit_rate::TableStore) by itself, in fixed memory |
//! | `use_headers()` | `with_headers`: `RateLimit` and `RateLimit-Policy`, and `Retry-After` |
//!
//! # tower-resilience
//!
//! Its layers change the error type, so that on axum each needs a handler, and a stack of them an enum of all. Here
//! an inner service's error type stays what it is, and a refusal is an answer:
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use bytes::Bytes;
//! use palisade::{Backoff, breaker::{BreakerLayer, Policy, Probes, Trip}};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{ServiceBuilder, service_fn};
//!
//! const SECOND: Duration = Duration::from_secs(1);
//!
//! let upstream = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
//! let client = ServiceBuilder::new()
//!     .layer(BreakerLayer::new(
//!         Policy::new(Trip::rate(0.5).min(20).window(10 * SECOND))
//!             .with_open(Backoff::new(5 * SECOND, 60 * SECOND))
//!             .with_probes(Probes::new(3)),
//!     ))
//!     .service(upstream);
//! # let _ = client;
//! ```
//!
//! | tower-resilience | here |
//! | --- | --- |
//! | `circuitbreaker`, whose window is of calls by default | [`breaker`](crate::breaker): a window of time, which slides |
//! | `failure_classifier`, of errors and heads | [`Classify`](crate::Classify), which knows gRPC statuses in the trailers |
//! | `bulkhead`, which waits by default | [`limit_concurrency`](crate::limit_concurrency), which refuses |
//! | `ratelimiter`, one for all | [`limit_rate`](crate::limit_rate), by key |
//! | `timelimiter` | [`timeout`](crate::timeout), head and body |
//! | `retry`, which by default tries every error again | [`retry`](crate::retry), what may be done twice |
//! | `healthcheck`, which picks among resources | [`health`](crate::health): probes, gRPC health, drain |
