//! What somebody does who wants more than their share, or to take down the limiter.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use palisade_limit_rate::{ExactStore, Quota, Store, TableStore, Window};

const ONE: NonZeroU32 = NonZeroU32::MIN;
const FIVE: NonZeroU32 = NonZeroU32::new(5).unwrap();

/// Ten million; a debug build is twenty times slower and gets a tenth of them.
const FLOOD: u32 = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };

#[allow(clippy::disallowed_methods, reason = "stores are given their times")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn a_flood_of_keys_grows_nothing_and_frees_nobody_who_is_blocked() {
    let store = TableStore::new().with_capacity(1 << 16);
    let (quota, start) = (Quota::per_hour(FIVE), start());
    let blocked = ["mallory", "trudy", "eve", "oscar", "craig", "walter", "sybil", "chuck"];
    for key in blocked {
        assert!(store.take(key, quota.into(), FIVE, start).allowed());
    }
    let memory = store.memory();
    let allocated = measure(|| {
        for key in 0..FLOOD {
            // All of it within a minute, in which nobody gets a token back.
            let now = start + Duration::from_micros(u64::from(key) * 60_000_000 / u64::from(FLOOD));
            store.take(&key, quota.into(), ONE, now);
        }
    });
    assert_eq!(allocated.count_total, 0);
    assert_eq!((store.memory(), memory), (1 << 20, 1 << 20));
    assert!(store.len() <= 7 * store.memory() / 64, "{}", store.len());
    assert!(store.evicted_live() > 0, "the flood was no flood");
    let late = start + Duration::from_secs(61);
    for key in blocked {
        let refused = store.take(key, quota.into(), ONE, late);
        assert!(!refused.allowed(), "{key} got an amnesty");
        assert_eq!(refused.remaining(), 0);
    }
}

/// Where each key that is new is copied, and each that goes is freed.
#[test]
fn a_flood_of_exact_keys_holds_no_more_than_there_is_room_for_and_frees_nobody_who_is_blocked() {
    const KEYS: usize = 1 << 14;
    const FLOOD: u32 = self::FLOOD / 4;
    let store = ExactStore::<Vec<u8>>::new().with_max_keys(KEYS);
    let (quota, start) = (Quota::per_hour(FIVE), start());
    let blocked = [&b"mallory"[..], b"trudy", b"eve", b"oscar", b"craig", b"walter", b"sybil"];
    for key in blocked {
        assert!(store.take(key, quota.into(), FIVE, start).allowed());
    }
    let memory = store.memory();
    let allocated = measure(|| {
        for key in 0..FLOOD {
            // All of it within a minute, in which nobody gets a token back.
            let now = start + Duration::from_micros(u64::from(key) * 60_000_000 / u64::from(FLOOD));
            store.take(&key.to_be_bytes()[..], quota.into(), ONE, now);
        }
    });
    // Each of four bytes, and nothing beside them.
    assert_eq!(allocated.count_total, u64::from(FLOOD));
    assert!(allocated.count_max <= KEYS as u64 && allocated.bytes_max <= 4 * KEYS as u64);
    assert!(store.len() <= KEYS && store.memory() == memory, "{}", store.len());
    assert!(store.evicted_live() > u64::from(FLOOD) / 2, "the flood was no flood");
    let late = start + Duration::from_secs(61);
    for key in blocked {
        let refused = store.take(key, quota.into(), ONE, late);
        assert_eq!((refused.allowed(), refused.remaining()), (false, 0), "{key:?} got an amnesty");
    }
    // Nor does it hide them from the operator.
    let seen = store.iter(quota.into(), late).filter(|(_, decision)| !decision.allowed());
    assert_eq!(seen.count(), blocked.len());
}

/// As long as a server takes them: the copies are what there is room for, too.
#[test]
fn long_exact_keys_hold_as_many_as_there_is_room_for_and_no_more() {
    const KEYS: usize = 1 << 10;
    const LONG: usize = 8 << 10;
    let store = ExactStore::<Vec<u8>>::new().with_max_keys(KEYS);
    let (quota, now) = (Quota::per_hour(FIVE), start());
    let mut key = vec![0; LONG];
    let allocated = measure(|| {
        for count in 0..10_000_u32 {
            key[4096..4100].copy_from_slice(&count.to_be_bytes());
            assert!(store.take(&key[..], quota.into(), ONE, now).allowed());
        }
    });
    // One more while it takes another's place.
    assert!(allocated.bytes_max <= ((KEYS + 1) * LONG) as u64, "{allocated:?}");
    assert_eq!(store.len(), KEYS);
}

