//! The services that are called directly. A new contender is one more entry.

use std::{convert::Infallible, hint::black_box, time::Duration};

use failsafe::{Config, backoff, failure_policy::consecutive_failures};
use http::{Request, Response, StatusCode};
use palisade::{
    breaker::{BreakerLayer, Trip},
    health::{Health, HealthLayer, Heartbeat},
    key::HeaderKey as BorrowedHeaderKey,
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{ExactStore, LimitRateLayer},
    retry::RetryLayer,
    timeout::TimeoutLayer,
};
use tokio::time::Instant;
use tower::{
    Layer, ServiceBuilder,
    limit::{ConcurrencyLimitLayer, RateLimitLayer},
    load_shed::LoadShedLayer,
    retry::RetryLayer as TowerRetryLayer,
    timeout::TimeoutLayer as TowerTimeoutLayer,
    util::MapResponseLayer,
};
use tower_governor::key_extractor::GlobalKeyExtractor;
use tower_http::timeout::TimeoutLayer as HttpTimeoutLayer;
use tower_resilience_retry::RetryLayer as EnhancedRetryLayer;

use crate::{
    adapters::{AfterError, BodyAlone, Budgeted, Failsafe, HeaderKey},
    drive::{Sample, now},
    inner::{Bare, BareAxum, KEY, Nothing, dressed, keyed, laden, plain, posted, probing},
    row::{Driver, Row},
    settings::{
        AMPLE, HOUR, bulkhead, circuit_breaker, daily, daily_governor, empty, governor, leaving,
        never, open, quota, rate_limiter, ready, rejecting_bulkhead, time_limiter, token_bucket,
    },
};

const BARE_AXUM: &str = "bare/axum-body";
const BARE_DRESSED: &str = "bare/12 headers";
const BARE_FAILING: &str = "bare/failing";
const BARE_KEYED: &str = "bare/axum-body+header";
const BARE_LADEN: &str = "bare/12 headers+body";
const BARE_PROBED: &str = "bare/probe";
const BUDGETED: &str = "tower/Retry+budget";
const CIRCUIT: &str = "tower-resilience/circuitbreaker";
const CLOCK: &str = "clock";
const CONSECUTIVE: &str = "failsafe/consecutive";
const ENHANCED: &str = "tower-resilience/retry";
const FAILED: &str = "palisade/retry failed";
const FAILSAFE: &str = "failsafe/default";
const FAMILY: &str = "stack/tower+governor+failsafe";
const GOVERNOR: &str = "tower_governor/header";
const GOVERNORS: &str = "tower_governor/header, two windows";
const LADEN_RETRY: &str = "tower/Retry with 12 headers and a body";
const RESILIENT: &str = "stack/tower-resilience";
const RETRY: &str = "tower/Retry";
const SHEDDING: &str = "tower/LoadShed+ConcurrencyLimit";
const TIMEOUT: &str = "tower/Timeout";

