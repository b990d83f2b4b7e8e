//! Resilience layers for tower, one feature each.
//!
//! | module and feature | answers with | when |
//! | --- | --- | --- |
//! | `limit_concurrency` (`limit-concurrency`) | 429, gRPC `RESOURCE_EXHAUSTED` | too many requests are in flight |
//!
//! The feature `full` has them all; by default there are none.
//!
//! A layer that turns a request away *answers* it and leaves the service's error type alone, so an
//! axum stack stays `Infallible`. [`Rejection::of`] tells such an answer from the service's own.

#[cfg(feature = "limit-concurrency")]
#[doc(inline)]
pub use palisade_limit_concurrency as limit_concurrency;

#[doc(inline)]
pub use palisade_core::{
    BodyRule, BoxError, End, GrpcCode, Guard, GuardedBody, Head, Id, Protocol, Reason, Rejection,
    Sent,
};
