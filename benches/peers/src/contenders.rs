//! The services that are called directly. A new contender is one more entry.

use std::{convert::Infallible, time::Duration};

use failsafe::{Config, backoff, failure_policy::consecutive_failures};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use palisade::{
    breaker::{BreakerLayer, Trip},
    key::HeaderKey as BorrowedHeaderKey,
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{ExactStore, LimitRateLayer},
    timeout::TimeoutLayer,
};
use tower::{
    Layer, ServiceBuilder,
    limit::{ConcurrencyLimitLayer, RateLimitLayer},
    load_shed::LoadShedLayer,
    retry::RetryLayer,
    timeout::TimeoutLayer as TowerTimeoutLayer,
};
use tower_governor::key_extractor::GlobalKeyExtractor;
use tower_http::timeout::TimeoutLayer as HttpTimeoutLayer;
use tower_resilience_retry::RetryLayer as EnhancedRetryLayer;

use crate::{
    adapters::{AfterError, Budgeted, Failsafe, HeaderKey},
    inner::{Bare, BareAxum, KEY, dressed, keyed, plain},
    row::{Driver, Row},
    settings::{
        AMPLE, HOUR, bulkhead, circuit_breaker, daily, daily_governor, governor, open, quota,
        rate_limiter, rejecting_bulkhead, time_limiter, token_bucket,
    },
};

const BARE_AXUM: &str = "bare/axum-body";
const BARE_DRESSED: &str = "bare/12 headers";
const BARE_KEYED: &str = "bare/axum-body+header";
const CIRCUIT: &str = "tower-resilience/circuitbreaker";
const CONSECUTIVE: &str = "failsafe/consecutive";
const FAILSAFE: &str = "failsafe/default";
const GOVERNOR: &str = "tower_governor/header";
const GOVERNORS: &str = "tower_governor/header, two windows";
const SHEDDING: &str = "tower/LoadShed+ConcurrencyLimit";
const TIMEOUT: &str = "tower/Timeout";

