//! The atomics of a budget.
//!
//! The balance is one word, in billionths of a token, which only ever changes by compare-and-swap: so no
//! interleaving gives a token twice, and none is lost but what is over the most that can be saved up.
//!
//! What flows in by itself is added by who comes to take. Whoever moves the time of the last look forward
//! owns what flowed in since then and adds it. One who comes between these two steps may be refused what
//! is about to be there, and never gets what is not. Nothing is rounded off, since one token a second is
//! one billionth a nanosecond. That nobody looks at the clock when a success brings a token changes
//! nothing: between two who take the balance only grows, and in which order it grows up to a bound does not
//! matter. A throttle's failures take from it too; only one that was given a floor can tell the difference,
//! which is below what flowed in between.

use std::{
    sync::{
        OnceLock,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
    time::{Duration, Instant},
};

use palisade_core::log::RefusalLog;

use super::rule::Rule;
use crate::sync::{AtomicU32, AtomicU64};

#[derive(Debug)]
pub(super) struct Bucket {
    /// Read by each success, with the rule beside it.
    balance: AtomicU64,
    pub(super) rule: Rule,
    pub(super) retries: Retries,
}

/// What only failures touch, on lines of its own: two of 64 bytes, since processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Retries {
    pub(super) taken: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) in_use: AtomicU32,
    /// When somebody first came to take. Until then the bucket was full.
    base: OnceLock<Instant>,
    /// Up to when what flows in was added, in nanoseconds since then.
    added: AtomicU64,
    /// How many refusals were told of, and when last.
    told: AtomicU64,
    told_at: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl Bucket {
    pub(super) fn full(rule: Rule) -> Self {
        Self {
            balance: AtomicU64::new(rule.most),
            rule,
            retries: Retries {
                taken: AtomicU64::new(0),
                refused: AtomicU64::new(0),
                in_use: AtomicU32::new(0),
                base: OnceLock::new(),
                added: AtomicU64::new(0),
                told: AtomicU64::new(0),
                told_at: AtomicU64::new(NEVER),
            },
        }
    }

    pub(super) fn balance(&self) -> u64 {
        self.balance.load(Relaxed)
    }

    #[inline]
    pub(super) fn succeeded(&self) {
        // While all is well it is only read.
        if self.balance() < self.rule.most {
            self.add(self.rule.deposit);
        }
    }

    pub(super) fn add(&self, amount: u64) {
        self.change(|balance| Some(balance.saturating_add(amount).min(self.rule.most)));
    }

    /// Takes what is there, at most so much.
    pub(super) fn charge(&self, amount: u64) {
        self.change(|balance| Some(balance.saturating_sub(amount)));
    }

    /// Takes the price of a retry, if there is what a retry needs.
    pub(super) fn pay(&self) -> bool {
        let (needed, price) = (self.rule.needed(), self.rule.price());
        self.change(|balance| (balance >= needed).then(|| balance - price))
    }

    /// Returns whether there was a next balance.
    fn change(&self, next: impl Fn(u64) -> Option<u64>) -> bool {
        let mut seen = self.balance.load(Relaxed);
        loop {
            match next(seen) {
                None => return false,
                Some(next) if next == seen => return true,
                Some(next) => {
                    match self.balance.compare_exchange_weak(seen, next, Relaxed, Relaxed) {
                        Ok(_) => return true,
                        Err(changed) => seen = changed,
                    }
                }
            }
        }
    }

    /// Adds what has flowed in by itself.
    pub(super) fn refill(&self, now: Instant) {
        let now = self.retries.nanos(now);
        let mut seen = self.retries.added.load(Relaxed);
        while seen < now {
            match self.retries.added.compare_exchange_weak(seen, now, Relaxed, Relaxed) {
                Ok(_) => return self.add((now - seen).saturating_mul(self.rule.floor.into())),
                Err(changed) => seen = changed,
            }
        }
    }
}

impl Retries {
    /// Takes one of so many places.
    pub(super) fn enter(&self, places: u32) -> bool {
        let mut seen = self.in_use.load(Relaxed);
        loop {
            if seen >= places {
                return false;
            }
            // Acquire pairs with the release of the attempt whose place is taken: it is over by now.
            match self.in_use.compare_exchange_weak(seen, seen + 1, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(changed) => seen = changed,
            }
        }
    }

    pub(super) fn leave(&self) {
        self.in_use.fetch_sub(1, Release);
    }

    /// How many refusals nobody was told of, the first time and then after each period.
    pub(super) fn untold(&self, now: Instant) -> Option<u64> {
        let refused = self.refused.load(Relaxed);
        if refused == self.told.load(Relaxed) {
            return None;
        }
        let now = self.nanos(now);
        let last = self.told_at.load(Relaxed);
        if last != NEVER && now < last.saturating_add(nanos(RefusalLog::PERIOD)) {
            return None;
        }
        self.told_at.compare_exchange(last, now, Relaxed, Relaxed).ok()?;
        Some(refused.saturating_sub(self.told.swap(refused, Relaxed)))
    }

    /// Since the first that was told, and 0 for what was before.
    fn nanos(&self, at: Instant) -> u64 {
        nanos(at.saturating_duration_since(*self.base.get_or_init(|| at)))
    }
}

/// In nanoseconds, up to 584 years.
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(time.subsec_nanos().into())
}
