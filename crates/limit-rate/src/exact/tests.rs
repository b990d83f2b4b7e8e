use std::{
    hash::RandomState as SipHash,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use http::HeaderName;
use palisade_key::{ClientNet, HeaderKey};

use super::*;
use crate::{LimitRateLayer, Quota, Store, Sweep, Window};

pub(super) const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

#[allow(clippy::disallowed_methods, reason = "stores are given their times")]
pub(super) fn start() -> Instant {
    Instant::now()
}

fn store(max_keys: usize) -> (ExactStore<String>, Instant) {
    (ExactStore::new().with_max_keys(max_keys), start())
}

fn takes(store: &ExactStore<String>, key: &str, quota: Quota, now: Instant) -> bool {
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

#[tokio::test(start_paused = true)]
async fn keys_of_any_kind_are_looked_up_as_they_are_lent() {
    let quota = Quota::per_second(n(1));
    let header = HeaderKey::new(HeaderName::from_static("x-api-key"));
    let layer = LimitRateLayer::new(quota, header).with_store(ExactStore::new());
    assert!(layer.handle().take(b"blue", n(1)).allowed());
    assert!(!layer.handle().take(b"blue", n(1)).allowed());
    let by_net = |_: palisade_core::Head<'_>| Some(ClientNet::of([192, 0, 2, 1].into()));
    let layer = LimitRateLayer::new(quota, by_net).with_store(ExactStore::new());
    let alice = "2001:db8::/64".parse().unwrap();
    assert!(layer.handle().take(&alice, n(1)).allowed());
    let same = "2001:db8::5".parse().unwrap();
    assert!(!layer.handle().take(&same, n(1)).allowed());
    assert_eq!(layer.handle().len(), 1);
}

#[test]
fn looking_and_refusing_remember_nothing() {
    let (store, now) = store(100);
    let window = Quota::per_second(n(5)).into();
    assert_eq!(store.get("alice", window, now).remaining(), 5);
    assert!(store.take("alice", window, n(6), now).is_never());
    store.refund("alice", window, n(5), now);
    Store::reset(&store, "alice", window);
    assert!(store.is_empty());
}

#[test]
fn there_are_never_more_keys_than_its_maximum() {
    let quota = Quota::per_hour(n(5)).into();
    for most in [0, 1, 2, 100, 1024, 5000, 70_000] {
        let (store, now) = store(most);
        let store = store.with_hasher(SipHash::new());
        for key in 0..most + most / 2 + 10 {
            assert!(store.take(&key.to_string()[..], quota, n(1), now).allowed());
        }
        assert!(store.len() <= most.max(1), "{} of {most}", store.len());
        assert!(store.len() >= most - most / 10);
        let evicted = usize::try_from(store.evicted_live()).unwrap();
        assert_eq!(evicted + store.len(), most + most / 2 + 10);
    }
}

#[test]
fn at_its_maximum_few_are_evicted_and_at_nine_tenths_none() {
    let (store, now) = store(1 << 16);
    let quota = Quota::per_hour(n(5)).into();
    let fill = |keys: std::ops::Range<u32>| {
        for key in keys {
            store.take(&key.to_string()[..], quota, n(1), now);
        }
        store.evicted_live()
    };
    // A shard gets more than its room when it is four and a half deviations from the mean.
    assert!(fill(0..57_000) <= 30);
    assert!(fill(57_000..1 << 16) < 2 * 655);
}

#[test]
fn who_is_blocked_stays_blocked_through_a_flood() {
    let (store, now) = store(2000);
    let (quota, blocked) = (Quota::per_hour(n(5)), ["mallory", "trudy", "eve", "oscar"]);
    for key in blocked {
        assert!(store.take(key, quota.into(), n(5), now).allowed());
    }
    for key in 0..100_000 {
        assert!(takes(&store, &key.to_string(), quota, now));
    }
    assert!(store.evicted_live() > 97_000);
    for key in blocked {
        assert!(!takes(&store, key, quota, now), "{key} got an amnesty");
    }
}

#[test]
fn a_bucket_that_is_full_goes_before_one_that_is_not() {
    let (store, now) = store(16);
    let (slow, fast) = (Quota::per_hour(n(5)), Quota::per_second(n(5)));
    for key in 0..16 {
        let quota = if key % 2 == 0 { slow } else { fast };
        assert!(takes(&store, &key.to_string(), quota, now));
    }
    // Not for so long that the collector would have them.
    for key in 16..24 {
        assert!(takes(&store, &key.to_string(), slow, now + 5 * SECOND));
    }
    assert_eq!((store.len(), store.evicted_live()), (16, 0));
    assert!(takes(&store, "25", slow, now + 5 * SECOND));
    assert_eq!((store.len(), store.evicted_live()), (16, 1));
}

#[test]
fn a_step_of_the_collector_is_bounded_and_a_round_takes_all() {
    let (store, now) = store(70_000);
    let quota = Quota::per_second(n(1));
    for key in 0..60_000 {
        takes(&store, &key.to_string(), quota, now);
    }
    let (mut len, mut steps) = (store.len(), 0);
    assert!(len > 59_900);
    // Full after a second, and kept for ten more.
    for _ in 0..320 {
        Sweep::sweep(&store, now + Duration::from_nanos(10_999_999_999));
    }
    assert_eq!(store.len(), len);
    while len > 0 {
        let wait = Sweep::sweep(&store, now + 11 * SECOND).unwrap();
        assert_eq!(wait, 60 * SECOND / 320);
        assert!(len - store.len() <= ExactStore::<String>::PLACES_PER_STEP);
        (len, steps) = (store.len(), steps + 1);
    }
    assert!(steps <= 320, "more than a round");
}

#[test]
fn new_keys_collect_without_a_runtime() {
    let (store, now) = store(1000);
    let quota = Quota::per_second(n(1));
    for key in 0..800 {
        takes(&store, &key.to_string(), quota, now);
    }
    for key in 800..900 {
        takes(&store, &key.to_string(), quota, now + 20 * SECOND);
    }
    assert_eq!(store.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn the_collector_works_until_it_is_closed() {
    let store = Arc::new(ExactStore::<String>::new().with_sweep_interval(10 * SECOND));
    let now = || tokio::time::Instant::now().into_std();
    store.start();
    takes(&store, "alice", Quota::per_second(n(1)), now());
    tokio::time::sleep(22 * SECOND).await;
    assert!(store.is_empty() && store.collector().is_running());
    Store::<str>::close(&*store);
    tokio::time::sleep(SECOND).await;
    store.start();
    assert!(!store.collector().is_running());
    assert!(takes(&store, "alice", Quota::per_second(n(1)), now()));
}

#[test]
fn a_quota_of_its_own_lives_until_its_time_has_passed_and_is_the_keys_alone() {
    let (store, now) = store(100);
    let (usual, own) = (Quota::per_minute(n(2)), Quota::per_minute(n(5)));
    store.set("alice", own.into(), Some(now + DAY), now).unwrap();
    let decision = store.take("alice", usual.into(), n(3), now);
    assert_eq!((decision.policy(), decision.remaining()), (own, 2));
    assert!(!store.take("bob", usual.into(), n(3), now).allowed());
    assert!(!store.take("alice", Window::new(1, usual), n(3), now).allowed());
    // The collector takes the bucket and leaves the quota.
    Sweep::sweep(&store, now + DAY / 2);
    assert!(store.is_empty());
    assert_eq!(store.get("alice", usual.into(), now + DAY / 2).policy(), own);
    assert_eq!(store.get("alice", usual.into(), now + DAY).policy(), usual);
    Store::reset(&store, "alice", usual.into());
    assert_eq!(store.get("alice", usual.into(), now).policy(), usual);
}

#[test]
fn there_are_only_so_many_quotas_of_their_own() {
    let store = ExactStore::<String>::new().with_max_overrides(2);
    let (now, own) = (start(), Quota::per_second(n(5)).into());
    store.set("alice", own, Some(now + SECOND), now).unwrap();
    for _ in 0..3 {
        store.set("bob", own, None, now).unwrap();
    }
    assert_eq!(store.set("carol", own, None, now).unwrap_err().max(), 2);
    // Whose time has passed makes room, and so does who is reset.
    store.set("carol", own, None, now + SECOND).unwrap();
    store.set("dave", own, None, now + SECOND).unwrap_err();
    Store::reset(&store, "carol", own);
    Store::reset(&store, "carol", own);
    store.set("dave", own, None, now + SECOND).unwrap();
    store.set("erin", own, None, now + SECOND).unwrap_err();
}

#[test]
fn an_operator_sees_each_key_once_and_may_stop_or_change_it_meanwhile() {
    let (store, now) = store(20_000);
    let quota = Quota::per_hour(n(3));
    for key in 0..5000 {
        store.take(&key.to_string()[..], quota.into(), n(1 + key % 3), now);
        store.take(&key.to_string()[..], Window::new(1, quota), n(1), now);
    }
    store.set("7", Quota::per_hour(n(100)).into(), None, now).unwrap();
    let (mut seen, mut blocked) = (vec![false; 5000], 0);
    for (key, decision) in store.iter(quota.into(), now) {
        let at: usize = key.parse().unwrap();
        assert!(!std::mem::replace(&mut seen[at], true), "{key} is told twice");
        assert_eq!(decision, store.get(&key[..], quota.into(), now));
        blocked += u32::from(!decision.allowed());
        if at.is_multiple_of(7) {
            Store::reset(&store, &key[..], quota.into());
        }
    }
    assert!(seen.into_iter().all(|seen| seen));
    assert_eq!(blocked, 1666);
    assert_eq!(store.iter(quota.into(), now).take(3).count(), 3);
    assert_eq!(store.iter(Window::new(2, quota), now).count(), 0);
}

#[test]
fn a_key_takes_44_bytes_and_itself() {
    assert_eq!(shelf::Shelf::<String, shard::Kept>::PLACE, 44 + size_of::<String>());
    assert_eq!(shelf::Shelf::<u64, shard::Kept>::PLACE, 44 + 8);
    assert_eq!(shelf::Shelf::<ClientNet, shard::Kept>::PLACE, 44 + size_of::<ClientNet>() + 7);
    let store = ExactStore::<u64>::new().with_max_keys(100_000);
    assert!(store.memory() <= 52 * 100_000 + 64 * 384, "{}", store.memory());
}

#[test]
fn no_key_is_shown() {
    let (store, now) = store(64);
    let quota = Quota::per_second(n(1));
    takes(&store, "alice", quota, now);
    store.set("alice", quota.into(), None, now).unwrap();
    let shown = format!("{store:?} {:?}", store.iter(quota.into(), now));
    assert!(!shown.contains("alice"), "{shown}");
    assert!(shown.contains("len: 1"), "{shown}");
}
