use std::sync::{
    Arc,
    atomic::Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::sync::AtomicUsize;

/// How many bytes all requests of a layer together may keep to be sent again.
#[derive(Debug)]
pub(crate) struct Allowance {
    max: usize,
    in_use: AtomicUsize,
}

impl Allowance {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, in_use: AtomicUsize::new(0) })
    }

    /// Takes all of these bytes, or none where that would be more than the maximum.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let more = |in_use: usize| in_use.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.in_use.fetch_update(AcqRel, Acquire, more).is_ok()
    }

    /// Gives back what was reserved.
    pub(crate) fn release(&self, bytes: usize) {
        self.in_use.fetch_sub(bytes, Release);
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use super::*;

    #[test]
    fn all_is_reserved_or_nothing_and_never_above_the_maximum() {
        let allowance = Allowance::new(10);
        assert!(allowance.reserve(7));
        assert!(!allowance.reserve(4));
        assert!(!allowance.reserve(usize::MAX));
        assert!(allowance.reserve(3));
        assert_eq!((allowance.in_use(), allowance.max()), (10, 10));
        allowance.release(10);
        assert_eq!(allowance.in_use(), 0);
    }
}
