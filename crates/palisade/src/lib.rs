//! Resilience layers for [tower](https://docs.rs/tower), one module and one feature each, for servers and clients
//! on axum, hyper and tonic.
//!
//! # Map
//!
//! | layer | answers | when |
//! | --- | --- | --- |
//! | [`health`] | 200 or 503 to probes; 503, gRPC `UNAVAILABLE`, to all else | to probes always; to all else once the service is leaving |
//! | [`timeout`] | 503 or 504, gRPC `DEADLINE_EXCEEDED` | an exchange, head and body, takes longer than it may |
//! | [`limit_concurrency`] | 429, gRPC `RESOURCE_EXHAUSTED` | as many requests as allowed are in flight |
//! | [`limit_rate`] | 429, gRPC `RESOURCE_EXHAUSTED` | a client asks more often than it may |
//! | [`retry`] | what its last attempt was answered | a call failed and may be made again: it makes it again |
//! | [`breaker`] | 503, gRPC `UNAVAILABLE` | too many recent calls have failed |
//!
//! | page | for |
//! | --- | --- |
//! | [`choosing`] | which layer you need, by what you see in production, and the setting to begin with |
//! | [`ordering`] | in which order, and what each wrong order costs |
//! | [`stacks`] | complete stacks to copy: axum, hyper server, hyper client, tonic server, tonic client |
//! | [`compared`] | what tower, tower-http, `tower_governor` and tower-resilience do in the same place |
//! | [`coming_from`] | before and after, if you use one of those |
//!
//! [`key`] tells clients apart, for the layers that count each client by itself. [`log`] says what is logged.
//! What stands at this crate's root is shared by all layers: [`Rejection`], [`Head`], [`Backoff`], [`Deadline`],
//! and the [`Classify`] and [`Outcome`] by which a retry and a breaker judge an answer.
//!
//! # In two minutes
//!
//! On axum, with the features `full` and `axum`:
//!
//! ```
//! # #[cfg(all(feature = "full", feature = "axum"))] {
//! use axum::{Router, routing::get};
//! use palisade::{
//!     health::{Health, HealthLayer},
//!     limit_concurrency::LimitConcurrencyLayer,
//!     timeout::TimeoutLayer,
//! };
//! use std::time::Duration;
//! use tower::ServiceBuilder;
//!
//! let health = Health::new();
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(
//!     ServiceBuilder::new()
//!         .layer(HealthLayer::new(&health))
//!         .layer(TimeoutLayer::server(Duration::from_secs(10)))
//!         .layer(LimitConcurrencyLayer::new(512)),
//! );
//! # }
//! ```
//!
//! The first is the outermost. A layer that turns a request away *answers* it, as problem+json (RFC 9457) or as
//! a gRPC status, and leaves the service's error type alone, so that an axum stack stays `Infallible` and needs no
//! `HandleErrorLayer`. [`Rejection::of`] tells such an answer from one of the service's own. One layer is one limit,
//! over all routes, connections and clones it is applied to: make it once and clone it.
//!
//! # In which order
//!
//! On a server `health → timeout → limit-concurrency → limit-rate → handler`. Around what a service calls
//! `timeout(total).shared() → retry → breaker → limit-concurrency → timeout(attempt) → transport`.
//! [`ordering`] says why.
//!
//! # Features
//!
//! By default there are none.
//!
//! | feature | is |
//! | --- | --- |
//! | `breaker`, `health`, `key`, `limit-concurrency`, `limit-rate`, `retry`, `timeout` | the module of that name |
//! | `full` | all of those |
//! | `axum` | `PeerIp::new` in [`key`], which reads axum's `ConnectInfo` |
//! | `hyper-util`, `h2`, `tonic` | errors of those crates are read for proof that nothing was sent, by which a retry and a breaker go; `tonic` includes both others |
//!
//! # Where to read on
//!
//! Each module says what its layer costs and where it stands. The repository has programs that provoke every
//! refusal (`examples/`, and `cargo run` for a server with all layers), the invariants and the tests that keep them
//! (`ARCHITECTURE.md`), and all measurements with their commands (`benches/README.md`).
#![cfg_attr(
    not(all(feature = "full", feature = "axum")),
    allow(rustdoc::broken_intra_doc_links, reason = "the links lead to what other features have")
)]
#![cfg_attr(all(doctest, feature = "full", feature = "axum"), doc = include_str!("../../../README.md"))]
#![cfg_attr(all(doctest, feature = "full"), doc = include_str!("../../../ARCHITECTURE.md"))]

#[cfg(all(feature = "full", feature = "axum"))]
pub mod choosing;
#[cfg(all(feature = "full", feature = "axum"))]
pub mod coming_from;
#[cfg(all(feature = "full", feature = "axum"))]
pub mod compared;
#[cfg(all(feature = "full", feature = "axum"))]
pub mod ordering;
#[cfg(all(feature = "full", feature = "axum"))]
pub mod stacks;

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