/// Ours stand beside the peer that they are compared with, so that they are measured close in time.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(crate) fn contenders() -> Vec<Row> {
    vec![
        Row::new("bare", plain, |inner: Bare| inner),
        Row::new("bare/again", plain, |inner: Bare| inner),
        Row::new("tower/ConcurrencyLimit", plain, |inner: Bare| {
            ConcurrencyLimitLayer::new(AMPLE).layer(inner)
        }),
        Row::new(SHEDDING, plain, |inner: Bare| {
            LoadShedLayer::new().layer(ConcurrencyLimitLayer::new(AMPLE).layer(inner))
        }),
        Row::new("palisade/limit-concurrency", plain, |inner: Bare| {
            LimitConcurrencyLayer::new(AMPLE).layer(inner)
        })
        .bound(Driver::Ready, SHEDDING, 0.5)
        .bound(Driver::Shared, SHEDDING, 0.5),
        Row::answering(
            StatusCode::TOO_MANY_REQUESTS,
            "palisade/limit-concurrency refused",
            plain,
            |inner: Bare| LimitConcurrencyLayer::new(0).layer(inner),
        ),
        Row::new("tower-resilience/bulkhead", plain, |inner: Bare| bulkhead().layer(inner)),
        Row::new("tower-resilience/bulkhead reject", plain, |inner: Bare| {
            rejecting_bulkhead().layer(inner)
        }),
        Row::new(TIMEOUT, plain, |inner: Bare| TowerTimeoutLayer::new(HOUR).layer(inner)),
        Row::new("palisade/timeout", plain, |inner: Bare| TimeoutLayer::server(HOUR).layer(inner))
            .bound(Driver::Ready, TIMEOUT, 0.3)
            .bound(Driver::Pending, TIMEOUT, 1.0),
        Row::new("palisade/timeout shared", plain, |inner: Bare| {
            TimeoutLayer::server(HOUR).shared().layer(inner)
        }),
        Row::new("tower-http/Timeout", plain, |inner: Bare| {
            HttpTimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, HOUR).layer(inner)
        }),
        Row::new("tower-resilience/timelimiter", plain, |inner: Bare| time_limiter().layer(inner)),
        Row::unshared("tower/RateLimit", plain, |inner: Bare| {
            RateLimitLayer::new(u64::MAX, HOUR).layer(inner)
        }),
        Row::new("tower-resilience/ratelimiter", plain, |inner: Bare| rate_limiter().layer(inner)),
        Row::new("tower-resilience/ratelimiter bucket", plain, |inner: Bare| {
            token_bucket().layer(inner)
        }),
        Row::new(BARE_AXUM, plain, |inner: BareAxum| inner),
        Row::new("tower_governor/global", plain, |inner: BareAxum| {
            governor(GlobalKeyExtractor).layer(inner)
        })
        .over(BARE_AXUM),
        // By a rate over a time window, or so many in a row, as ours.
        Row::new(FAILSAFE, plain, |inner: Bare| Failsafe { inner, breaker: Config::new().build() }),
        Row::new("palisade/breaker", plain, |inner: Bare| BreakerLayer::default().layer(inner))
            .bound(Driver::Ready, FAILSAFE, 0.5)
            .bound(Driver::Shared, FAILSAFE, 0.4)
            .beside(Driver::Pending, FAILSAFE)
            .beside(Driver::Ready, CIRCUIT)
            .beside(Driver::Shared, CIRCUIT),
        Row::new(CONSECUTIVE, plain, |inner: Bare| {
            let policy = consecutive_failures(5, backoff::constant(Duration::from_secs(10)));
            Failsafe { inner, breaker: Config::new().failure_policy(policy).build() }
        }),
        Row::new("palisade/breaker consecutive", plain, |inner: Bare| {
            BreakerLayer::new(Trip::consecutive(5)).layer(inner)
        })
        .beside(Driver::Ready, CONSECUTIVE)
        .beside(Driver::Shared, CONSECUTIVE),
        Row::new("palisade/breaker slow", plain, |inner: Bare| {
            BreakerLayer::new(Trip::default().or(Trip::slow(HOUR, 0.5))).layer(inner)
        }),
        Row::answering(
            StatusCode::SERVICE_UNAVAILABLE,
            "palisade/breaker refused",
            plain,
            |inner: Bare| open().layer(inner),
        ),
        Row::new(CIRCUIT, plain, |inner: Bare| circuit_breaker().layer(inner)),
        Row::new("tower/Retry", plain, |inner: Bare| RetryLayer::new(AfterError).layer(inner)),
        Row::new("tower/Retry+budget", plain, |inner: Bare| {
            RetryLayer::new(Budgeted::new()).layer(inner)
        }),
        Row::new("tower-resilience/retry", plain, |inner: Bare| {
            type Enhanced =
                EnhancedRetryLayer<Request<()>, Response<Empty<bytes::Bytes>>, Infallible>;
            Enhanced::builder().max_attempts(3).build().layer(inner)
        }),
        Row::new("stack/tower-resilience", plain, |inner: Bare| {
            ServiceBuilder::new()
                .layer(time_limiter())
                .layer(bulkhead())
                .layer(rate_limiter())
                .layer(EnhancedRetryLayer::builder().max_attempts(3).build())
                .layer(circuit_breaker())
                .service(inner)
        }),
        Row::new(BARE_DRESSED, dressed, |inner: Bare| inner),
        Row::new("tower/Timeout with 12 headers", dressed, |inner: Bare| {
            TowerTimeoutLayer::new(HOUR).layer(inner)
        })
        .over(BARE_DRESSED),
        Row::new("palisade/timeout with 12 headers", dressed, |inner: Bare| {
            TimeoutLayer::server(HOUR).layer(inner)
        })
        .over(BARE_DRESSED),
        Row::new(BARE_KEYED, keyed, |inner: BareAxum| inner),
        Row::new("palisade/limit-concurrency with header", keyed, |inner: BareAxum| {
            LimitConcurrencyLayer::new(AMPLE).layer(inner)
        })
        .over(BARE_KEYED),
        Row::new(GOVERNOR, keyed, |inner: BareAxum| governor(HeaderKey).layer(inner))
            .over(BARE_KEYED),
        Row::new("palisade/limit-rate", keyed, |inner: BareAxum| {
            LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY)).layer(inner)
        })
        .over(BARE_KEYED)
        .bound(Driver::Ready, GOVERNOR, 0.7)
        .bound(Driver::Shared, GOVERNOR, 0.7),
        Row::new(GOVERNORS, keyed, |inner: BareAxum| {
            governor(HeaderKey).layer(daily_governor(HeaderKey).layer(inner))
        })
        .over(BARE_KEYED),
        Row::new("palisade/limit-rate, two windows", keyed, |inner: BareAxum| {
            LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY))
                .with_quota("daily", daily())
                .layer(inner)
        })
        .over(BARE_KEYED)
        .beside(Driver::Ready, GOVERNORS)
        .beside(Driver::Shared, GOVERNORS),
        Row::new("palisade/limit-rate, exact, two windows", keyed, |inner: BareAxum| {
            LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY))
                .with_quota("daily", daily())
                .with_store(ExactStore::<Vec<u8>>::new())
                .layer(inner)
        })
        .over(BARE_KEYED)
        .beside(Driver::Ready, GOVERNORS)
        .beside(Driver::Shared, GOVERNORS),
        Row::new("stack/tower+governor+failsafe", keyed, |inner: BareAxum| {
            ServiceBuilder::new()
                .layer(TowerTimeoutLayer::new(HOUR))
                .layer(LoadShedLayer::new())
                .layer(ConcurrencyLimitLayer::new(AMPLE))
                .layer(governor(HeaderKey))
                .layer(RetryLayer::new(AfterError))
                .service(Failsafe { inner, breaker: Config::new().build() })
        })
        .over(BARE_KEYED),
    ]
}
