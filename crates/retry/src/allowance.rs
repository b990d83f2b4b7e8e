use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Relaxed, Release},
};

use crate::sync::AtomicUsize;

/// How many bytes all requests of a layer may keep together to be sent again.
///
/// Each request's bound alone would let a server that is slow to answer fill the memory: with many calls
/// in flight, many bodies are kept.
#[derive(Debug)]
pub(crate) struct Allowance {
    in_use: AtomicUsize,
    max: usize,
}

impl Allowance {
    /// So many bytes, none of which is in use.
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { in_use: AtomicUsize::new(0), max })
    }

    /// Takes all of them or none, and says which. Never are more than [`max`](Self::max) in use. Each byte
    /// that was taken is to be [released](Self::release) once.
    #[must_use = "what was taken is to be released"]
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let mut seen = self.in_use.load(Relaxed);
        loop {
            if bytes > self.max - seen {
                return false;
            }
            // Acquire pairs with the release of the bytes whose place is taken: they are freed by now.
            match self.in_use.compare_exchange_weak(seen, seen + bytes, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(changed) => seen = changed,
            }
        }
    }

    /// Gives back what was reserved, after the bytes are freed.
    pub(crate) fn release(&self, bytes: usize) {
        let before = self.in_use.fetch_sub(bytes, Release);
        debug_assert!(bytes <= before, "released {bytes} of {before} bytes in use");
    }

    /// How many bytes are reserved.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }
}

#[cfg(all(test, palisade_loom))]
mod loom_tests;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