/// Half a million keys, far more than there is room for, by two windows of very different length: of no
/// window does a blocked key get an amnesty.
fn keeps_both_windows_of_a_blocked_key_through_a_flood(store: &impl Store<str>) {
    let (second, day) = (Quota::per_second(FIVE), "5000/d burst 500".parse().unwrap());
    let (windows, start) = ([Window::new(0, second), Window::new(1, day)], start());
    let five_hundred = NonZeroU32::new(500).unwrap();
    for key in ["mallory", "trudy", "eve", "oscar"] {
        assert!(store.take(key, windows[1], five_hundred, start).allowed());
    }
    // Half of the flood comes before the second window is used up, and half after it.
    let mut name = String::new();
    let mut flood = |from: u32, now| {
        for number in from..from + 250_000 {
            name.clear();
            std::fmt::Write::write_fmt(&mut name, format_args!("{number}")).unwrap();
            assert!(store.take_all(&name, &windows, ONE, now).allowed());
        }
    };
    flood(0, start);
    for key in ["alice", "bob", "carol", "dave"] {
        assert!(store.take(key, windows[0], FIVE, start).allowed());
    }
    flood(250_000, start);
    for key in ["mallory", "trudy", "eve", "oscar"] {
        assert_eq!(store.get(key, windows[1], start).remaining(), 0, "{key} of the day's");
    }
    for key in ["alice", "bob", "carol", "dave"] {
        assert_eq!(store.get(key, windows[0], start).remaining(), 0, "{key} of the second's");
    }
}

#[test]
fn a_flood_frees_nobody_of_a_short_window_beside_a_long_one() {
    let table = TableStore::new().with_capacity(1 << 12);
    keeps_both_windows_of_a_blocked_key_through_a_flood(&table);
    assert!(table.evicted_live() > 100_000, "the flood was no flood");
    let exact = ExactStore::<String>::new().with_max_keys(1 << 12);
    keeps_both_windows_of_a_blocked_key_through_a_flood(&exact);
    assert!(exact.evicted_live() > 100_000, "the flood was no flood");
    assert!(exact.len() <= 1 << 12);
}

#[test]
fn at_the_stated_capacity_few_are_evicted() {
    let keys = 100_000;
    let store = TableStore::new().with_capacity(keys);
    let (quota, now) = (Quota::per_hour(FIVE), start());
    let refused = (0..keys).filter(|key| !store.take(key, quota.into(), FIVE, now).allowed());
    // Somebody else's bucket was taken for theirs.
    assert!(refused.count() <= 5);
    assert!(store.evicted_live() < keys as u64 / 100, "{}", store.evicted_live());
    assert!(store.memory() <= 16 * keys + 64);
}

#[test]
fn long_keys_cost_no_memory() {
    let store = TableStore::new();
    let (quota, now) = (Quota::per_hour(FIVE), start());
    let mut key = "x".repeat(8 << 10).into_bytes();
    let allocated = measure(|| {
        for count in 0..2000_u32 {
            key[4096..4100].copy_from_slice(&count.to_be_bytes());
            assert!(store.take(&key[..], quota.into(), ONE, now).allowed());
            assert!(!store.get(&key[..], quota.into(), now).is_never());
        }
    });
    assert_eq!((allocated.count_total, store.len()), (0, 2000));
}

fn tells_a_blocked_key_that_hammers_the_same(store: &impl Store<str>) {
    let (quota, now) = (Quota::per_hour(FIVE), start());
    assert!(store.take("mallory", quota.into(), FIVE, now).allowed());
    let told = store.take("mallory", quota.into(), ONE, now);
    let allocated = measure(|| {
        for _ in 0..1000 {
            assert_eq!(store.take("mallory", quota.into(), ONE, now), told);
        }
    });
    assert_eq!(told.retry_after(), Some(Duration::from_secs(720)));
    assert_eq!((allocated.count_total, store.len()), (0, 1));
}

#[test]
fn a_blocked_key_that_hammers_is_told_the_same_and_writes_nothing() {
    tells_a_blocked_key_that_hammers_the_same(&TableStore::new());
    tells_a_blocked_key_that_hammers_the_same(&ExactStore::<String>::new());
}
