//! How the peers are set: with room for every request, else as their documentation suggests.

use std::{
    future::Future,
    num::NonZeroU32,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use governor::{clock::QuantaInstant, middleware::NoOpMiddleware};
use http::{Request, Response};
use http_body_util::Empty;
use palisade::{
    Backoff,
    breaker::{BreakerLayer, Policy, State, Trip},
    health::{Check, Health, Probe, Report, Status},
    limit_rate::Quota,
    retry::{Budget, Eligible, RetryLayer, RetryPolicy},
};
use tokio::runtime::Builder;
use tower::{Layer, Service, service_fn};
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, DefaultClassifier, SlidingWindowType};
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_timelimiter::{FixedTimeout, TimeLimiterLayer};

/// Far above what is ever in flight.
pub(crate) const AMPLE: usize = 1024;

/// So many that they do not run out.
pub(crate) const PLENTY: usize = 1 << 40;

/// Longer than any run.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The window of those that are filled.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(86_400);

/// `tower_governor`'s layer.
type Governor<K> = GovernorLayer<K, NoOpMiddleware<QuantaInstant>, Body>;

/// Without response headers.
pub(crate) fn governor<K: KeyExtractor>(key: K) -> Governor<K> {
    governed(key, Duration::from_nanos(1), 1 << 30)
}

/// By the day.
pub(crate) fn daily_governor<K: KeyExtractor>(key: K) -> Governor<K> {
    governed(key, DAY / u32::MAX, u32::MAX)
}

fn governed<K: KeyExtractor>(key: K, token: Duration, burst: u32) -> Governor<K> {
    let mut quota = GovernorConfigBuilder::default();
    let quota = quota.period(token).burst_size(burst).key_extractor(key).finish();
    GovernorLayer::new(quota.expect("the quota is not zero"))
}

/// The same for ours.
pub(crate) fn quota() -> Quota {
    let [rate, burst] = [1_000_000_000, 1 << 30].map(|n| NonZeroU32::new(n).expect("not zero"));
    Quota::per_second(rate).with_burst(burst)
}

/// By the day: as much as can be said.
pub(crate) fn daily() -> Quota {
    Quota::new(NonZeroU32::MAX, DAY)
}

pub(crate) fn bulkhead() -> BulkheadLayer {
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(AMPLE);
    bulkhead.build().expect("the limit is not zero")
}

pub(crate) fn rejecting_bulkhead() -> BulkheadLayer {
    let bulkhead = BulkheadLayer::builder().max_concurrent_calls(AMPLE).reject_when_full();
    bulkhead.build().expect("the limit is not zero")
}

pub(crate) fn circuit_breaker() -> CircuitBreakerLayer<DefaultClassifier> {
    CircuitBreakerLayer::builder().build().expect("the defaults are valid")
}

/// By a rate over a time window.
pub(crate) fn timed_circuit_breaker() -> CircuitBreakerLayer<DefaultClassifier> {
    let timed = CircuitBreakerLayer::builder()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(MINUTE);
    timed.build().expect("the window is not empty")
}

pub(crate) fn rate_limiter() -> RateLimiterLayer {
    let rate = RateLimiterLayer::builder().limit_for_period(PLENTY);
    rate.build().expect("the rate is not zero")
}

pub(crate) fn token_bucket() -> RateLimiterLayer {
    RateLimiterLayer::burst(PLENTY, PLENTY).build().expect("the rate is not zero")
}

pub(crate) fn time_limiter() -> TimeLimiterLayer<FixedTimeout> {
    TimeLimiterLayer::builder().timeout_duration(HOUR).build()
}

/// Ours, opened by a call that failed, and for longer than any run: its refusals say for how long.
pub(crate) fn open() -> BreakerLayer {
    let policy = Policy::new(Trip::consecutive(1)).with_open(Backoff::constant(HOUR));
    let layer = BreakerLayer::new(policy);
    let fails = service_fn(async |_: Request<()>| Err::<Response<Empty<Bytes>>, _>("it is down"));
    let mut service = layer.layer(fails);
    let failed = pin!(service.call(Request::new(()))).poll(&mut Context::from_waker(Waker::noop()));
    assert!(failed.is_ready() && layer.handle().state() == State::Open, "the circuit is not open");
    layer
}

/// Ours, ready by twenty checks that have passed and are not looked at any more.
pub(crate) fn ready() -> Health {
    let runtime = Builder::new_current_thread().enable_time().build();
    let health = Health::new();
    runtime.expect("a runtime can be made").block_on(async {
        let mut reports = health.subscribe();
        for number in 0..20 {
            let check = Check::new(format!("check {number}"), async || {}).critical();
            health.readiness().check(check.max_age(HOUR));
        }
        let passes = |report: &Arc<Report>| report.status(Probe::Readiness) == Status::Pass;
        reports.wait_for(passes).await.expect("the registry is there");
    });
    health
}

/// Ours, which lets in nothing any more.
pub(crate) fn leaving() -> Health {
    let health = Health::new();
    health.drain(Duration::ZERO);
    health
}

/// Ours for requests that are never tried again, whatever they are.
pub(crate) fn never() -> RetryLayer {
    RetryLayer::new(RetryPolicy::http().eligible(|_| Eligible::Never))
}

/// Ours with a budget that is empty for good.
pub(crate) fn empty() -> RetryLayer {
    RetryLayer::new(RetryPolicy::http().budget(Budget::ratio(1e-9).floor(0).burst(0)))
}
