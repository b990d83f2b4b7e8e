use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};

use super::{
    line::{WAYS, until_full},
    lines::Lines,
    word::{self, EMPTY, Tag},
};
use crate::sync::{AtomicU64, fence};

/// Where one key's bucket may be: the line that its hash names, and that line's neighbour.
#[derive(Clone, Copy)]
pub(crate) struct Set<'a> {
    lines: &'a Lines,
    home: usize,
    pub(crate) tag: Tag,
}

/// What a look through a set has found of a key.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    Nothing,
    Bucket(usize, u64),
    Claim(usize, u64),
}

/// A place in the set, counted from the even line of the two: the same for everybody.
const PLACES: usize = 2 * WAYS;

impl<'a> Set<'a> {
    pub(crate) fn of(lines: &'a Lines, hash: u64) -> Self {
        Self { lines, home: lines.home(hash), tag: Tag::of(hash) }
    }

    pub(crate) fn place(self, at: usize) -> &'a AtomicU64 {
        &self.lines.line((self.home & !1) + at / WAYS).ways[at % WAYS]
    }

    /// The places of the home line, then its neighbour's.
    fn places(self) -> impl Iterator<Item = usize> {
        let first = (self.home & 1) * WAYS;
        (0..PLACES).map(move |at| (first + at) % PLACES)
    }

    /// Looks both lines through where that is due. Returns the time that counts for both.
    pub(crate) fn refresh(self, mut now: u64) -> u64 {
        loop {
            let here = self.lines.refresh(self.home, now);
            let there = self.lines.refresh(self.home ^ 1, here);
            if there == now {
                return now;
            }
            now = there;
        }
    }

    /// Looks for the key's bucket, or else for a claim.
    pub(crate) fn find(self) -> Found {
        let mut found = Found::Nothing;
        for at in self.places() {
            let seen = self.place(at).load(Acquire);
            if word::has_tag(seen, self.tag) {
                if !word::is_claim(seen) {
                    return Found::Bucket(at, seen);
                }
                found = Found::Claim(at, seen);
            }
        }
        found
    }

    /// How many nanoseconds until the bucket in this word is full, read at `now` or, if that is
    /// later, at the line's stamp. Also right for a line that nobody looked through for years.
    /// `None` if the word has changed, and the stamp may be too new for it.
    pub(crate) fn debt(self, at: usize, seen: u64, now: u64) -> Option<u64> {
        self.ticks(at, seen, now).map(|ticks| word::scale(seen).nanos(ticks))
    }

    /// As [`debt`](Self::debt), in the bucket's own ticks.
    fn ticks(self, at: usize, seen: u64, now: u64) -> Option<u64> {
        let stamp = self.lines.line((self.home & !1) + at / WAYS).stamp.load(Acquire);
        let ticks = until_full(seen, stamp, now).max(0).unsigned_abs();
        (self.place(at).load(Relaxed) == seen).then_some(ticks)
    }

    /// Puts a claim where it costs the least: an empty place, else that of a bucket that is full,
    /// else that of the least indebted. Debts are compared in ticks, of which a bucket that takes longer
    /// to fill has longer ones: roughly, which bucket is the emptiest. `None` if the place has changed
    /// meanwhile, or the key is there after all.
    pub(crate) fn claim(self, now: u64) -> Option<(usize, u64)> {
        let (at, victim, debt) = self.cheapest(now)?;
        let claim = word::claim(self.tag, self.lines.counts.number.fetch_add(1, Relaxed));
        self.place(at).compare_exchange(victim, claim, AcqRel, Relaxed).ok()?;
        if victim == EMPTY {
            self.lines.counts.remembered();
        } else if debt > 0 && !word::is_claim(victim) {
            self.lines.counts.evicted_live.fetch_add(1, Relaxed);
        }
        Some((at, claim))
    }

    /// A place, what is in it, and its debt.
    fn cheapest(self, now: u64) -> Option<(usize, u64, u64)> {
        let mut cheapest = None;
        let mut lowest = u128::MAX;
        for (count, at) in self.places().enumerate() {
            // A key whose bucket is at home is found sooner.
            if lowest == 0 || (count == WAYS && lowest <= 1) {
                break;
            }
            let seen = self.place(at).load(Acquire);
            if word::has_tag(seen, self.tag) {
                return None;
            }
            let debt = match seen {
                EMPTY => 0,
                claim if word::is_claim(claim) => u64::MAX,
                bucket => self.ticks(at, bucket, now)?,
            };
            let price = u128::from(debt) + u128::from(seen != EMPTY);
            if price < lowest {
                (lowest, cheapest) = (price, Some((at, seen, debt)));
            }
        }
        cheapest
    }

    /// Makes sure that this claim is the key's only place. Returns the one that is left, if it is
    /// still a claim; the caller may make a bucket of it, and whoever else comes to the same end
    /// would do the same.
    ///
    /// Why no key ever has two buckets: a claim becomes a bucket only by the hand of somebody who
    /// looked at all places *after* it was there, and saw nothing else of the key, or removed it. Of
    /// two claims one was there later, and whoever looked for that one has met the other: as a
    /// bucket, and has given up the claim; or as a claim, and has removed one of them, the one in
    /// the later place. No two claims are the same word, so what was decided of one is never done to
    /// another. The fences order each claim before the look that follows it.
    pub(crate) fn contest(self, mut at: usize, mut claim: u64) -> Option<(usize, u64)> {
        'look: loop {
            fence(SeqCst);
            for other in (0..PLACES).filter(|other| *other != at) {
                let seen = self.place(other).load(Acquire);
                if !word::has_tag(seen, self.tag) {
                    continue;
                }
                if !word::is_claim(seen) {
                    self.clear(at, claim);
                    return None;
                }
                if other > at {
                    if !self.clear(other, seen) {
                        continue 'look;
                    }
                } else {
                    self.clear(at, claim);
                    (at, claim) = (other, seen);
                    continue 'look;
                }
            }
            return Some((at, claim));
        }
    }

    /// Empties a place, unless it has changed.
    pub(crate) fn clear(self, at: usize, seen: u64) -> bool {
        let cleared = self.place(at).compare_exchange(seen, EMPTY, AcqRel, Relaxed).is_ok();
        if cleared {
            self.lines.counts.forgotten();
        }
        cleared
    }

    /// Puts one word in place of another, unless it has changed.
    pub(crate) fn replace(self, at: usize, seen: u64, next: u64) -> bool {
        self.place(at).compare_exchange(seen, next, AcqRel, Relaxed).is_ok()
    }
}