/// Ours stand beside the peer that they are compared with, so that they are measured close in time.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(crate) fn contenders() -> Vec<Row> {
    vec![
        Row::new("bare", plain, |inner: Bare| inner),
        Row::new("bare/again", plain, |inner: Bare| inner),
        Row::new("a body of one's own", plain, |inner: Bare| BodyAlone(inner)),
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
        Row::new("palisade/health", plain, |inner: Bare| HealthLayer::new(&ready()).layer(inner))
            .bound_over(Driver::Ready, "bare", 30.0)
            .beside(Driver::Ready, "palisade/limit-concurrency")
            .beside(Driver::Shared, "palisade/limit-concurrency"),
        Row::answering(
            StatusCode::SERVICE_UNAVAILABLE,
            "palisade/health refused",
            plain,
            |inner: Bare| HealthLayer::new(&leaving()).layer(inner),
        ),
        Row::new(BARE_PROBED, probing, |inner: Bare| inner),
        Row::new("palisade/health probe, 20 checks", probing, |inner: Bare| {
            HealthLayer::new(&ready()).layer(inner)
        })
        .over(BARE_PROBED)
        .bound_over(Driver::Ready, BARE_PROBED, 2000.0),
        clock(),
        beat(),
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
        Row::new(RETRY, plain, |inner: Bare| TowerRetryLayer::new(AfterError).layer(inner)),
        Row::new("palisade/retry Never", plain, |inner: Bare| never().layer(inner))
            .bound(Driver::Ready, RETRY, 0.5)
            .beside(Driver::Shared, RETRY),
        Row::new("palisade/retry IfNotSent", posted, |inner: Bare| {
            RetryLayer::default().layer(inner)
        })
        .beside(Driver::Ready, RETRY)
        .beside(Driver::Shared, RETRY),
        Row::new("palisade/retry Always", plain, |inner: Bare| RetryLayer::default().layer(inner))
            .bound(Driver::Ready, RETRY, 1.1)
            .bound(Driver::Ready, BUDGETED, 0.65)
            .beside(Driver::Shared, BUDGETED)
            .beside(Driver::Ready, ENHANCED),
        Row::new(BUDGETED, plain, |inner: Bare| TowerRetryLayer::new(Budgeted::new()).layer(inner)),
        Row::new(ENHANCED, plain, |inner: Bare| {
            type Enhanced = EnhancedRetryLayer<Request<Nothing>, Response<Nothing>, Infallible>;
            Enhanced::builder().max_attempts(3).build().layer(inner)
        }),
        Row::answering(StatusCode::SERVICE_UNAVAILABLE, BARE_FAILING, plain, |inner: Bare| {
            failing().layer(inner)
        }),
        Row::answering(StatusCode::SERVICE_UNAVAILABLE, FAILED, posted, |inner: Bare| {
            RetryLayer::default().layer(failing().layer(inner))
        })
        .over(BARE_FAILING),
        Row::answering(
            StatusCode::SERVICE_UNAVAILABLE,
            "palisade/retry refused by the budget",
            plain,
            |inner: Bare| empty().layer(failing().layer(inner)),
        )
        .over(BARE_FAILING)
        .bound_over(Driver::Ready, FAILED, 50.0),
        Row::new(RESILIENT, plain, |inner: Bare| {
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
        Row::new(BARE_LADEN, laden, |inner: Bare| inner),
        Row::new(LADEN_RETRY, laden, |inner: Bare| TowerRetryLayer::new(AfterError).layer(inner))
            .over(BARE_LADEN),
        Row::new("palisade/retry Always with 12 headers and a body", laden, |inner: Bare| {
            RetryLayer::default().layer(inner)
        })
        .over(BARE_LADEN)
        .beside(Driver::Ready, LADEN_RETRY),
        Row::new("palisade/retry Never with 12 headers and a body", laden, |inner: Bare| {
            never().layer(inner)
        })
        .over(BARE_LADEN)
        .beside(Driver::Ready, LADEN_RETRY),
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
        Row::new(FAMILY, keyed, |inner: BareAxum| {
            ServiceBuilder::new()
                .layer(TowerTimeoutLayer::new(HOUR))
                .layer(LoadShedLayer::new())
                .layer(ConcurrencyLimitLayer::new(AMPLE))
                .layer(governor(HeaderKey))
                .layer(TowerRetryLayer::new(AfterError))
                .service(Failsafe { inner, breaker: Config::new().build() })
        })
        .over(BARE_KEYED),
        Row::new("stack/palisade", keyed, |inner: BareAxum| {
            ServiceBuilder::new()
                .layer(TimeoutLayer::server(HOUR))
                .layer(LimitConcurrencyLayer::new(AMPLE))
                .layer(LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY)))
                .layer(never())
                .layer(BreakerLayer::default())
                .service(inner)
        })
        .over(BARE_KEYED)
        .bound(Driver::Ready, FAMILY, 0.45)
        .bound(Driver::Ready, RESILIENT, 0.15)
        .beside(Driver::Pending, FAMILY)
        .beside(Driver::Shared, FAMILY)
        .beside(Driver::Shared, RESILIENT),
        Row::new("stack/palisade, tried again", keyed, |inner: BareAxum| {
            ServiceBuilder::new()
                .layer(TimeoutLayer::server(HOUR))
                .layer(LimitConcurrencyLayer::new(AMPLE))
                .layer(LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY)))
                .layer(RetryLayer::default())
                .layer(BreakerLayer::default())
                .service(inner)
        })
        .over(BARE_KEYED)
        .beside(Driver::Ready, FAMILY),
    ]
}

/// What a heart beats by.
fn clock() -> Row {
    let look = |calls| {
        let began = now();
        for _ in 0..calls {
            black_box(Instant::now().into_std());
        }
        began.elapsed()
    };
    Row::named(CLOCK, CLOCK).driven(Driver::Ready, move || Box::new(look))
}

fn beat() -> Row {
    let make = || -> Sample {
        let health = Health::new();
        let pulse = health.liveness().pulse(Heartbeat::every("heart", HOUR));
        Box::new(move |calls| {
            let began = now();
            for _ in 0..calls {
                black_box(&pulse).beat();
            }
            black_box(&health);
            began.elapsed()
        })
    };
    Row::named("palisade/health beat", CLOCK).driven(Driver::Ready, make).bound_over(
        Driver::Ready,
        CLOCK,
        5.0,
    )
}

/// An upstream that has no room: the failure that is tried again.
fn failing() -> MapResponseLayer<fn(Response<Nothing>) -> Response<Nothing>> {
    MapResponseLayer::new(|mut response| {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    })
}
