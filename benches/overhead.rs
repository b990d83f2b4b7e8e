//! What one request pays for a layer, on one thread: `cargo bench --bench overhead`.
//!
//! The timed loop builds a request, asks for readiness, calls, polls until there is a response and
//! drops it.
//! Services are made outside of it.
#![allow(missing_docs, reason = "criterion's macros")]

mod support;

use std::{num::NonZeroU32, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use http::Uri;
use palisade::{
    breaker::{BreakerLayer, KeyedBreakerLayer, Policy, Trip},
    health::{Health, HealthLayer, Heartbeat},
    key::{Global, HeaderKey},
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{LimitRateLayer, Quota},
    retry::{Eligible, RetryLayer, RetryPolicy},
    timeout::TimeoutLayer,
};
use support::{
    Bare, KEY, PendingOnce, exchange, exchange_at, exchange_empty, exchange_full, exchange_keyed,
    failing, healthy, never, open_breaker, out_of_budget, timers,
};
use tokio::time::Instant;
use tower::{
    Layer, limit::ConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer as TowerTimeoutLayer,
};

/// Far above what one thread has in flight.
const AMPLE: usize = 1024;

/// Longer than any run.
const HOUR: Duration = Duration::from_secs(3600);

fn limit_concurrency(c: &mut Criterion) {
    let mut group = c.benchmark_group("limit-concurrency");
    let mut service = Bare;
    group.bench_function("bare", |b| b.iter(|| exchange(&mut service)));

    let mut service = LimitConcurrencyLayer::new(AMPLE).layer(Bare);
    group.bench_function("palisade", |b| b.iter(|| exchange(&mut service)));

    let mut service = ConcurrencyLimitLayer::new(AMPLE).layer(Bare);
    group.bench_function("tower ConcurrencyLimit", |b| b.iter(|| exchange(&mut service)));

    let limit = ConcurrencyLimitLayer::new(AMPLE);
    let mut service = LoadShedLayer::new().layer(limit.layer(Bare));
    group.bench_function("tower LoadShed + ConcurrencyLimit", |b| {
        b.iter(|| exchange(&mut service));
    });

    let mut service = LimitConcurrencyLayer::new(0).layer(Bare);
    group.bench_function("palisade, refused", |b| b.iter(|| exchange(&mut service)));
    group.finish();
}

fn timeout(c: &mut Criterion) {
    let _context = timers();
    let mut group = c.benchmark_group("timeout");
    let mut service = Bare;
    group.bench_function("bare", |b| b.iter(|| exchange(&mut service)));

    let mut service = TimeoutLayer::server(HOUR).layer(Bare);
    group.bench_function("palisade", |b| b.iter(|| exchange(&mut service)));

    let mut service = TimeoutLayer::server(HOUR).shared().layer(Bare);
    group.bench_function("palisade, shared", |b| b.iter(|| exchange(&mut service)));

    let mut service = TowerTimeoutLayer::new(HOUR).layer(Bare);
    group.bench_function("tower Timeout", |b| b.iter(|| exchange(&mut service)));

    let mut service = PendingOnce;
    group.bench_function("bare, pending once", |b| b.iter(|| exchange(&mut service)));

    let mut service = TimeoutLayer::server(HOUR).layer(PendingOnce);
    group.bench_function("palisade, pending once", |b| b.iter(|| exchange(&mut service)));

    let mut service = TowerTimeoutLayer::new(HOUR).layer(PendingOnce);
    group.bench_function("tower Timeout, pending once", |b| b.iter(|| exchange(&mut service)));
    group.finish();
}

fn limit_rate(c: &mut Criterion) {
    let mut group = c.benchmark_group("limit-rate");
    let mut service = Bare;
    group.bench_function("bare", |b| b.iter(|| exchange_keyed(&mut service)));

    let ample = Quota::per_second(NonZeroU32::new(1_000_000_000).expect("not zero"));
    let mut service = LimitRateLayer::new(ample, HeaderKey::new(KEY)).layer(Bare);
    group.bench_function("palisade, by header", |b| b.iter(|| exchange_keyed(&mut service)));

    let mut service = LimitRateLayer::new(ample, Global).layer(Bare);
    group.bench_function("palisade, one for all", |b| b.iter(|| exchange(&mut service)));

    let hourly = Quota::per_hour(NonZeroU32::MIN);
    let mut service = LimitRateLayer::new(hourly, HeaderKey::new(KEY)).layer(Bare);
    group.bench_function("palisade, refused", |b| b.iter(|| exchange_keyed(&mut service)));
    group.finish();
}

fn breaker(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker");
    let mut service = Bare;
    group.bench_function("bare", |b| b.iter(|| exchange(&mut service)));

    let mut service = BreakerLayer::default().layer(Bare);
    group.bench_function("palisade, a rate or in a row", |b| b.iter(|| exchange(&mut service)));

    let mut service = BreakerLayer::new(Trip::consecutive(5)).layer(Bare);
    group.bench_function("palisade, in a row", |b| b.iter(|| exchange(&mut service)));

    let slow = Trip::slow(HOUR, 0.5);
    let mut service = BreakerLayer::new(Trip::default().or(slow)).layer(Bare);
    group.bench_function("palisade, slow calls too", |b| b.iter(|| exchange(&mut service)));

    let layer = KeyedBreakerLayer::new(Policy::default(), Global);
    let mut service = layer.layer(Bare);
    group.bench_function("palisade, keyed", |b| b.iter(|| exchange(&mut service)));

    let mut service = open_breaker().layer(Bare);
    group.bench_function("palisade, refused", |b| b.iter(|| exchange(&mut service)));
    group.finish();
}

fn retry(c: &mut Criterion) {
    let _context = timers();
    let mut group = c.benchmark_group("retry");
    let mut service = Bare;
    group.bench_function("bare", |b| b.iter(|| exchange_empty(&mut service)));

    let mut service = never().layer(Bare);
    group.bench_function("palisade, never", |b| b.iter(|| exchange_empty(&mut service)));

    let if_not_sent = RetryPolicy::http().eligible(|_| Eligible::IfNotSent);
    let mut service = RetryLayer::new(if_not_sent).layer(Bare);
    group.bench_function("palisade, if not sent", |b| b.iter(|| exchange_empty(&mut service)));

    let mut service = RetryLayer::default().layer(Bare);
    group.bench_function("palisade, always", |b| b.iter(|| exchange_empty(&mut service)));
    group.bench_function("palisade, always, with a body", |b| {
        b.iter(|| exchange_full(&mut service));
    });

    let mut service = failing().layer(Bare);
    group.bench_function("bare, failing", |b| b.iter(|| exchange_empty(&mut service)));

    let mut service = out_of_budget().layer(failing().layer(Bare));
    group.bench_function("palisade, refused", |b| b.iter(|| exchange_empty(&mut service)));
    group.finish();
}

fn health(c: &mut Criterion) {
    let mut group = c.benchmark_group("health");
    let mut service = Bare;
    group.bench_function("bare", |b| b.iter(|| exchange_empty(&mut service)));

    let health = healthy(20);
    let layer = HealthLayer::new(&health);
    let mut service = layer.layer(Bare);
    group.bench_function("palisade, no probe", |b| b.iter(|| exchange_empty(&mut service)));
    let path = Uri::from_static("/readyz");
    group.bench_function("palisade, a probe", |b| b.iter(|| exchange_at(&mut service, &path)));
    let query = Uri::from_static("/readyz?verbose");
    let mut service = layer.with_details(|_| true).layer(Bare);
    group.bench_function("palisade, a probe with details", |b| {
        b.iter(|| exchange_at(&mut service, &query));
    });
    let mut service = Bare;
    group.bench_function("bare, at a path", |b| b.iter(|| exchange_at(&mut service, &path)));

    let leaving = Health::new();
    leaving.drain(Duration::ZERO);
    let mut service = HealthLayer::new(&leaving).layer(Bare);
    group.bench_function("palisade, refused", |b| b.iter(|| exchange_empty(&mut service)));

    let pulse = health.readiness().pulse(Heartbeat::every("heart", HOUR));
    group.bench_function("a beat", |b| b.iter(|| pulse.beat()));
    group.bench_function("a look at the clock", |b| b.iter(|| Instant::now().into_std()));
    pulse.retire();
    group.finish();
}

criterion_group!(benches, breaker, health, limit_concurrency, limit_rate, retry, timeout);
criterion_main!(benches);
