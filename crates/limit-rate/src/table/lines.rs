use std::{num::NonZeroU32, sync::atomic::Ordering::Relaxed};

use super::{
    line::Line,
    set::{Found, Set},
    word::{self, QUARTER, Scale, Tag},
};
use crate::{
    Decision, Quota,
    decision::refunded,
    quota::LONGEST_FILL,
    sync::{AtomicU64, AtomicUsize},
};

/// The buckets: an even number of [`Line`]s, and all that happens in them. Knows hashes and the time
/// in nanoseconds since some beginning, no keys and no clock.
#[derive(Debug)]
pub(crate) struct Lines {
    all: Box<[Line]>,
    /// How long a bucket that is full is kept, in nanoseconds.
    patience: u64,
    pub(crate) counts: Counts,
}

/// On lines of its own: two of 64 bytes, since processors fetch them in pairs. Only keys that are new
/// or go write here.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counts {
    /// Places that are not empty. A place may be counted out before it is counted in.
    len: AtomicUsize,
    pub(crate) evicted_live: AtomicU64,
    /// The line that is swept next, modulo their number.
    hand: AtomicUsize,
    /// Of the next claim.
    pub(crate) number: AtomicU64,
}

impl Counts {
    pub(crate) fn remembered(&self) {
        self.len.fetch_add(1, Relaxed);
    }

    pub(crate) fn forgotten(&self) {
        self.len.fetch_sub(1, Relaxed);
    }

    #[allow(clippy::cast_possible_wrap, reason = "see the field")]
    pub(crate) fn len(&self) -> usize {
        (self.len.load(Relaxed) as isize).max(0).unsigned_abs()
    }
}

impl Lines {
    /// So many lines, or one more: each has a neighbour.
    pub(crate) fn new(lines: usize, patience: u64) -> Self {
        let lines = lines.max(2).next_multiple_of(2);
        Self {
            all: (0..lines).map(|_| Line::new()).collect(),
            patience,
            counts: Counts {
                len: AtomicUsize::new(0),
                evicted_live: AtomicU64::new(0),
                hand: AtomicUsize::new(0),
                number: AtomicU64::new(0),
            },
        }
    }

    pub(crate) fn number(&self) -> usize {
        self.all.len()
    }

    #[inline]
    pub(crate) fn line(&self, at: usize) -> &Line {
        &self.all[at]
    }

