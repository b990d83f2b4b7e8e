//! What one request pays for a layer while a second thread uses the same one:
//! `cargo bench --bench contention`.
//!
//! Both threads begin together and do the same number of requests; the time is the longer of the
//! two, over that number.
#![allow(missing_docs, reason = "criterion's macros")]

mod support;

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Uri};
use http_body_util::Empty;
use palisade::{
    breaker::{BreakerLayer, Trip},
    health::HealthLayer,
    limit_concurrency::LimitConcurrencyLayer,
    retry::RetryLayer,
    timeout::TimeoutLayer,
};
use support::{
    Bare, PendingOnce, exchange, exchange_at, exchange_empty, failing, healthy, never,
    open_breaker, out_of_budget, timers,
};
use tower::{
    Layer, Service, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer,
    timeout::TimeoutLayer as TowerTimeoutLayer,
};

const AMPLE: usize = 1024;

/// Longer than any run.
const HOUR: Duration = Duration::from_secs(3600);

/// Two clones of one service, a thread each.
fn from_two_threads<S>(service: &S, requests: u64) -> Duration
where
    S: Service<Request<()>> + Clone + Send,
{
    both(service, requests, exchange)
}

/// The same with requests whose body is one.
fn empty_from_two_threads<S>(service: &S, requests: u64) -> Duration
where
    S: Service<Request<Empty<Bytes>>> + Clone + Send,
{
    both(service, requests, exchange_empty)
}

fn both<S: Clone + Send>(
    service: &S,
    requests: u64,
    exchange: impl Fn(&mut S) + Copy + Send,
) -> Duration {
    let together = Barrier::new(2);
    let one = || {
        let mut service = service.clone();
        let together = &together;
        move || {
            let _context = timers();
            together.wait();
            #[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
            let began = Instant::now();
            for _ in 0..requests {
                exchange(&mut service);
            }
            began.elapsed()
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(one());
        let mine = one()();
        mine.max(other.join().expect("the other thread finishes"))
    })
}

fn breaker(c: &mut Criterion) {
    let mut group = c.benchmark_group("breaker from two threads");
    group.bench_function("bare", |b| b.iter_custom(|n| from_two_threads(&Bare, n)));

    let service = BreakerLayer::default().layer(Bare);
    group.bench_function("palisade, a rate or in a row", |b| {
        b.iter_custom(|n| from_two_threads(&service, n));
    });

    let service = BreakerLayer::new(Trip::consecutive(5)).layer(Bare);
    group.bench_function("palisade, in a row", |b| {
        b.iter_custom(|n| from_two_threads(&service, n));
    });

    let service = open_breaker().layer(Bare);
    group.bench_function("palisade, refused", |b| b.iter_custom(|n| from_two_threads(&service, n)));
    group.finish();
}

fn health(c: &mut Criterion) {
    let mut group = c.benchmark_group("health from two threads");
    group.bench_function("bare", |b| b.iter_custom(|n| empty_from_two_threads(&Bare, n)));

    let service = HealthLayer::new(&healthy(20)).layer(Bare);
    group.bench_function("palisade, no probe", |b| {
        b.iter_custom(|n| empty_from_two_threads(&service, n));
    });
    let path = Uri::from_static("/readyz");
    group.bench_function("palisade, a probe", |b| {
        b.iter_custom(|n| both(&service, n, |service| exchange_at(service, &path)));
    });
    group.finish();
}

fn limit_concurrency(c: &mut Criterion) {
    let mut group = c.benchmark_group("limit-concurrency from two threads");
    group.bench_function("bare", |b| b.iter_custom(|n| from_two_threads(&Bare, n)));

    let service = LimitConcurrencyLayer::new(AMPLE).layer(Bare);
    group.bench_function("palisade", |b| b.iter_custom(|n| from_two_threads(&service, n)));

    let service = GlobalConcurrencyLimitLayer::new(AMPLE).layer(Bare);
    group.bench_function("tower ConcurrencyLimit", |b| {
        b.iter_custom(|n| from_two_threads(&service, n));
    });

    let service = LoadShedLayer::new().layer(service);
    group.bench_function("tower LoadShed + ConcurrencyLimit", |b| {
        b.iter_custom(|n| from_two_threads(&service, n));
    });

    let service = LimitConcurrencyLayer::new(0).layer(Bare);
    group.bench_function("palisade, refused", |b| b.iter_custom(|n| from_two_threads(&service, n)));
    group.finish();
}

fn retry(c: &mut Criterion) {
    let _context = timers();
    let mut group = c.benchmark_group("retry from two threads");
    group.bench_function("bare", |b| b.iter_custom(|n| empty_from_two_threads(&Bare, n)));

    let service = never().layer(Bare);
    group.bench_function("palisade, never", |b| {
        b.iter_custom(|n| empty_from_two_threads(&service, n));
    });

    let service = RetryLayer::default().layer(Bare);
    group.bench_function("palisade, always", |b| {
        b.iter_custom(|n| empty_from_two_threads(&service, n));
    });

    let service = out_of_budget().layer(failing().layer(Bare));
    group.bench_function("palisade, refused", |b| {
        b.iter_custom(|n| empty_from_two_threads(&service, n));
    });
    group.finish();
}

fn timeout(c: &mut Criterion) {
    let _context = timers();
    let mut group = c.benchmark_group("timeout from two threads");
    group.bench_function("bare", |b| b.iter_custom(|n| from_two_threads(&Bare, n)));

    let service = TimeoutLayer::server(HOUR).layer(Bare);
    group.bench_function("palisade", |b| b.iter_custom(|n| from_two_threads(&service, n)));

    let service = TowerTimeoutLayer::new(HOUR).layer(Bare);
    group.bench_function("tower Timeout", |b| b.iter_custom(|n| from_two_threads(&service, n)));

    let service = TimeoutLayer::server(HOUR).layer(PendingOnce);
    group.bench_function("palisade, pending once", |b| {
        b.iter_custom(|n| from_two_threads(&service, n));
    });

    let service = TowerTimeoutLayer::new(HOUR).layer(PendingOnce);
    group.bench_function("tower Timeout, pending once", |b| {
        b.iter_custom(|n| from_two_threads(&service, n));
    });
    group.finish();
}

criterion_group!(benches, breaker, health, limit_concurrency, retry, timeout);
criterion_main!(benches);
