use std::{sync::Arc, thread, time::Duration};

use allocation_counter::measure;
use proptest::prelude::*;

use super::*;
use crate::{Bucket, ExactStore, Quota, Store, TableStore, TooManyOverrides, model::quotas};

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

#[allow(clippy::disallowed_methods, reason = "stores are given their times")]
fn start() -> Instant {
    Instant::now()
}

fn windows<const N: usize>(quotas: [&str; N]) -> [Window; N] {
    let mut index = 0..;
    quotas.map(|quota| Window::new(index.next().expect("no end"), quota.parse().expect("a quota")))
}

fn left(told: &Decisions) -> Vec<(bool, u32)> {
    told.iter().map(|decision| (decision.allowed(), decision.remaining())).collect()
}

fn charges_nothing_when_any_window_refuses(store: &impl Store<str>) {
    let (windows, now) = (windows(["10/s", "4/min", "100/d"]), start());
    let told = store.take_all("alice", &windows, n(3), now);
    assert_eq!(left(&told), [(true, 7), (true, 1), (true, 97)]);
    for _ in 0..5 {
        let told = store.take_all("alice", &windows, n(2), now);
        assert!(!told.allowed());
        assert_eq!(left(&told), [(true, 7), (false, 1), (true, 97)]);
        let (at, binding) = told.binding().expect("three");
        assert_eq!((at, binding.retry_after()), (1, Some(Duration::from_secs(15))));
        assert_eq!(binding.cost(), n(2));
    }
    assert!(store.take_all("alice", &windows, n(1), now).allowed());
    assert!(store.take_all("bob", &windows, n(4), now).allowed());
    // More than the second ever allows.
    let told = store.take_all("carol", &windows, n(5), now);
    assert!(told.binding().expect("three").1.is_never());
    assert_eq!(store.len(), 6);
}

#[test]
fn a_refusal_anywhere_charges_nothing_anywhere() {
    charges_nothing_when_any_window_refuses(&TableStore::new());
    charges_nothing_when_any_window_refuses(&ExactStore::<String>::new());
}

fn keeps_a_keys_own_quota_in_one_window_of_several(store: &impl Store<str>) {
    let (windows, now) = (windows(["10/s", "4/min"]), start());
    let own = Window::new(1, "7/min".parse().expect("a quota"));
    store.set("alice", own, None, now).expect("there is room");
    let told = store.take_all("alice", &windows, n(5), now);
    assert_eq!(left(&told), [(true, 5), (true, 2)]);
    assert_eq!(told.binding().expect("two").1.policy(), own.quota());
}

#[test]
fn a_key_keeps_its_own_quota_in_one_window_of_several() {
    keeps_a_keys_own_quota_in_one_window_of_several(&TableStore::new());
    keeps_a_keys_own_quota_in_one_window_of_several(&ExactStore::<String>::new());
}

#[test]
fn a_window_that_is_named_twice_is_charged_twice_or_not_at_all() {
    let [window] = windows(["3/h"]);
    let (exact, table, now) = (ExactStore::<u8>::new(), TableStore::new(), start());
    for allowed in [true, false] {
        assert_eq!(exact.take_all(&1, &[window; 2], n(1), now).allowed(), allowed);
        assert_eq!(table.take_all(&1, &[window; 2], n(1), now).allowed(), allowed);
        assert_eq!(exact.get(&1, window, now).remaining(), 1);
        assert_eq!(table.get(&1, window, now).remaining(), 1);
    }
}

#[test]
fn any_number_of_windows_will_do_and_four_allocate_nothing() {
    let (store, now, mut count) = (TableStore::new(), start(), 0);
    let many: Vec<_> = (0..9).map(|index| Window::new(index, "5/h".parse().unwrap())).collect();
    assert!(store.take_all("alice", &[], n(1), now).allowed());
    assert_eq!(store.take_all("alice", &[], n(1), now).binding(), None);
    let allocated = measure(|| {
        for _ in 0..10 {
            count += u32::from(store.take_all("alice", &many[..4], n(1), now).allowed());
        }
    });
    assert_eq!((allocated.count_total, count), (0, 5));
    let told = store.take_all("bob", &many, n(4), now);
    assert_eq!(left(&told), [(true, 1); 9]);
    let told = store.take_all("bob", &many, n(4), now);
    assert_eq!(left(&told), [(false, 1); 9]);
}

#[test]
fn what_refuses_for_longest_binds_and_else_what_is_nearest_to_it() {
    let now = start();
    let of = |takes: &[(&str, u32)]| {
        let mut told = Decisions::default();
        for (quota, taken) in takes {
            let (mut bucket, quota) = (Bucket::full(), quota.parse().unwrap());
            bucket.take(quota, n(*taken), now);
            told.push(bucket.take(quota, n(1), now));
        }
        told.binding().unwrap().0
    };
    assert_eq!(of(&[("5/s", 1), ("9/d", 5), ("9/d", 5), ("4/h", 1)]), 3);
    assert_eq!(of(&[("5/s", 1), ("5/d", 1), ("5/h", 1)]), 1);
    assert_eq!(of(&[("5/s", 5), ("5/h", 5), ("5/min", 5), ("5/d", 1)]), 1);
    assert_eq!(of(&[("5/s", 1), ("5/s", 1)]), 0);
}

