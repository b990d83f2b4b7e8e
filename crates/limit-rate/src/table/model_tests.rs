//! The table held against buckets that count tokens.

use std::{collections::HashMap, mem, sync::atomic::AtomicU64, thread};

use foldhash::quality::FixedState;
use proptest::{prelude::*, test_runner::TestCaseError};

use super::{
    tests::{DAY, SECOND, n, store},
    *,
};
use crate::{
    Bucket, Decision, Quota, Store,
    bucket::nanos,
    model::{Level, quotas},
};

/// Two threads, and for each key a bucket of the model that both take from under a lock: together
/// they must get as much as the clock allows, and not a token more.
#[test]
fn two_threads_get_what_one_would() {
    let (store, begin) = store(1 << 12);
    let quota = Quota::per_second(n(50));
    let keys = 200_u64;
    let given: Vec<_> = (0..keys).map(|_| AtomicU64::new(0)).collect();
    let rounds = if cfg!(debug_assertions) { 300_u32 } else { 3000 };
    thread::scope(|scope| {
        for seed in 0..2 {
            let (store, given) = (&store, &given);
            scope.spawn(move || {
                for round in 0..rounds {
                    let now = begin + round * SECOND / 100;
                    for key in 0..keys {
                        let key = if seed == 0 { key } else { keys - 1 - key };
                        let allowed = store.take(&key, quota.into(), n(1), now).allowed();
                        let slot = &given[usize::try_from(key).unwrap()];
                        slot.fetch_add(u64::from(allowed), Relaxed);
                    }
                }
            });
        }
    });
    // Each asks 100 times a second, of 50 + 50 a second.
    let allowed = 50 + u64::from(rounds - 1) / 2;
    for given in given {
        assert_eq!(given.into_inner(), allowed.min(2 * u64::from(rounds)));
    }
    assert_eq!((store.evicted_live(), store.len()), (0, 200));
}

