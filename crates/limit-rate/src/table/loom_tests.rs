//! Every interleaving of the table's atomics, in tables of two places:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-limit-rate --release --lib`

use std::{
    num::NonZeroU32,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use loom::{sync::Arc, thread};

use super::{
    lines::Lines,
    word::{self, Tag},
};
use crate::{
    Decision, Quota, Window,
    decisions::{self, Windows},
};

const ONE: NonZeroU32 = NonZeroU32::MIN;
const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// One and two at once, and no more for an hour.
const SINGLE: Quota = Quota::per_hour(ONE);
const DOUBLE: Quota = Quota::per_hour(TWO);
const MONTH: Quota = Quota::new(ONE, Duration::from_secs(30 * 86_400));

/// Hashes whose home is the first line, and the second.
const ALICE: u64 = 7;
const BOB: u64 = 8;
const CAROL: u64 = 9 | 1 << 63;

/// A second, in which no bucket here gains anything.
const NOW: u64 = 1_000_000_000;

/// When every bucket here is full, and the collector's patience is over.
const LATER: u64 = NOW + 2 * 3600 * 1_000_000_000;

fn table() -> Arc<Lines> {
    Arc::new(Lines::new(2, 0))
}

fn takes(table: &Lines, hash: u64, quota: Quota) -> u32 {
    u32::from(table.take(hash, &quota, ONE, NOW).allowed())
}

/// Loom alone would take hours; three switches at any places of one thread to another are known to
/// find most of what there is to be found (M. Musuvathi, S. Qadeer, PLDI 2007).
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// How many places this key has, once all is quiet.
fn places(table: &Lines, hash: u64) -> usize {
    let words = (0..2).map(|at| table.line(at).ways[0].load(SeqCst));
    let words: Vec<_> = words.filter(|word| word::has_tag(*word, Tag::of(hash))).collect();
    assert!(words.iter().all(|word| !word::is_claim(*word)), "a claim was left behind");
    words.len()
}

#[test]
fn a_new_key_that_comes_three_times_at_once_gets_one_burst() {
    model(|| {
        let table = table();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let table = Arc::clone(&table);
                thread::spawn(move || takes(&table, ALICE, DOUBLE))
            })
            .collect();
        let mut given = takes(&table, ALICE, DOUBLE);
        for other in others {
            given += other.join().unwrap();
        }
        assert_eq!(given, 2, "tokens were given twice, or lost");
        assert_eq!((places(&table, ALICE), table.counts.len()), (1, 1));
    });
}

/// The way a key would get two places: somebody saw the first taken and goes for the second, then
/// the first is emptied and somebody else takes it.
#[test]
fn a_place_that_is_emptied_meanwhile_gives_no_second_bucket() {
    model(|| {
        let table = table();
        assert_eq!(takes(&table, BOB, SINGLE), 1);
        let reset = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.reset(BOB))
        };
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || takes(&table, ALICE, SINGLE))
        };
        let given = takes(&table, ALICE, SINGLE) + other.join().unwrap();
        reset.join().unwrap();
        assert_eq!(given, 1, "two buckets, or none");
        assert_eq!((places(&table, ALICE), places(&table, BOB)), (1, 0));
        assert_eq!(table.counts.len(), 1);
    });
}

#[test]
fn sweeping_takes_nothing_that_is_owed() {
    model(|| {
        let table = table();
        // Full again, so that the collector is after it.
        assert!(table.take(ALICE, &SINGLE, ONE, NOW).allowed());
        let sweeper = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.sweep(2, LATER))
        };
        assert!(table.take(ALICE, &SINGLE, ONE, LATER).allowed());
        assert!(!table.take(ALICE, &SINGLE, ONE, LATER).allowed());
        sweeper.join().unwrap();
        assert_eq!((places(&table, ALICE), table.counts.len()), (1, 1));
        assert!(!table.take(ALICE, &SINGLE, ONE, LATER).allowed());
    });
}

/// Long after [`NOW`]: the ring of the scale has gone round once, and a little. A word that is held
/// against a stamp which is not its own is misread by half an hour, or by more than a day.
const LATE: u64 = NOW + (256 << 39) + 1800 * 1_000_000_000;

#[test]
fn two_who_come_back_after_long_share_one_burst() {
    model(|| {
        let table = table();
        assert!(table.take(ALICE, &SINGLE, ONE, NOW).allowed());
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || u32::from(table.take(ALICE, &SINGLE, ONE, LATE).allowed()))
        };
        let given = u32::from(table.take(ALICE, &SINGLE, ONE, LATE).allowed());
        assert_eq!(given + other.join().unwrap(), 1);
        assert_eq!(places(&table, ALICE), 1);
    });
}