    /// The upper end of the product spreads hashes over any number of lines (D. Lemire, *ACM
    /// Transactions on Modeling and Computer Simulation* 29(1), 2019), where a mask would need a
    /// power of two, and up to twice the memory.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "it is less than the number of lines")]
    pub(crate) fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.all.len() as u128) >> 64) as usize
    }

    #[inline]
    fn scale(&self, quota: &Quota) -> Scale {
        // Twice, for what may be charged.
        Scale::holding((2 * quota.fill_nanos() + self.patience).min(2 * LONGEST_FILL))
    }

    /// Takes tokens, if there are enough: one line, one compare-and-swap; a refusal writes nothing.
    #[inline]
    pub(crate) fn take(&self, hash: u64, quota: &Quota, cost: NonZeroU32, now: u64) -> Decision {
        let scale = self.scale(quota);
        let head = word::head(Tag::of(hash), scale);
        let home = self.home(hash);
        if let Some(decision) = self.all[home].hit(head, scale, quota, cost, now) {
            return decision;
        }
        self.take_elsewhere(hash, quota, cost, now)
    }

    /// As [`take`](Self::take), for a key that is not at home: where that is crowded it is next door.
    #[cold]
    #[inline(never)]
    fn take_elsewhere(&self, hash: u64, quota: &Quota, cost: NonZeroU32, now: u64) -> Decision {
        let scale = self.scale(quota);
        let head = word::head(Tag::of(hash), scale);
        self.all[self.home(hash) ^ 1]
            .hit(head, scale, quota, cost, now)
            .unwrap_or_else(|| self.decide(hash, *quota, cost, now, Decision::on))
    }

    /// Takes tokens, also where there are not enough.
    pub(crate) fn charge(&self, hash: u64, quota: Quota, cost: NonZeroU32, now: u64) -> Decision {
        self.decide(hash, quota, cost, now, Decision::charged)
    }

    /// Keeps what is decided, also on a key that is new, or was last seen in another scale or long ago.
    fn decide(
        &self,
        hash: u64,
        quota: Quota,
        cost: NonZeroU32,
        now: u64,
        decide: impl Fn(Quota, u8, u64, NonZeroU32) -> Decision,
    ) -> Decision {
        let (set, scale) = (Set::of(self, hash), self.scale(&quota));
        let told = now;
        loop {
            let now = set.refresh(told);
            let (at, seen, debt) = match set.find() {
                Found::Bucket(at, seen) => match set.debt(at, seen, now) {
                    Some(debt) => (at, seen, scale.ceil(debt)),
                    None => continue,
                },
                Found::Claim(at, claim) => {
                    // Whose it is may be asleep, and will find a full bucket.
                    if let Some((at, claim)) = set.contest(at, claim) {
                        set.replace(at, claim, self.bucket(set.tag, scale, 0, now));
                    }
                    continue;
                }
                Found::Nothing => {
                    let decision = decide(quota, scale.shift(), 0, cost);
                    if decision.debt() == 0 {
                        return decision;
                    }
                    let full = self.bucket(set.tag, scale, 0, now);
                    let taken = self.bucket(set.tag, scale, decision.debt(), now);
                    if insert(set, full, taken, now) {
                        // By the time that was told: the line's own may be ahead of it, and one caller's
                        // wrong clock must not spread.
                        self.sweep(1, told);
                        return decision;
                    }
                    continue;
                }
            };
            let decision = decide(quota, scale.shift(), debt, cost);
            let taken = self.bucket(set.tag, scale, decision.debt(), now);
            if decision.debt() == debt || set.replace(at, seen, taken) {
                return decision;
            }
        }
    }

    /// What a take of one token would be told. Writes nothing.
    pub(crate) fn get(&self, hash: u64, quota: Quota, now: u64) -> Decision {
        let (set, scale) = (Set::of(self, hash), self.scale(&quota));
        let debt = loop {
            let Found::Bucket(at, seen) = set.find() else { break 0 };
            if let Some(debt) = set.debt(at, seen, now) {
                break scale.ceil(debt);
            }
        };
        Decision::peek(quota, scale.shift(), debt, NonZeroU32::MIN)
    }

    /// Gives tokens back.
    pub(crate) fn refund(&self, hash: u64, quota: Quota, cost: NonZeroU32, now: u64) {
        let (set, scale) = (Set::of(self, hash), self.scale(&quota));
        loop {
            let now = set.refresh(now);
            let Found::Bucket(at, seen) = set.find() else { return };
            let debt = match set.debt(at, seen, now) {
                Some(0) => return,
                Some(debt) => debt,
                None => continue,
            };
            let left = refunded(quota, scale.shift(), scale.ceil(debt), cost);
            if set.replace(at, seen, self.bucket(set.tag, scale, left, now)) {
                return;
            }
        }
    }

    /// The word of a bucket that is full in so many ticks of this scale: in this scale, unless they are
    /// more than it holds, as of another quota.
    fn bucket(&self, tag: Tag, scale: Scale, debt: u64, now: u64) -> u64 {
        let nanos = scale.nanos(debt);
        let holding = Scale::holding(nanos.saturating_add(self.patience).min(2 * LONGEST_FILL));
        let (scale, debt) = if holding.shift() > scale.shift() {
            (holding, holding.ceil(nanos).min(QUARTER))
        } else {
            (scale, debt)
        };
        word::bucket(word::head(tag, scale), scale.floor(now).wrapping_add(debt))
    }

    /// Forgets a key: its bucket is full.
    pub(crate) fn reset(&self, hash: u64) {
        let set = Set::of(self, hash);
        while let Found::Bucket(at, seen) | Found::Claim(at, seen) = set.find() {
            set.clear(at, seen);
        }
    }

    /// Looks one line through if that is due.
    pub(crate) fn refresh(&self, at: usize, now: u64) -> u64 {
        self.all[at].refresh(now, self.patience, || self.counts.forgotten())
    }

    /// Sweeps the next lines. Returns whether these were the last of a round.
    pub(crate) fn sweep(&self, lines: usize, now: u64) -> bool {
        let hand = self.counts.hand.fetch_add(lines, Relaxed) % self.all.len();
        for at in (hand..hand + lines).map(|at| at % self.all.len()) {
            self.all[at].sweep(now, self.patience, || self.counts.forgotten());
        }
        hand + lines >= self.all.len()
    }

    /// How much memory the lines take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        size_of_val::<[Line]>(&self.all)
    }
}

/// Gives a new key its place, with the tokens taken already. Not if somebody else did.
fn insert(set: Set<'_>, full: u64, taken: u64, now: u64) -> bool {
    let Some((at, claim)) = set.claim(now) else { return false };
    let Some(left) = set.contest(at, claim) else { return false };
    let own = left == (at, claim);
    set.replace(left.0, left.1, if own { taken } else { full }) && own
}
