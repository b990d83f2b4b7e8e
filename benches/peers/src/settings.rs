//! How the peers are set: with room for every request, else as their documentation suggests.

use std::{num::NonZeroU32, time::Duration};

use axum::body::Body;
use governor::{clock::QuantaInstant, middleware::NoOpMiddleware};
use palisade::limit_rate::Quota;
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder, key_extractor::KeyExtractor};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, DefaultClassifier};
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_timelimiter::{FixedTimeout, TimeLimiterLayer};

/// Far above what is ever in flight.
pub(crate) const AMPLE: usize = 1024;

/// So many that they do not run out.
pub(crate) const PLENTY: usize = 1 << 40;

/// Longer than any run.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

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