#[test]
fn who_looks_while_another_comes_back_after_long_sees_what_was_there_or_is() {
    model(|| {
        let table = table();
        assert!(table.take(ALICE, &SINGLE, ONE, NOW).allowed());
        let looker = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.get(ALICE, SINGLE, LATE).reset_after().as_secs())
        };
        assert!(table.take(ALICE, &SINGLE, ONE, LATE).allowed());
        let seen = looker.join().unwrap();
        assert!(seen == 0 || seen == 3600, "{seen} seconds of debt that nobody has");
    });
}

/// Three keys for two places: nobody gets more than a burst for each time that a bucket was evicted,
/// and nobody waits for anybody.
#[test]
fn crowded_out_or_not_nobody_gets_more_than_was_evicted() {
    model(|| {
        let table = table();
        assert_eq!(takes(&table, BOB, DOUBLE), 1);
        let others = [ALICE, CAROL].map(|hash| {
            let table = Arc::clone(&table);
            thread::spawn(move || takes(&table, hash, SINGLE) + takes(&table, hash, SINGLE))
        });
        let mut given = 0;
        for other in others {
            given += other.join().unwrap();
        }
        let evicted = u32::try_from(table.counts.evicted_live.load(SeqCst)).unwrap();
        assert!((2..=2 + evicted).contains(&given), "{given} with {evicted} evicted");
        for hash in [ALICE, BOB, CAROL] {
            assert!(places(&table, hash) <= 1);
        }
        assert_eq!(table.counts.len(), 2);
    });
}

/// Among others who owe a month, the key's own bucket is the cheapest to evict.
#[test]
fn no_key_crowds_itself_out() {
    model(|| {
        let table = table();
        assert_eq!(takes(&table, BOB, MONTH) + takes(&table, CAROL, MONTH), 2);
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || takes(&table, ALICE, SINGLE))
        };
        let given = takes(&table, ALICE, SINGLE);
        assert_eq!(given + other.join().unwrap(), 1);
        assert_eq!((places(&table, ALICE), table.counts.len()), (1, 2));
    });
}

#[test]
fn what_is_given_back_while_it_is_taken_adds_up() {
    model(|| {
        let table = table();
        assert_eq!(takes(&table, ALICE, DOUBLE), 1);
        let refund = {
            let table = Arc::clone(&table);
            thread::spawn(move || table.refund(ALICE, DOUBLE, ONE, NOW))
        };
        let given = takes(&table, ALICE, DOUBLE) + takes(&table, ALICE, DOUBLE);
        refund.join().unwrap();
        assert_eq!(given + takes(&table, ALICE, DOUBLE) + takes(&table, ALICE, DOUBLE), 2);
    });
}

#[test]
fn a_key_on_two_plans_at_once_has_one_bucket() {
    model(|| {
        let table = table();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || takes(&table, ALICE, MONTH))
        };
        let given = takes(&table, ALICE, SINGLE);
        assert_eq!(given + other.join().unwrap(), 1);
        assert_eq!((places(&table, ALICE), table.counts.len()), (1, 1));
    });
}

/// One key's two windows, as the first two keys.
struct Both(Arc<Lines>);

impl Both {
    const HASHES: [u64; 2] = [ALICE, BOB];
    const WINDOWS: [Window; 2] = [Window::new(0, SINGLE), Window::new(1, SINGLE)];

    fn hash(window: &Window) -> u64 {
        Self::HASHES[window.index() as usize]
    }
}

impl Windows for Both {
    fn get(&mut self, window: &Window, _: Instant) -> Decision {
        self.0.get(Self::hash(window), window.quota(), NOW)
    }

    fn take(&mut self, window: &Window, cost: NonZeroU32, _: Instant) -> Decision {
        self.0.take(Self::hash(window), window.as_quota(), cost, NOW)
    }

    fn refund(&mut self, window: &Window, cost: NonZeroU32, _: Instant) {
        self.0.refund(Self::hash(window), window.quota(), cost, NOW);
    }
}

#[test]
fn who_is_refused_by_one_window_is_charged_by_none() {
    let now = tokio::time::Instant::now().into_std();
    model(move || {
        let table = table();
        let other = {
            let table = Arc::clone(&table);
            thread::spawn(move || takes(&table, BOB, SINGLE))
        };
        let told = decisions::take_all(Both(Arc::clone(&table)), &Both::WINDOWS, ONE, now);
        let (all, one) = (u32::from(told.allowed()), other.join().unwrap());
        assert_eq!(all + one, 1);
        let left = Both::HASHES.map(|hash| table.get(hash, SINGLE, NOW).remaining());
        assert_eq!(left, [1 - all, 0]);
    });
}
