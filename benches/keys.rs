//! What a store of rate limits pays for one key, without a layer around it: `cargo bench --bench keys`.
//!
//! Keys are IPv6 addresses. Those that are known are asked about in no order, and the clock is read
//! for each check, as the layer does. `benches/peers` measures the same beside governor.
#![allow(missing_docs, reason = "criterion's macros")]

use std::{
    hint::black_box,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use palisade::limit_rate::{Quota, Store, TableStore};

const ONE: NonZeroU32 = NonZeroU32::MIN;

/// More than is ever asked for.
const AMPLE: Quota = Quota::per_second(NonZeroU32::new(1_000_000_000).unwrap())
    .with_burst(NonZeroU32::new(1 << 30).unwrap());

const MILLION: u64 = 1_000_000;

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The address by this number. Neighbours have nothing in common.
fn address(nth: u64) -> IpAddr {
    let mixed = u128::from(nth + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    IpAddr::V6(Ipv6Addr::from_bits(mixed ^ (mixed >> 64)))
}

/// Numbers below a bound, in no order.
struct Below {
    state: u64,
    bound: u64,
}

impl Below {
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        ((self.state >> 32) * self.bound) >> 32
    }
}

/// With room for so many keys, all of which have been there.
fn known(keys: u64, quota: Quota) -> TableStore {
    let capacity = usize::try_from(keys).expect("fits in memory").max(TableStore::new().capacity());
    let store = TableStore::new().with_capacity(capacity);
    for nth in 0..keys {
        store.take(&address(nth), quota.into(), ONE, now());
    }
    store
}

fn one_thread(c: &mut Criterion) {
    let mut group = c.benchmark_group("keyed check");
    let mut numbers = Below { state: 1, bound: MILLION };
    group.bench_function("nothing", |b| b.iter(|| black_box(address(numbers.next()))));
    for (name, keys) in [("hot", 1), ("1k", 1000), ("100k", 100_000), ("1M", MILLION)] {
        let store = known(keys, AMPLE);
        let mut numbers = Below { state: 1, bound: keys };
        group.bench_function(name, |b| {
            b.iter(|| store.take(&address(numbers.next()), AMPLE.into(), ONE, now()).allowed());
        });
    }

    let hourly = Quota::per_hour(ONE);
    let store = known(1, hourly);
    group.bench_function("hot, denied", |b| {
        b.iter(|| store.take(&address(0), hourly.into(), ONE, now()).allowed());
    });

    let empty = || TableStore::new().with_capacity(1 << 20);
    group.bench_function("new, a thousand times", |b| {
        b.iter_batched_ref(
            empty,
            |store| (0..1000).filter(|nth| take(store, *nth)).count(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn take(store: &TableStore, nth: u64) -> bool {
    store.take(&address(nth), AMPLE.into(), ONE, now()).allowed()
}

/// Both threads begin together and do the same number of checks; the time is the longer of the two.
fn from_two_threads(store: &TableStore, quota: Quota, keys: u64, checks: u64) -> Duration {
    let together = Barrier::new(2);
    let one = |state| {
        let (mut numbers, together) = (Below { state, bound: keys }, &together);
        move || {
            together.wait();
            let began = now();
            for _ in 0..checks {
                black_box(store.take(&address(numbers.next()), quota.into(), ONE, now()).allowed());
            }
            began.elapsed()
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(one(1));
        let mine = one(2)();
        mine.max(other.join().expect("the other thread finishes"))
    })
}

fn two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("keyed check from two threads");
    let hourly = Quota::per_hour(ONE);
    let rows = [("hot", 1, AMPLE), ("1M", MILLION, AMPLE), ("hot, denied", 1, hourly)];
    for (name, keys, quota) in rows {
        let store = known(keys, quota);
        group.bench_function(name, |b| {
            b.iter_custom(|checks| from_two_threads(&store, quota, keys, checks));
        });
    }
    group.finish();
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