/// Somebody else empties the last window between a look and a take.
struct Raced(TableStore);

impl Store<str> for Raced {
    fn take(&self, key: &str, window: Window, cost: NonZeroU32, now: Instant) -> Decision {
        if window.index() == 2 {
            while self.0.take(key, window, cost, now).allowed() {}
        }
        self.0.take(key, window, cost, now)
    }

    fn get(&self, key: &str, window: Window, now: Instant) -> Decision {
        self.0.get(key, window, now)
    }

    fn set(
        &self,
        key: &str,
        window: Window,
        until: Option<Instant>,
        now: Instant,
    ) -> Result<(), TooManyOverrides> {
        self.0.set(key, window, until, now)
    }

    fn reset(&self, key: &str, window: Window) {
        self.0.reset(key, window);
    }

    fn refund(&self, key: &str, window: Window, cost: NonZeroU32, now: Instant) {
        self.0.refund(key, window, cost, now);
    }

    fn close(&self) {}

    fn len(&self) -> usize {
        self.0.len()
    }
}

#[test]
fn who_loses_a_race_in_one_window_is_given_back_what_was_taken_in_others() {
    let (store, now) = (Raced(TableStore::new()), start());
    let windows = windows(["5/s", "6/min", "7/h", "8/d"]);
    let told = store.take_all("alice", &windows, n(2), now);
    assert_eq!(left(&told), [(true, 5), (true, 6), (false, 1), (true, 8)]);
    assert_eq!(told.binding().unwrap().0, 2);
    for (window, left) in windows.iter().zip([5, 6, 1, 8]) {
        assert_eq!(store.get("alice", *window, now).remaining(), left);
    }
}

/// Two threads on the same windows, from either end. Returns the fewest and the most that any key got.
fn stress<St: Store<u32> + Send + Sync + 'static>(store: St) -> [u32; 2] {
    let (store, now) = (Arc::new(store), start());
    let windows = windows(["900/h", "700/d"]);
    let reversed = [windows[1], windows[0]];
    let keys = 0..if cfg!(debug_assertions) { 20_u32 } else { 200 };
    let takes = |windows: &[Window]| {
        let ask = |key| {
            let allowed = (0..1000).filter(|_| store.take_all(&key, windows, n(1), now).allowed());
            u32::try_from(allowed.count()).expect("a thousand")
        };
        keys.clone().map(ask).collect::<Vec<_>>()
    };
    let [one, other] = thread::scope(|scope| {
        let other = scope.spawn(|| takes(&reversed));
        [takes(&windows), other.join().expect("it does not panic")]
    });
    let mut fewest_and_most = [u32::MAX, 0];
    for key in keys {
        let given = one[key as usize] + other[key as usize];
        for (window, burst) in windows.iter().zip([900, 700]) {
            let left = store.get(&key, *window, now).remaining();
            assert_eq!(
                left + given,
                burst,
                "charged for what was refused, or not for what was not"
            );
        }
        fewest_and_most[0] = fewest_and_most[0].min(given);
        fewest_and_most[1] = fewest_and_most[1].max(given);
    }
    fewest_and_most
}

#[test]
fn two_threads_are_charged_for_what_they_got_and_nothing_else() {
    assert_eq!(stress(ExactStore::<u32>::new()), [700, 700]);
    // A refusal may be by what another is about to be given back, never the other way round; and who
    // comes after all of that gets the rest.
    let [_, most] = stress(TableStore::new());
    assert!(most <= 700, "{most}");
}

proptest! {
    /// The model: a bucket for each window, from which all is taken, or nothing.
    #[test]
    fn takes_from_all_windows_or_from_none(
        quotas in proptest::collection::vec(quotas(), 0..6),
        takes in proptest::collection::vec((0..62_u32, any::<u64>(), 1..5_u32), 0..100),
    ) {
        let store = ExactStore::<String>::new().with_ttl(Duration::ZERO);
        let mut buckets: Vec<_> = quotas.into_iter().map(|quota| (Bucket::full(), quota)).collect();
        let window = |(index, (_, quota)): (usize, &(Bucket, Quota))| {
            Window::new(u32::try_from(index).unwrap(), *quota)
        };
        let windows: Vec<_> = buckets.iter().enumerate().map(window).collect();
        let mut now = start();
        for (bits, nanos, cost) in takes {
            let later = Duration::from_nanos(nanos % (1 << bits));
            now = now.checked_add(later).unwrap_or(now);
            let told = store.take_all("alice", &windows, n(cost), now);
            let mut after = buckets.clone();
            let each: Vec<_> = after
                .iter_mut()
                .map(|(bucket, quota)| bucket.take(*quota, n(cost), now))
                .collect();
            let all = each.iter().all(Decision::allowed);
            prop_assert_eq!(told.allowed(), all);
            prop_assert_eq!(told.iter().count(), each.len());
            if all {
                buckets = after;
                prop_assert!(told.iter().eq(&each));
            }
            for (((bucket, quota), window), told) in buckets.iter().zip(&windows).zip(told.iter()) {
                prop_assert_eq!(store.get("alice", *window, now), bucket.get(*quota, now));
                prop_assert_eq!(told.reset_after(), bucket.get(*quota, now).reset_after());
            }
        }
    }
}