#[derive(Clone, Debug)]
enum Event {
    Pass(Duration),
    Take(u8, u32),
    Get(u8),
    Refund(u8, u32),
    Reset(u8),
    Sweep(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let time = prop_oneof![
        4 => (0..3_000_000_000_u64).prop_map(Duration::from_nanos),
        2 => (0..400_u64).prop_map(Duration::from_secs),
        1 => (0..40_u32).prop_map(|days| days * DAY),
        1 => (0..20_u32).prop_map(|years| years * 366 * DAY),
    ];
    let event = prop_oneof![
        3 => time.prop_map(Event::Pass),
        8 => (0..6_u8, 1..4_u32).prop_map(|(key, cost)| Event::Take(key, cost)),
        2 => (0..6_u8).prop_map(Event::Get),
        1 => (0..6_u8, 1..4_u32).prop_map(|(key, cost)| Event::Refund(key, cost)),
        1 => (0..6_u8).prop_map(Event::Reset),
        2 => (1..3_usize).prop_map(Event::Sweep),
    ];
    proptest::collection::vec(event, 0..150)
}

/// With a seed by which no two of the keys here are taken for one another, which would happen once in
/// a few dozen runs.
fn small_store(keys: usize, min_ttl: Duration) -> TableStore<FixedState> {
    let store = TableStore::new().with_capacity(keys).with_ttl(min_ttl);
    store.with_hasher(FixedState::with_seed(5))
}

/// Holds a table against one model a key; returns what it decided.
fn held_to_model(
    quota: Quota,
    min_ttl: Duration,
    events: &[Event],
    collect: bool,
) -> Result<Vec<Decision>, TestCaseError> {
    let store = small_store(64, min_ttl);
    let tick =
        1 << word::Scale::holding((2 * quota.fill_nanos() + nanos(min_ttl)).min(1 << 61)).shift();
    let (begin, mut passed) = (store.beginning, Duration::ZERO);
    let mut models: HashMap<u8, (Level, u64)> = HashMap::new();
    let mut decisions = Vec::new();
    for event in events {
        let (now, ticks) = (begin + passed, nanos(passed) / tick);
        let mut model = |key: u8| {
            let (level, at) =
                models.entry(key).or_insert_with(|| (Level::in_ticks(quota, tick), ticks));
            level.pass(ticks - *at);
            *at = ticks;
            mem::replace(level, Level::in_ticks(quota, tick))
        };
        let (key, after) = match *event {
            Event::Pass(time) => {
                passed += time;
                continue;
            }
            Event::Sweep(_) if !collect => continue,
            Event::Sweep(lines) => {
                store.lines.sweep(lines, nanos(passed));
                continue;
            }
            Event::Take(key, cost) => {
                let (mut level, cost) = (model(key), n(cost));
                let decision = store.take(&key, quota.into(), cost, now);
                level.take(cost, &decision)?;
                decisions.push(decision);
                (key, level)
            }
            Event::Get(key) => {
                let level = model(key);
                let decision = store.get(&key, quota.into(), now);
                level.is_told_by(&decision)?;
                decisions.push(decision);
                (key, level)
            }
            Event::Refund(key, cost) => {
                let mut level = model(key);
                store.refund(&key, quota.into(), n(cost), now);
                level.refund(n(cost));
                (key, level)
            }
            Event::Reset(key) => {
                model(key);
                Store::reset(&store, &key, quota.into());
                (key, Level::in_ticks(quota, tick))
            }
        };
        models.insert(key, (after, ticks));
    }
    prop_assert_eq!(store.evicted_live(), 0);
    Ok(decisions)
}

proptest! {
    /// Times jump by seconds, days and years; the collector comes by at any moment, or never.
    #[test]
    fn decides_like_its_model_with_a_collector_and_without(
        quota in quotas(),
        min_ttl in prop_oneof![Just(0), Just(10), Just(200), Just(1_000_000)],
        events in events(),
    ) {
        let min_ttl = Duration::from_secs(min_ttl);
        let with = held_to_model(quota, min_ttl, &events, true)?;
        prop_assert_eq!(with, held_to_model(quota, min_ttl, &events, false)?);
    }

    /// Nothing in between: in nanoseconds the table *is* the machine.
    #[test]
    fn a_bucket_that_fills_soon_decides_exactly_as_the_machine(
        limit in 1..2000_u32,
        takes in proptest::collection::vec((0..2_000_000_000_u64, 1..5_u32), 0..200),
    ) {
        let (store, mut now) = store(64);
        let (quota, mut bucket) = (Quota::per_minute(n(limit)), Bucket::full());
        for (later, cost) in takes {
            now += Duration::from_nanos(later);
            let decision = store.take("alice", quota.into(), n(cost), now);
            prop_assert_eq!(decision, bucket.take(quota, n(cost), now));
        }
    }

    /// What is charged may be more than the scale of the quota holds; then it is kept in a longer tick,
    /// rounded up.
    #[test]
    fn what_is_owed_is_paid_back_whatever_its_scale(
        (quota, events) in (1..2_000_u64, 1..50_u32).prop_flat_map(|(seconds, limit)| {
            let event = (0..seconds, any::<bool>(), 1..2 * limit + 2);
            let quota = Quota::new(n(limit), Duration::from_secs(seconds));
            (Just(quota), proptest::collection::vec(event, 1..60))
        }),
    ) {
        let (store, mut now) = store(64);
        let (mut bucket, mut ticks) = (Bucket::full(), Duration::ZERO);
        for (later, charge, cost) in events {
            now += Duration::from_secs(later);
            let decisions = if charge {
                [store.charge("alice", quota.into(), n(cost), now), bucket.charge(quota, n(cost), now)]
            } else {
                [store.take("alice", quota.into(), n(cost), now), bucket.take(quota, n(cost), now)]
            };
            // Each may round up once, by a tick of at most 256 ns, and each token's time as well.
            ticks += Duration::from_nanos(256 * (2 + u64::from(cost)));
            let [told, exact] = decisions.map(|decision| decision.reset_after());
            prop_assert!(told >= exact || decisions[1].allowed() != decisions[0].allowed());
            if decisions[0].allowed() != decisions[1].allowed() {
                // By a rounding at the edge; from here on they are two different buckets.
                prop_assert!(decisions[1].allowed());
                return Ok(());
            }
            prop_assert!(told.saturating_sub(exact) <= ticks, "{told:?} for {exact:?}");
        }
    }

    /// Of whatever size and however crowded: a key never gets more than the exact bucket would have
    /// given, and one tick more, but for what was evicted alive.
    #[test]
    fn a_crowd_gets_no_more_than_its_evictions(
        takes in proptest::collection::vec((0..40_u8, 0..1_000_000_u64), 0..400),
    ) {
        let store = small_store(1, Duration::ZERO);
        let (quota, mut now) = (Quota::per_hour(n(3)), store.beginning);
        let (mut buckets, mut extra) = (HashMap::<u8, Bucket>::new(), 0_u64);
        for (key, later) in takes {
            now += Duration::from_nanos(later);
            let exact = buckets.entry(key).or_default().take(quota, n(1), now).allowed();
            let allowed = store.take(&key, quota.into(), n(1), now).allowed();
            prop_assert!(allowed || !exact);
            extra += u64::from(allowed && !exact);
        }
        prop_assert!(extra <= 3 * store.evicted_live());
        prop_assert!(store.len() <= 14);
    }
}
