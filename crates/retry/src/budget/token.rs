use std::{fmt, sync::Arc};

use super::bucket::Bucket;

/// A retry that the budget allows, held from the decision to the end of the attempt.
///
/// Dropped before it is [spent](Self::spend), as when the caller goes away during the wait, it gives back
/// what it took. Dropped at any time, it is one retry less of those that may be at once.
#[must_use = "dropped before it is spent, it allows nothing"]
pub struct Token {
    bucket: Arc<Bucket>,
    spent: bool,
}

impl Token {
    pub(super) fn of(bucket: Arc<Bucket>) -> Self {
        Self { bucket, spent: false }
    }

    /// The attempt begins: from here on nothing is given back.
    pub fn spend(&mut self) {
        self.spent = true;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.spent {
            self.bucket.add(self.bucket.rule.price());
        }
        self.bucket.retries.leave();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("spent", &self.spent).finish_non_exhaustive()
    }
}
