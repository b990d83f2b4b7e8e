use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::{
    Quota,
    sync::{AtomicU64, Mutex, fence, lock},
};

/// A quota that is read on the path of every request, without a lock, and written hardly ever.
///
/// A sequence lock: a reader that sees the count of writes odd, or changed when it is done, has met a
/// writer and reads again.
#[derive(Debug)]
pub(crate) struct QuotaCell {
    writes: AtomicU64,
    words: [AtomicU64; 3],
    writer: Mutex<()>,
}

impl QuotaCell {
    pub(crate) fn new(quota: Quota) -> Self {
        Self {
            writes: AtomicU64::new(0),
            words: quota.words().map(AtomicU64::new),
            writer: Mutex::new(()),
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> Quota {
        loop {
            let before = self.writes.load(Acquire);
            let words =
                [&self.words[0], &self.words[1], &self.words[2]].map(|word| word.load(Relaxed));
            fence(Acquire);
            if before.is_multiple_of(2) && self.writes.load(Relaxed) == before {
                return Quota::from_words(words);
            }
            self.wait();
        }
    }

    /// Until the writer is done.
    #[cold]
    fn wait(&self) {
        drop(lock(&self.writer));
    }

    pub(crate) fn set(&self, quota: Quota) {
        let _writer = lock(&self.writer);
        let before = self.writes.load(Relaxed);
        self.writes.store(before.wrapping_add(1), Relaxed);
        fence(Release);
        for (word, value) in self.words.iter().zip(quota.words()) {
            word.store(value, Relaxed);
        }
        self.writes.store(before.wrapping_add(2), Release);
    }
}

#[cfg(all(test, palisade_loom))]
mod loom_tests {
    use loom::{sync::Arc, thread};

    use super::*;

    #[test]
    fn a_quota_is_never_read_in_halves() {
        loom::model(|| {
            let [before, after]: [Quota; 2] =
                ["1/s", "7/h burst 3"].map(|text| text.parse().expect("it is a quota"));
            let cell = Arc::new(QuotaCell::new(before));
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.set(after))
            };
            let read = cell.get();
            assert!(read == before || read == after, "{read:?}");
            writer.join().expect("it does not panic");
            assert_eq!(cell.get(), after);
        });
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::quotas;

    proptest! {
        #[test]
        fn a_quota_is_read_as_it_was_set(first in quotas(), second in quotas()) {
            let cell = QuotaCell::new(first);
            prop_assert_eq!(cell.get(), first);
            cell.set(second);
            prop_assert_eq!(cell.get(), second);
        }
    }
}
