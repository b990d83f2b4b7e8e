//! The map held against a bucket for each key.

use std::{collections::HashMap, thread};

use proptest::prelude::*;

use super::{
    tests::{SECOND, n, start},
    *,
};
use crate::{Bucket, Quota, Store, Sweep, Window, model::quotas};

/// Two threads, on the same keys at the same times: together they get what one would.
#[test]
fn two_threads_get_what_one_would() {
    let (store, begin) = (ExactStore::<u32>::new(), start());
    let (quota, keys, rounds) = (Quota::per_second(n(50)), 200_u32, 300_u32);
    let ask = || {
        let mut allowed = vec![0_u32; 200];
        for round in 0..rounds {
            let now = begin + round * SECOND / 100;
            for key in 0..keys {
                let decision = store.take(&key, quota.into(), n(1), now);
                allowed[key as usize] += u32::from(decision.allowed());
            }
        }
        allowed
    };
    thread::scope(|scope| {
        let other = scope.spawn(ask);
        for (here, there) in ask().into_iter().zip(other.join().unwrap()) {
            assert_eq!(here + there, 50 + (rounds - 1) / 2);
        }
    });
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Take(u8, u32),
    Charge(u8, u32),
    Get(u8),
    Refund(u8, u32),
    Set(u8, Quota),
    Reset(u8),
    Sweep,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let key = || 0..8_u8;
    let event = prop_oneof![
        3 => (0..62_u32, any::<u64>()).prop_map(|(bits, nanos)| Event::Pass(nanos % (1 << bits))),
        8 => (key(), 1..4_u32).prop_map(|(key, cost)| Event::Take(key, cost)),
        2 => (key(), 1..9_u32).prop_map(|(key, cost)| Event::Charge(key, cost)),
        2 => key().prop_map(Event::Get),
        1 => (key(), 1..4_u32).prop_map(|(key, cost)| Event::Refund(key, cost)),
        1 => (key(), quotas()).prop_map(|(key, quota)| Event::Set(key, quota)),
        1 => key().prop_map(Event::Reset),
        2 => Just(Event::Sweep),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    /// Whatever happens to other keys, and whenever the collector comes by: each window of each key
    /// is a bucket.
    #[test]
    fn decides_exactly_as_a_bucket_for_each_key(quota in quotas(), events in events()) {
        let store = ExactStore::<String>::new().with_max_keys(8).with_ttl(Duration::ZERO);
        let (mut now, mut model) = (start(), HashMap::<u8, (Bucket, Quota)>::new());
        for event in events {
            let name = |key: u8| ["alice", "bob"][usize::from(key % 2)];
            let window = |key: u8| Window::new(u32::from(key / 2), quota);
            let mut bucket = |key: u8| *model.entry(key).or_insert((Bucket::full(), quota));
            let (key, after) = match event {
                Event::Pass(nanos) => {
                    now = now.checked_add(Duration::from_nanos(nanos)).unwrap_or(now);
                    continue;
                }
                Event::Sweep => {
                    Sweep::sweep(&store, now);
                    continue;
                }
                Event::Take(key, cost) => {
                    let (mut bucket, own) = bucket(key);
                    let told = store.take(name(key), window(key), n(cost), now);
                    prop_assert_eq!(told, bucket.take(own, n(cost), now));
                    (key, (bucket, own))
                }
                Event::Charge(key, cost) => {
                    let (mut bucket, own) = bucket(key);
                    let told = store.charge(name(key), window(key), n(cost), now);
                    prop_assert_eq!(told, bucket.charge(own, n(cost), now));
                    (key, (bucket, own))
                }
                Event::Get(key) => {
                    let (bucket, own) = bucket(key);
                    prop_assert_eq!(store.get(name(key), window(key), now), bucket.get(own, now));
                    (key, (bucket, own))
                }
                Event::Refund(key, cost) => {
                    let (mut bucket, own) = bucket(key);
                    store.refund(name(key), window(key), n(cost), now);
                    bucket.refund(own, n(cost), now);
                    (key, (bucket, own))
                }
                Event::Set(key, own) => {
                    let window = Window::new(window(key).index(), own);
                    prop_assert!(store.set(name(key), window, None, now).is_ok());
                    (key, (bucket(key).0, own))
                }
                Event::Reset(key) => {
                    Store::reset(&store, name(key), window(key));
                    (key, (Bucket::full(), quota))
                }
            };
            model.insert(key, after);
        }
        prop_assert_eq!(store.evicted_live(), 0);
    }
}
