//! What is in flight, and whether more is let in.
//!
//! An exchange must reach its gate for as long as it goes on. Behind an `Arc` that would cost two more
//! writes to a shared cache line for each request, as many again as the count itself. So gates live for
//! ever, and an exchange is a plain reference. What keeps this from being a leak is that they are used
//! again: the word that counts exchanges also says whether the gate is orphaned, so exactly one of the
//! last exchange and the owner sees that nothing refers to it any more, and hands it to the next owner.

use std::{
    fmt,
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use palisade_core::{End, Guard};
use tokio::sync::Notify;

use crate::sync::{AtomicU64, Mutex, fence, lock};

mod unused;

/// The machine behind the drain; given the time in nanoseconds since whatever its owner likes.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Gate {
    /// What is in flight, and the marks below.
    word: AtomicU64,
    /// While draining, from when on nothing more is let in. Written before the word.
    refuse_from: AtomicU64,
    /// Held for each change of a mark but `DRAINED` and `ORPHANED`.
    marks: Mutex<Begun>,
    /// Told of each change that somebody may wait for.
    pub(crate) changed: Notify,
}

/// When the last drain began, and which it is: a bound that was set for one does not end another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) at: u64,
    number: u64,
}

/// One exchange in flight.
const ONE: u64 = 1;
/// Its owner is gone; set once.
const ORPHANED: u64 = 1 << 63;
/// It was told to drain.
const DRAINING: u64 = 1 << 62;
/// Nothing more is let in. Only beside `DRAINING`.
const REFUSING: u64 = 1 << 61;
/// What is still in flight is not waited for. Only beside `REFUSING`.
const CLOSED: u64 = 1 << 60;
/// While it refused, there was a moment at which nothing was in flight: nothing has been since, however many
/// are counted for the moment in which they are refused. Only beside `REFUSING`.
const DRAINED: u64 = 1 << 59;

const MARKS: u64 = ORPHANED | DRAINING | REFUSING | CLOSED | DRAINED;

/// How far a shutdown has come; see [`Health::drain`](crate::Health::drain).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It has not begun.
    Serving,
    /// The service is not ready any more, and serves on, since it takes time until that is known
    /// everywhere.
    Draining,
    /// New requests are refused, and those in flight go on.
    Refusing,
    /// Nothing is in flight any more, or has been waited for for long enough.
    Drained,
}

