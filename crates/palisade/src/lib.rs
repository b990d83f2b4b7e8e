//! Resilience layers for tower, one feature each.
//!
//! | module | feature | answers with | when |
//! | --- | --- | --- | --- |
//! | [`breaker`] | `breaker` | 503, gRPC `UNAVAILABLE` | what it calls has failed too often of late |
//! | [`health`] | `health` | 503, gRPC `UNAVAILABLE` | the service is leaving; to probes, how it is |
//! | [`limit_concurrency`] | `limit-concurrency` | 429, gRPC `RESOURCE_EXHAUSTED` | as many requests as allowed are in flight |
//! | [`limit_rate`] | `limit-rate` | 429, gRPC `RESOURCE_EXHAUSTED` | a client asks more often than it may |
//! | [`retry`] | `retry` | what came of its last attempt | what it calls failed: it tries again, where that is safe |
//! | [`timeout`] | `timeout` | 503 or 504, gRPC `DEADLINE_EXCEEDED` | an exchange takes longer than it may |
//!
//! Layers that keep a count for each client tell clients apart by a [`key`], which has a feature of its
//! own name. The feature `full` has all of these; by default there are none. With `axum`, keys read axum's
//! `ConnectInfo`. With `hyper-util`, `h2` or `tonic`, an [`Outcome`] is found in those crates' errors.
//!
//! A layer that turns a request away *answers* it and leaves the service's error type alone, so an
//! axum stack stays `Infallible`. [`Rejection::of`] tells such an answer from the service's own.
//!
//! # On axum
//!
//! ```
//! # #[cfg(feature = "limit-concurrency")] {
//! use axum::{Router, routing::get};
//! use palisade::limit_concurrency::LimitConcurrencyLayer;
//!
//! let app: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(LimitConcurrencyLayer::new(512));
//! # }
//! ```
//!
//! # On a tonic client
//!
//! The stack's type can be written down, here in a struct, or erased:
//!
//! ```
//! # #[cfg(feature = "limit-concurrency")] {
//! use http::{Request, Response};
//! use palisade::limit_concurrency::{LimitConcurrency, LimitConcurrencyLayer};
//! use tonic::{body::Body, transport::{Channel, Error}};
//! use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
//!
//! /// What a generated client is made of: `EchoClient::new(upstream.named)`.
//! struct Upstream {
//!     named: LimitConcurrency<Channel>,
//!     erased: BoxCloneSyncService<Request<Body>, Response<Body>, Error>,
//! }
//!
//! fn upstream(channel: Channel) -> Upstream {
//!     let layer = LimitConcurrencyLayer::new(64);
//!     let named = ServiceBuilder::new().layer(layer).service(channel);
//!     let erased = named.clone().map_response(|response| response.map(Body::new));
//!     Upstream { named, erased: BoxCloneSyncService::new(erased) }
//! }
//! # }
//! ```
//!
//! # In which order
//!
//! The first is the outermost. On a server `health → timeout → limit-concurrency → limit-rate → handler`:
//! probes are answered whatever else is refused, what ran out of time gives its place back, and who finds no
//! place has used nothing up. Around what a service calls
//! `timeout(total).shared() → retry → breaker → limit-concurrency → timeout(attempt) → transport`: each
//! attempt is judged, counted and timed by itself, and none begins that would come too late.
#![cfg_attr(all(doctest, feature = "full", feature = "axum"), doc = include_str!("../../../README.md"))]
#![cfg_attr(all(doctest, feature = "full"), doc = include_str!("../../../ARCHITECTURE.md"))]

#[cfg(all(feature = "full", feature = "axum"))]
pub mod coming_from;

#[cfg(feature = "key")]
#[doc(inline)]
pub use palisade_key as key;

#[cfg(feature = "breaker")]
#[doc(inline)]
pub use palisade_breaker as breaker;
#[cfg(feature = "health")]
#[doc(inline)]
pub use palisade_health as health;
#[cfg(feature = "limit-concurrency")]
#[doc(inline)]
pub use palisade_limit_concurrency as limit_concurrency;
#[cfg(feature = "limit-rate")]
#[doc(inline)]
pub use palisade_limit_rate as limit_rate;
#[cfg(feature = "retry")]
#[doc(inline)]
pub use palisade_retry as retry;
#[cfg(feature = "timeout")]
#[doc(inline)]
pub use palisade_timeout as timeout;

#[doc(inline)]
pub use palisade_core::{
    AutoClassifier, Backoff, BodyRule, BoxError, Classify, ClassifyEnd, Deadline, End,
    GrpcClassifier, GrpcCode, GrpcEnd, GrpcTimeout, Guard, GuardedBody, Head, HttpClassifier, Id,
    Jitter, Outcome, Protocol, Reason, Rejection, RejectionError, RejectionErrorFuture,
    RejectionErrorLayer, Render, RenderFuture, RenderLayer, RetryHint, Rng, Sent, Unwatched,
    Verdict, WithSent, log,
};
