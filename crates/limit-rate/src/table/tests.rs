use std::{hash::RandomState as SipHash, num::NonZeroU32};

use super::*;
use crate::{Quota, Store, Sweep, Window};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

/// A store, and the moment from which on the tests count: the beginning of a tick of every scale.
pub(super) fn store(keys: usize) -> (TableStore, Instant) {
    let store = TableStore::new().with_capacity(keys);
    let now = store.beginning;
    (store, now)
}

fn takes(store: &TableStore, key: &str, quota: Quota, now: Instant) -> bool {
    store.take(key, quota.into(), n(1), now).allowed()
}

#[test]
fn each_key_has_a_bucket_of_its_own_in_each_window() {
    let (store, now) = store(100);
    let quota = Quota::per_minute(n(2));
    for key in ["alice", "bob"] {
        for index in 0..3 {
            let window = Window::new(index, quota);
            assert_eq!(store.take(key, window, n(1), now).remaining(), 1);
            assert_eq!(store.take(key, window, n(1), now).remaining(), 0);
            let refused = store.take(key, window, n(1), now);
            assert_eq!(refused.retry_after(), Some(30 * SECOND));
        }
    }
    assert_eq!(store.len(), 6);
}

#[test]
fn looking_changes_nothing() {
    let (store, now) = store(100);
    let window = Quota::per_second(n(5)).into();
    for _ in 0..3 {
        assert_eq!(store.get("alice", window, now).remaining(), 5);
    }
    assert!(store.is_empty());
    assert!(store.take("alice", window, n(3), now).allowed());
    for _ in 0..3 {
        let seen = store.get("alice", window, now);
        assert_eq!((seen.remaining(), seen.allowed()), (2, true));
        assert_eq!(seen.reset_after(), 3 * SECOND / 5);
    }
    // Years later, though nobody looked the line through.
    assert_eq!(store.get("alice", window, now + 5000 * DAY).remaining(), 5);
}

#[test]
fn what_is_given_back_never_exceeds_the_burst() {
    let (store, now) = store(100);
    let window = Quota::per_second(n(10)).into();
    store.refund("alice", window, n(5), now);
    assert!(store.is_empty());
    assert!(store.take("alice", window, n(7), now).allowed());
    store.refund("alice", window, n(2), now);
    assert_eq!(store.get("alice", window, now).remaining(), 5);
    store.refund("alice", window, NonZeroU32::MAX, now);
    assert_eq!(store.get("alice", window, now).remaining(), 10);
    assert!(store.take("alice", window, n(10), now).allowed());
    assert!(!store.take("alice", window, n(1), now).allowed());
}

#[test]
fn a_key_that_is_reset_begins_anew() {
    let (store, now) = store(100);
    let quota = Quota::per_hour(n(1));
    assert!(takes(&store, "alice", quota, now) && takes(&store, "bob", quota, now));
    Store::reset(&store, "alice", quota.into());
    assert_eq!(store.len(), 1);
    assert!(takes(&store, "alice", quota, now) && !takes(&store, "bob", quota, now));
}

#[test]
fn another_quota_keeps_what_is_owed_as_time_whatever_its_scale() {
    let (store, now) = store(100);
    let (fast, slow) = (Quota::per_second(n(10)), Quota::new(n(1000), 30 * DAY));
    assert!(store.take("alice", fast.into(), n(10), now).allowed());
    assert_eq!(store.get("alice", slow.into(), now).remaining(), 999);
    // A month's tokens are taken; then the client is moved to the fast plan, and back.
    assert!(store.take("alice", slow.into(), n(500), now).allowed());
    let refused = store.take("alice", fast.into(), n(1), now);
    assert!(!refused.allowed() && refused.retry_after().unwrap() > 14 * DAY);
    assert_eq!(store.get("alice", slow.into(), now).remaining(), 499);
    store.refund("alice", fast.into(), n(10), now);
    assert_eq!(store.get("alice", slow.into(), now).remaining(), 499);
    store.refund("alice", slow.into(), n(500), now);
    assert!(store.take("alice", fast.into(), n(1), now + SECOND).allowed());
    assert_eq!(store.len(), 1);
}

