use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use palisade_core::{Backoff, Deadline, Jitter, Outcome, RetryHint, Rng};

use crate::{
    RetryPolicy, Token,
    allowance::Allowance,
    counters::{Counters, Fate},
    policy::Terms,
    told,
};

/// What all requests of a layer share.
#[derive(Debug)]
pub(crate) struct Shared<C> {
    pub(crate) common: Arc<Common>,
    pub(crate) classifier: C,
}

/// All of it but who judges.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) terms: Terms,
    pub(crate) allowance: Arc<Allowance>,
    pub(crate) counters: Counters,
    seed: AtomicU64,
}

/// What is known of an attempt that may be followed by another.
pub(crate) struct Failed {
    /// Which it was; the first is 1.
    pub(crate) attempt: u32,
    pub(crate) hint: Option<RetryHint>,
    pub(crate) deadline: Option<Deadline>,
}

/// There is to be another attempt, so much later.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) delay: Duration,
    pub(crate) token: Token,
}

impl<C> Shared<C> {
    pub(crate) fn new(policy: RetryPolicy<C>) -> Arc<Self> {
        let RetryPolicy { terms, classifier } = policy;
        let common = Common {
            allowance: Allowance::new(terms.max_buffered),
            counters: Counters::default(),
            seed: AtomicU64::new(Rng::random().next_u64()),
            terms,
        };
        Arc::new(Self { common: Arc::new(common), classifier })
    }
}

impl Common {
    /// Whether there is to be another attempt, and if not, why.
    pub(crate) fn again(&self, failed: &Failed, now: Instant) -> Result<Again, Fate> {
        let Failed { attempt, hint, deadline } = *failed;
        let terms = &self.terms;
        if attempt >= terms.max_attempts {
            return Err(Fate::Exhausted);
        }
        let asked = match hint {
            None => Duration::ZERO,
            Some(RetryHint::After(asked)) if asked <= terms.longest_hint => asked,
            Some(_) => return Err(Fate::TooLate),
        };
        let delay = self.delay(attempt, asked);
        let in_time = deadline.is_none_or(|deadline| {
            deadline.remaining(now) >= delay.saturating_add(terms.min_useful)
                && !deadline.remaining(now).is_zero()
        });
        if !in_time {
            return Err(Fate::TooLate);
        }
        // Last, so that it is asked for nothing that is not done.
        let Some(token) = terms.budget.take(now) else {
            if let Some(refused) = terms.budget.untold(now) {
                told::refused(refused);
            }
            return Err(Fate::Refused);
        };
        Ok(Again { delay, token })
    }

    /// A failure is final.
    pub(crate) fn give_up(&self, fate: Fate, attempt: u32, outcome: Outcome) {
        self.counters.count(fate);
        told::final_failure(attempt, outcome, fate);
    }

    /// An answer is final that is no failure: whoever gave it is there.
    pub(crate) fn answered(&self, outcome: Outcome, is_retry: bool) {
        self.terms.budget.succeeded();
        if is_retry && outcome == Outcome::Success {
            self.counters.count(Fate::Recovered);
        }
    }

    /// Never sooner than was asked for, and after that not as soon as others who were asked the same.
    fn delay(&self, attempt: u32, asked: Duration) -> Duration {
        // SplitMix64 makes of neighbouring seeds numbers that have nothing in common.
        let mut rng = Rng::seeded(self.seed.fetch_add(1, Relaxed));
        let delay = self.terms.backoff.delay(attempt - 1, &mut rng);
        if asked.is_zero() {
            return delay;
        }
        let spread =
            Backoff::new(asked, asked.saturating_add(asked / 2)).with_jitter(Jitter::Upward);
        delay.max(spread.delay(0, &mut rng).max(asked))
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