impl Gate {
    /// A gate through which nothing has gone: a used one if there is any.
    pub(crate) fn take() -> &'static Self {
        unused::take().unwrap_or_else(|| {
            Box::leak(Box::new(Self {
                word: AtomicU64::new(0),
                refuse_from: AtomicU64::new(0),
                marks: Mutex::new(Begun { at: 0, number: 0 }),
                changed: Notify::new(),
            }))
        })
    }

    /// Lets an exchange in, unless nothing is let in any more. The time is only asked for while it drains
    /// and does not refuse yet.
    #[inline]
    pub(crate) fn enter(&'static self, now: impl FnOnce() -> u64) -> Option<Exchange> {
        // Acquire, so that the clock is not read before this is counted.
        let before = self.word.fetch_add(ONE, Acquire);
        let exchange = Exchange(self);
        if before & DRAINING != 0 && self.refuses(before, now) {
            // Counted out again, which wakes whoever took it for one in flight.
            return None;
        }
        Some(exchange)
    }

    #[cold]
    #[inline(never)]
    fn refuses(&self, word: u64, now: impl FnOnce() -> u64) -> bool {
        if word & REFUSING != 0 {
            return true;
        }
        let now = now();
        now >= self.refuse_from.load(Relaxed) && self.refuse(now)
    }

    /// Refuses from now on if it is time. Whoever was counted before this is waited for.
    #[cold]
    fn refuse(&self, now: u64) -> bool {
        let marks = lock(&self.marks);
        let word = self.word.load(Relaxed);
        let due = word & DRAINING != 0 && now >= self.refuse_from.load(Relaxed);
        let first = due && self.word.fetch_or(REFUSING, AcqRel) & REFUSING == 0;
        drop(marks);
        if first {
            self.changed.notify_waiters();
        }
        due
    }

    #[inline]
    fn leave(&'static self) {
        let before = self.word.fetch_sub(ONE, Release);
        if before & MARKS != 0 {
            self.left(before);
        }
    }

    #[cold]
    #[inline(never)]
    fn left(&'static self, before: u64) {
        if before & !MARKS != ONE {
            return;
        }
        fence(Acquire);
        if before & ORPHANED != 0 {
            self.retire();
        } else if before & REFUSING != 0 && before & (CLOSED | DRAINED) == 0 {
            // If somebody has come in between, they are refused, and do this.
            let _ = self.has_drained(before - ONE);
            self.changed.notify_waiters();
        }
    }

    /// Marks that, if this is still all there is. Else it returns what there is now.
    #[cold]
    fn has_drained(&self, word: u64) -> Result<u64, u64> {
        self.word.compare_exchange(word, word | DRAINED, AcqRel, Acquire)
    }

    /// Refuses from this moment on. If it drains already, which is `false`, the nearer moment counts.
    pub(crate) fn drain(&self, now: u64, refuse_from: u64) -> bool {
        let mut marks = lock(&self.marks);
        let begins = self.word.load(Relaxed) & DRAINING == 0;
        if begins {
            *marks = Begun { at: now, number: marks.number + 1 };
            self.refuse_from.store(refuse_from, Relaxed);
        } else {
            self.refuse_from.fetch_min(refuse_from, Relaxed);
        }
        self.word.fetch_or(DRAINING, AcqRel);
        drop(marks);
        self.changed.notify_waiters();
        begins
    }

    /// Lets in again. `false` if it did not drain.
    pub(crate) fn resume(&self) -> bool {
        let marks = lock(&self.marks);
        let before = self.word.fetch_and(!(DRAINING | REFUSING | CLOSED | DRAINED), AcqRel);
        drop(marks);
        self.changed.notify_waiters();
        before & DRAINING != 0
    }

    /// The drain that goes on.
    pub(crate) fn begun(&self) -> Option<Begun> {
        let marks = lock(&self.marks);
        self.is_draining().then_some(*marks)
    }

    /// Waits no longer for what is in flight in this drain. `false` if that was taken back.
    pub(crate) fn close(&self, begun: Begun) -> bool {
        let marks = lock(&self.marks);
        let goes_on = self.word.load(Relaxed) & DRAINING != 0 && *marks == begun;
        if goes_on {
            self.word.fetch_or(REFUSING | CLOSED, AcqRel);
        }
        drop(marks);
        if goes_on {
            self.changed.notify_waiters();
        }
        goes_on
    }

    pub(crate) fn phase(&self, now: u64) -> Phase {
        if !self.is_draining() {
            return Phase::Serving;
        }
        // Written, so that it is the last there is: who finds somebody inside will be told when they leave.
        let mut word = self.word.fetch_or(0, AcqRel);
        if word & REFUSING == 0 && now >= self.refuse_from.load(Relaxed) && self.refuse(now) {
            word = self.word.fetch_or(0, AcqRel);
        }
        loop {
            if word & DRAINING == 0 {
                return Phase::Serving;
            } else if word & REFUSING == 0 {
                return Phase::Draining;
            } else if word & (CLOSED | DRAINED) != 0 {
                return Phase::Drained;
            } else if word & !MARKS != 0 {
                return Phase::Refusing;
            }
            // Kept, so that nobody who is refused from now on seems to be in flight.
            match self.has_drained(word) {
                Ok(_) => return Phase::Drained,
                Err(now) => word = now,
            }
        }
    }

    /// How many exchanges a drain that is over has left.
    pub(crate) fn left_behind(&self) -> u64 {
        let word = self.word.load(Acquire);
        if word & DRAINED == 0 { word & !MARKS } else { 0 }
    }

    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.word.load(Acquire) & DRAINING != 0
    }

    /// From when on it refuses, if it drains and does not yet.
    pub(crate) fn refuses_from(&self) -> Option<u64> {
        let word = self.word.load(Acquire);
        let waits = word & DRAINING != 0 && word & REFUSING == 0;
        waits.then(|| self.refuse_from.load(Relaxed))
    }

    /// How many exchanges are in flight. One that is being refused counts for that moment.
    pub(crate) fn in_flight(&self) -> u64 {
        self.word.load(Acquire) & !MARKS
    }

    /// Its owner is gone. To be called once.
    pub(crate) fn orphan(&'static self) {
        let before = self.word.fetch_or(ORPHANED, AcqRel);
        if before & !MARKS == 0 {
            self.retire();
        }
    }

    /// Nothing refers to it any more.
    #[cold]
    #[inline(never)]
    fn retire(&'static self) {
        self.word.store(0, Relaxed);
        unused::put(self);
    }
}

/// An exchange that a [`drain`](crate::Health::drain) waits for. It is over when this is dropped.
#[must_use = "dropped, the exchange is over"]
pub struct Exchange(&'static Gate);

impl Exchange {
    /// Whether what it goes through is being left.
    #[inline]
    pub(crate) fn is_leaving(&self) -> bool {
        self.0.is_draining()
    }
}

impl Drop for Exchange {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Guard for Exchange {
    #[inline]
    fn ended(self, _: End<'_>) {}
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

#[cfg(all(test, palisade_loom))]
mod loom_tests;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
