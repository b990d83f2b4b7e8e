//! How long a check may take while a million keys are collected.

use std::{
    collections::hash_map::RandomState,
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use governor::clock::QuantaClock;

use super::{
    MILLION,
    check::{Below, Key, fill},
    stores::{Allowance, Governor, Palisade, Store, TokioClock},
    stores::{Collected, PATIENCE},
};
use crate::drive::now;

/// What checks took in one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(crate) longest: Duration,
    /// All but one in a thousand took less.
    pub(crate) most: Duration,
    /// How many there were. Of a thousand or fewer, `most` is the longest.
    pub(crate) checks: usize,
}

/// A way to collect.
pub(crate) struct Collecting {
    pub(crate) name: &'static str,
    /// How long it went on, and checks meanwhile, and checks in a run as long without it.
    pub(crate) runs: Vec<(Duration, [Stall; 2])>,
}

/// A million keys whose buckets are full again are collected by one thread, while another one checks
/// keys in no order.
pub(crate) fn collecting(runs: usize) -> Vec<Collecting> {
    let repeated = |name, run: &dyn Fn() -> (Duration, [Stall; 2])| Collecting {
        name,
        runs: (0..runs).map(|_| run()).collect(),
    };
    vec![
        repeated("governor: retain_recent, shrink_to_fit", &|| {
            type Store = Governor<IpAddr, RandomState, QuantaClock>;
            run(
                || Store::holding(MILLION, Allowance::Ample),
                |store: &Store| {
                    store.retain_recent();
                    store.shrink_to_fit();
                },
            )
        }),
        repeated("palisade: all steps at once", &|| {
            run(Palisade::<TokioClock>::impatient, Palisade::collect_at_once)
        }),
        repeated("palisade: its collector", &|| {
            run(Palisade::<TokioClock>::impatient, Palisade::collect_in_steps)
        }),
    ]
}

/// What is collected has to be there first, and to be gone in the end: else nothing was measured, and it
/// says so.
fn run<S: Collected>(make: impl Fn() -> S, collect: impl Fn(&S) + Sync) -> (Duration, [Stall; 2]) {
    let filled = || {
        let store = make();
        fill::<IpAddr>(&store, MILLION);
        #[allow(clippy::disallowed_methods, reason = "a bench waits for real time to pass")]
        thread::sleep(PATIENCE + PATIENCE / 4);
        let known = store.known();
        if known < 950_000 {
            println!("only {known} of a million keys were there to be collected");
        }
        store
    };
    let store = filled();
    let (took, collected) = checked_while(&store, || {
        collect(&store);
    });
    let left = store.known();
    if left > 400_000 {
        println!("{left} of a million keys are left: this machine is too busy to collect in time");
    }
    // Not the same store: keys that are gone are new again.
    let store = filled();
    let (_, undisturbed) = checked_while(&store, || {
        let began = now();
        while began.elapsed() < took {
            std::hint::spin_loop();
        }
    });
    (took, [collected, undisturbed])
}

/// Checks keys one by one while this goes on, which is told how long it took. They are a quarter of
/// all, since a key that is checked after it went is there again.
fn checked_while<S: Store<IpAddr>>(store: &S, work: impl Fn() + Sync) -> (Duration, Stall) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let began = now();
            work();
            done.store(true, Ordering::Release);
            began.elapsed()
        });
        let mut checks = Vec::with_capacity(1 << 24);
        let (mut numbers, mut key) = (Below::new(1, MILLION / 4), IpAddr::nth(0));
        let mut last = now();
        while !done.load(Ordering::Acquire) {
            key.become_nth(numbers.next());
            std::hint::black_box(store.allows(&key));
            let after = now();
            checks.push(after - last);
            last = after;
        }
        let took = worker.join().expect("the collector finishes");
        checks.sort_unstable();
        let most = checks[checks.len() - 1 - checks.len() / 1000];
        (took, Stall { longest: checks[checks.len() - 1], most, checks: checks.len() })
    })
}
