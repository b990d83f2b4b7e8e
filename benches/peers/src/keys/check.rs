//! Drivers: they ask a store as often as they are told, and say how long it took.

use std::{
    fmt::Debug,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use super::{
    MILLION,
    stores::{Allowance, Store},
};
use crate::drive::{Sample, now};

pub(crate) trait Key: Hash + Eq + Clone + Debug + Send + Sync + 'static {
    /// The key by this number: another one for each.
    fn nth(nth: u64) -> Self;

    /// As [`nth`](Self::nth), in the same memory.
    #[inline]
    fn become_nth(&mut self, nth: u64) {
        *self = Self::nth(nth);
    }
}

/// Numbers spread so that neighbours have nothing in common (the finalizer of `SplitMix64`).
#[inline]
fn spread(nth: u64) -> u64 {
    let mut mixed = nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl Key for u64 {
    #[inline]
    fn nth(nth: u64) -> Self {
        spread(nth)
    }
}

/// An IPv6 address.
impl Key for IpAddr {
    #[inline]
    fn nth(nth: u64) -> Self {
        Self::V6(Ipv6Addr::from_bits(u128::from(spread(nth)) << 64 | u128::from(nth)))
    }
}

/// Sixteen letters.
impl Key for String {
    fn nth(nth: u64) -> Self {
        let mut key = Self::with_capacity(16);
        key.become_nth(nth);
        key
    }

    #[inline]
    fn become_nth(&mut self, nth: u64) {
        // Half a byte in each, written as a letter from `a` to `p`.
        let halves = |bytes: u32| {
            let mut spread = u64::from(bytes);
            spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
            spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
            spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
            (spread + 0x6161_6161_6161_6161).to_le_bytes()
        };
        let number = spread(nth);
        #[allow(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
        let [low, high] = [number as u32, (number >> 32) as u32].map(halves);
        self.clear();
        self.push_str(str::from_utf8(&low).unwrap_or_default());
        self.push_str(str::from_utf8(&high).unwrap_or_default());
    }
}

/// Numbers below a bound, in no order: as many as are asked for, always the same.
pub(super) struct Below {
    state: u64,
    bound: u64,
}

impl Below {
    pub(super) fn new(state: u64, bound: u64) -> Self {
        Self { state, bound }
    }

    /// The upper end of the product: a division would cost as much as the check.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "it is below the bound")]
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(1);
        ((u128::from(self.state) * u128::from(self.bound)) >> 64) as u64
    }
}

/// Asks about keys that are known, over and over.
fn ask<K: Key>(store: &impl Store<K>, keys: &mut Below, key: &mut K, checks: u64) -> u64 {
    let mut allowed = 0;
    for _ in 0..checks {
        key.become_nth(keys.next());
        allowed += u64::from(store.allows(key));
    }
    allowed
}

fn filled<K: Key, S: Store<K>>(keys: u64, allowance: Allowance) -> S {
    let store = S::holding(keys, allowance);
    fill(&store, keys);
    store
}

pub(super) fn fill<K: Key>(store: &impl Store<K>, keys: u64) {
    let mut key = K::nth(0);
    for nth in 0..keys {
        key.become_nth(nth);
        store.allows(&key);
    }
}

fn alone<K: Key, S: Store<K>>(keys: u64, allowance: Allowance) -> Sample {
    let store = filled::<K, S>(keys, allowance);
    let (mut numbers, mut key) = (Below::new(1, keys), K::nth(0));
    Box::new(move |checks| {
        let began = now();
        let allowed = ask(&store, &mut numbers, &mut key, checks);
        let elapsed = began.elapsed();
        assert_eq!(allowed, if matches!(allowance, Allowance::Ample) { checks } else { 0 });
        elapsed
    })
}

/// Two threads. The time is the longer of the two, of a run in which both were at it nearly all the
/// time: on a machine that does other things one of them often waits for a processor, and what is
/// measured then is one thread.
fn from_two<K: Key, S: Store<K>>(keys: u64, allowance: Allowance) -> Sample {
    /// How often a run is begun until one is of use.
    const TRIES: u32 = 400;
    const SHORT: Duration = Duration::from_micros(50);
    let store = filled::<K, S>(keys, allowance);
    let mut seed = 0;
    Box::new(move |checks| {
        for _ in 0..TRIES {
            seed += 2;
            let [one, other] = at_once(&store, keys, checks, [seed, seed + 1]);
            let both = one.1.min(other.1).saturating_sub(one.0.max(other.0));
            let longer = one.1.saturating_sub(one.0).max(other.1.saturating_sub(other.0));
            // A few checks are for finding out how many to do.
            if longer < SHORT || both >= longer * 9 / 10 {
                return longer;
            }
        }
        // No figure at all, rather than one of a single thread.
        Duration::MAX
    })
}

/// When each of two threads began and ended. They wait for each other awake, so that both have a
/// processor when they begin.
fn at_once<K: Key>(
    store: &impl Store<K>,
    keys: u64,
    checks: u64,
    seeds: [u64; 2],
) -> [(Duration, Duration); 2] {
    let (here, base) = (AtomicUsize::new(0), now());
    let one = |seed| {
        let here = &here;
        move || {
            let (mut numbers, mut key) = (Below::new(seed, keys), K::nth(0));
            here.fetch_add(1, Ordering::AcqRel);
            while here.load(Ordering::Acquire) < 2 {
                std::hint::spin_loop();
            }
            let began = base.elapsed();
            std::hint::black_box(ask(store, &mut numbers, &mut key, checks));
            (began, base.elapsed())
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(one(seeds[1]));
        [one(seeds[0])(), other.join().expect("the other thread finishes")]
    })
}

pub(crate) fn hits<K: Key, S: Store<K>>(keys: u64) -> Sample {
    alone::<K, S>(keys, Allowance::Ample)
}

pub(crate) fn hits_from_two<K: Key, S: Store<K>>(keys: u64) -> Sample {
    from_two::<K, S>(keys, Allowance::Ample)
}

/// Of one key, which has had its token.
pub(crate) fn refusals<K: Key, S: Store<K>>() -> Sample {
    alone::<K, S>(1, Allowance::One)
}

pub(crate) fn refusals_from_two<K: Key, S: Store<K>>() -> Sample {
    from_two::<K, S>(1, Allowance::One)
}

/// Keys that were never seen, in a store that is made for each million of them. Making it is not
/// measured.
pub(crate) fn new_keys<K: Key, S: Store<K>>() -> Sample {
    let (mut store, mut known) = (S::holding(MILLION, Allowance::Ample), 0);
    let mut key = K::nth(0);
    Box::new(move |checks| {
        let (mut elapsed, mut left) = (Duration::ZERO, checks);
        while left > 0 {
            if known == MILLION {
                (store, known) = (S::holding(MILLION, Allowance::Ample), 0);
            }
            let some = left.min(MILLION - known);
            let began = now();
            for nth in known..known + some {
                key.become_nth(nth);
                std::hint::black_box(store.allows(&key));
            }
            elapsed += began.elapsed();
            (known, left) = (known + some, left - some);
        }
        elapsed
    })
}
