//! What a copy and the backup know of each other.
//!
//! Its lock is held for as long as it takes to move a few words, and never while code of others runs:
//! bodies, buffers and wakers are dropped once it is released.

use std::{mem, pin::Pin};

use bytes::Bytes;
use http_body::Frame;

use super::kept::{Item, Kept};
use crate::sync::{Mutex, lock};

/// What is left of the original.
pub(super) enum Source<B> {
    Reading(Pin<Box<B>>),
    Ended,
    /// Its error was passed on.
    Failed,
    /// It panicked, and went down with that.
    Gone,
}

/// When there can be another copy.
enum Next<B> {
    /// Once the copy that reads the original is dropped.
    Later,
    /// Now: nobody reads it.
    Now(Source<B>),
    Never,
}

struct State<B> {
    next: Next<B>,
    kept: Kept,
    /// How many of the kept frames the living copy has passed, and does not need for itself.
    passed: usize,
}

pub(super) struct Shared<B> {
    /// The length of the whole, if the original knew it before it was read.
    pub(super) announced: Option<u64>,
    state: Mutex<State<B>>,
}

/// What the next copy starts with.
pub(super) struct Lent<B> {
    pub(super) source: Source<B>,
    pub(super) frames: usize,
    pub(super) bytes: u64,
}

/// What nobody needs any more, to be dropped where there is no lock.
#[must_use = "it is to be dropped after the lock"]
struct Freed<B> {
    _next: Next<B>,
    _kept: Kept,
}

impl<B> State<B> {
    fn give_up(&mut self) -> Freed<B> {
        let passed = mem::take(&mut self.passed);
        let next = mem::replace(&mut self.next, Next::Never);
        Freed { _next: next, _kept: self.kept.take_front(passed) }
    }
}

impl<B> Shared<B> {
    /// With its first copy alive, of a body that is worth keeping or not.
    pub(super) fn new(announced: Option<u64>, kept: Kept, worthwhile: bool) -> Self {
        let next = if worthwhile { Next::Later } else { Next::Never };
        Self { announced, state: Mutex::new(State { next, kept, passed: 0 }) }
    }

    /// Keeps what the living copy has read from the original. False: this and what follows need not be.
    pub(super) fn keep(&self, item: Option<Item>) -> bool {
        let mut state = lock(&self.state);
        if matches!(state.next, Next::Never) {
            drop(state);
            drop(item);
            return false;
        }
        let refused = match item.map(|item| state.kept.push(item)) {
            Some(Ok(())) => {
                state.passed += 1;
                return true;
            }
            Some(Err(item)) => Some(item),
            None => None,
        };
        let freed = state.give_up();
        drop(state);
        drop((freed, refused));
        false
    }

    /// The next of the kept frames, for the living copy. Those that nobody will ask for again are
    /// released as they are passed.
    pub(super) fn repeat(&self) -> Option<Frame<Bytes>> {
        let mut state = lock(&self.state);
        if matches!(state.next, Next::Never) {
            let popped = state.kept.pop();
            drop(state);
            return popped.map(|(item, _reserved)| item.into_frame());
        }
        let frame = state.kept.get(state.passed).map(Item::to_frame);
        state.passed += 1;
        frame
    }

    /// The copy that read the original is dropped.
    pub(super) fn give_back(&self, source: Source<B>) {
        let mut state = lock(&self.state);
        if matches!(state.next, Next::Later) && matches!(source, Source::Reading(_) | Source::Ended)
        {
            state.next = Next::Now(source);
            return;
        }
        let freed = state.give_up();
        drop(state);
        drop((freed, source));
    }

    /// The original for another copy, if nobody reads it.
    pub(super) fn lend(&self) -> Option<Lent<B>> {
        let mut state = lock(&self.state);
        match mem::replace(&mut state.next, Next::Later) {
            Next::Now(source) => {
                state.passed = 0;
                Some(Lent { source, frames: state.kept.len(), bytes: state.kept.data_len() })
            }
            other => {
                state.next = other;
                None
            }
        }
    }

    /// There will be no other copy: frees all but what the living one has yet to repeat.
    pub(super) fn give_up(&self) {
        let freed = lock(&self.state).give_up();
        drop(freed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        matches!(lock(&self.state).next, Next::Never)
    }
}