#[test]
fn a_quota_of_its_own_lives_until_its_time_has_passed() {
    let (store, now) = store(100);
    let (usual, own) = (Quota::per_minute(n(2)), Quota::per_minute(n(5)));
    store.set("alice", own.into(), Some(now + DAY), now).unwrap();
    let decision = store.take("alice", usual.into(), n(3), now);
    assert!(decision.allowed());
    assert_eq!((decision.policy(), decision.limit(), decision.remaining()), (own, 5, 2));
    assert!(!store.take("bob", usual.into(), n(3), now).allowed());
    assert!(!store.take("alice", Window::new(1, usual), n(3), now).allowed());
    // The collector takes the bucket and leaves the quota.
    let later = now + Duration::from_secs(86_399);
    while !store.is_empty() {
        Sweep::sweep(&store, later);
    }
    assert_eq!(store.get("alice", usual.into(), later).policy(), own);
    assert_eq!(store.get("alice", usual.into(), now + DAY).policy(), usual);
}

#[test]
fn a_quota_of_its_own_goes_with_a_reset_and_with_another() {
    let (store, now) = store(100);
    let (usual, own) = (Quota::per_minute(n(2)), Quota::per_minute(n(5)));
    store.set("alice", own.into(), None, now).unwrap();
    assert_eq!(store.get("alice", usual.into(), now + 1000 * DAY).policy(), own);
    let other = Quota::per_second(n(9));
    store.set("alice", other.into(), None, now).unwrap();
    assert_eq!(store.get("alice", usual.into(), now).policy(), other);
    Store::reset(&store, "alice", usual.into());
    assert_eq!(store.get("alice", usual.into(), now).policy(), usual);
}

#[test]
fn there_are_only_so_many_quotas_of_their_own() {
    let store = TableStore::new().with_max_overrides(2);
    let now = store.beginning;
    let own = Quota::per_second(n(5)).into();
    store.set("alice", own, Some(now + SECOND), now).unwrap();
    store.set("bob", own, None, now).unwrap();
    store.set("bob", own, None, now).unwrap();
    let error = store.set("carol", own, None, now).unwrap_err();
    assert_eq!(
        error.to_string(),
        "2 keys have a quota of their own, and there is room for no more"
    );
    // Whose time has passed makes room.
    store.set("carol", own, None, now + SECOND).unwrap();
    assert_eq!(store.get("carol", Quota::per_second(n(1)).into(), now).limit(), 5);
}

#[test]
fn the_memory_is_sixteen_bytes_a_key_and_never_grows() {
    for keys in [1_000, 65_536, 100_000, 1_000_000] {
        let store = TableStore::new().with_capacity(keys);
        assert!(store.memory() <= 16 * keys + 127, "{keys}: {}", store.memory());
        assert_eq!(store.capacity(), keys);
    }
    assert_eq!(TableStore::new().memory(), 1 << 20);
    assert_eq!(TableStore::new().with_capacity(0).memory(), 128);
    assert_eq!(size_of::<line::Line>(), LINE);
    assert_eq!(align_of::<line::Line>(), LINE);
}

#[test]
fn a_step_of_the_collector_is_bounded() {
    let (store, now) = store(1_000_000);
    let quota = Quota::per_second(n(1));
    for key in 0..100_000_u32 {
        store.take(&key, quota.into(), n(1), now);
    }
    let (mut len, mut steps, late) = (store.len(), 0, now + 20 * SECOND);
    assert!(len > 99_900);
    while len > 0 {
        let wait = Sweep::sweep(&store, late).unwrap();
        assert_eq!(wait, 60 * SECOND / 977);
        assert!(len - store.len() <= TableStore::<RandomState>::SLOTS_PER_STEP);
        (len, steps) = (store.len(), steps + 1);
    }
    assert!(steps <= 977, "more than a round");
}

#[test]
fn only_buckets_that_have_been_full_for_a_while_are_collected() {
    let store = TableStore::new().with_ttl(30 * SECOND);
    let (now, quota) = (store.beginning, Quota::per_minute(n(60)));
    for key in 0..1000_u32 {
        assert!(store.take(&key, quota.into(), n(10), now).allowed());
    }
    let sweep_all = |now| {
        for _ in 0..100 {
            Sweep::sweep(&store, now);
        }
    };
    sweep_all(now + 39 * SECOND);
    assert_eq!(store.len(), 1000);
    sweep_all(now + 40 * SECOND);
    assert_eq!(store.len(), 0);
}

#[test]
fn new_keys_collect_without_a_runtime() {
    let (store, now) = store(4096);
    let quota = Quota::per_second(n(1));
    for key in 0..2000_u32 {
        store.take(&key, quota.into(), n(1), now);
    }
    // Each new key sweeps a line, and the table has 1,024 of them.
    for key in 10_000..11_024_u32 {
        store.take(&key, quota.into(), n(1), now + 20 * SECOND);
    }
    assert!(store.len() <= 1024, "{}", store.len());
}

#[test]
fn closing_ends_the_collecting_and_nothing_else() {
    let (store, now) = store(100);
    let quota = Quota::per_hour(n(1));
    assert!(Sweep::sweep(&store, now).is_some());
    Store::<str>::close(&store);
    assert!(Sweep::sweep(&store, now).is_none());
    assert!(takes(&store, "alice", quota, now) && !takes(&store, "alice", quota, now));
}

#[test]
fn a_bucket_never_comes_back_to_life() {
    for quota in [Quota::per_second(n(1)), Quota::per_hour(n(10)), Quota::new(n(3), 366 * DAY)] {
        let (burst, (store, mut now)) = (quota.burst(), store(64));
        // Idle for all kinds of times, in which the words' ring goes round often or not quite.
        for bits in 30..62 {
            for idle in
                [(1_u64 << bits) - 1, 1 << bits, 3 << (bits - 1), (3 << (bits - 1)) + 12_345]
            {
                let key = bits.to_string();
                now += quota.interval() + SECOND;
                let taken = store.take(&key, quota.into(), burst, now);
                assert!(taken.allowed());
                let idle = Duration::from_nanos(idle).max(taken.reset_after());
                assert!(!store.take(&key, quota.into(), n(1), now).allowed());
                let Some(later) = now.checked_add(idle).filter(|_| bits < 58) else { continue };
                assert_eq!(store.get(&key, quota.into(), later).remaining(), burst.get());
                assert!(store.take(&key, quota.into(), burst, later).allowed(), "{quota} {idle:?}");
                now = later;
            }
        }
    }
}

#[test]
fn a_clock_that_jumps_back_only_delays() {
    let (store, now) = store(64);
    let quota = Quota::per_second(n(5));
    let now = now + 1000 * DAY;
    assert!(store.take("alice", quota.into(), n(5), now).allowed());
    for back in [Duration::from_nanos(1), SECOND, 500 * SECOND, DAY, 999 * DAY, 2000 * DAY] {
        let then = now.checked_sub(back).unwrap_or(store.beginning);
        let refused = store.take("alice", quota.into(), n(1), then);
        assert!(!refused.allowed());
        assert!(refused.retry_after().unwrap() >= SECOND / 5);
    }
    assert!(takes(&store, "alice", quota, now + SECOND / 5));
}

#[test]
fn a_clock_that_stays_back_gives_nobody_more_than_a_burst() {
    let (store, now) = store(64);
    let quota = Quota::per_second(n(5));
    let ahead = now + 1000 * DAY;
    assert!(takes(&store, "alice", quota, ahead));
    for back in [SECOND, 500 * SECOND, DAY] {
        let then = ahead.checked_sub(back).expect("it is after the beginning");
        let key = format!("{back:?}");
        let allowed = (0..20).filter(|_| takes(&store, &key, quota, then)).count();
        assert!(allowed <= 5, "{allowed} after {back:?}");
        let allowed = (0..20).filter(|_| takes(&store, "alice", quota, then)).count();
        assert!(allowed <= 4, "{allowed} after {back:?}");
    }
}

/// Only the lines that it touched itself stand still until their time has come.
#[test]
fn one_caller_with_a_clock_that_is_ahead_does_not_spread_its_time() {
    let (store, now) = store(4096);
    let quota = Quota::per_second(n(1));
    assert!(takes(&store, "ahead", quota, now + 3600 * SECOND));
    for key in 0..20_000 {
        takes(&store, &key.to_string(), quota, now);
    }
    let later = now + 5 * SECOND;
    let refused = (0..20_000).filter(|key| !takes(&store, &key.to_string(), quota, later)).count();
    assert!(refused < 100, "{refused} of 20,000");
}

#[test]
fn two_tables_have_two_seeds() {
    let window = Quota::per_second(n(1)).into();
    let (one, other) = (TableStore::new(), TableStore::new());
    assert_ne!(one.hash("alice", &window), other.hash("alice", &window));
    let (one, other) = (one.with_hasher(SipHash::new()), other.with_hasher(SipHash::new()));
    assert_ne!(one.hash("alice", &window), other.hash("alice", &window));
}

#[test]
fn no_key_and_no_hash_is_shown() {
    let (store, now) = store(64);
    let quota = Quota::per_second(n(1));
    takes(&store, "alice", quota, now);
    store.set("alice", quota.into(), None, now).unwrap();
    let shown = format!("{store:?}");
    let hash = store.hash("alice", &quota.into()).to_string();
    assert!(!shown.contains("alice") && !shown.contains(&hash), "{shown}");
    assert!(shown.contains("len: 1"), "{shown}");
}
