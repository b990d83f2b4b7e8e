use std::{fmt, num::NonZeroU32, time::Duration};

use crate::Quota;

/// What a bucket said: allowed or not, how much is left, when to come back.
///
/// Taking a token is a comparison; everything told here is worked out when it is asked for.
///
/// ```
/// use palisade_limit_rate::{Bucket, Quota};
/// use std::{num::NonZeroU32, time::{Duration, Instant}};
///
/// let (two, one) = (NonZeroU32::new(2).unwrap(), NonZeroU32::MIN);
/// # let now = Instant::now();
/// let mut bucket = Bucket::full();
/// assert_eq!(bucket.take(Quota::per_second(two), one, now).remaining(), 1);
/// assert_eq!(bucket.take(Quota::per_second(two), one, now).remaining(), 0);
///
/// let refused = bucket.take(Quota::per_second(two), one, now);
/// assert!(!refused.allowed());
/// assert_eq!(refused.retry_after(), Some(Duration::from_millis(500)));
/// assert_eq!(refused.reset_after(), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    quota: Quota,
    /// In ticks, until the bucket is full: of the state that the decision left.
    debt: u64,
    cost: NonZeroU32,
    /// A tick is `2^shift` nanoseconds.
    shift: u8,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allowed,
    NotYet,
    Never,
}

/// The bucket as a virtual schedule.
///
/// The *generic cell rate algorithm* (ITU-T I.371, Annex A, the virtual scheduling form) keeps one
/// number for each source: the theoretical arrival time, at which the source will have used up what
/// it was allowed so far. It is a token bucket told backwards. A bucket of `burst` tokens that fills
/// by one in each `T` and lacks `x` tokens is full again in `x · T`: the moment `now + x · T` says all
/// there is to know. It does not move while tokens flow in, so nothing has to be refilled; taking `n`
/// tokens moves it by `n · T`; and there were enough of them if it then lies at most `burst · T` ahead.
///
/// All of it in whole ticks of `2^shift` nanoseconds, in which a token takes a rounded-up number.
impl Decision {
    /// Decides on a bucket that is full in `debt` ticks. If it is allowed, [`debt`](Self::debt) is
    /// what is to be kept.
    #[inline]
    pub(crate) fn on(quota: Quota, shift: u8, debt: u64, cost: NonZeroU32) -> Self {
        let mut decision = Self { quota, debt, cost, shift, verdict: Verdict::Allowed };
        // Neither can overflow: a bucket fills in at most 2^60 nanoseconds.
        let charged = debt.saturating_add(decision.charge());
        if cost > quota.burst() {
            decision.verdict = Verdict::Never;
        } else if charged > decision.fill() {
            decision.verdict = Verdict::NotYet;
        } else {
            decision.debt = charged;
        }
        decision
    }

    /// As [`on`](Self::on), but taken in any case: a refusal is then of what the bucket is now.
    ///
    /// A bucket never owes more than one that was emptied and drawn from once more.
    pub(crate) fn charged(quota: Quota, shift: u8, debt: u64, cost: NonZeroU32) -> Self {
        let decision = Self::on(quota, shift, debt, cost);
        if decision.allowed() {
            return decision;
        }
        let most = debt.max(2 * decision.fill());
        Self { debt: debt.saturating_add(decision.charge()).min(most), ..decision }
    }

    /// As [`on`](Self::on), but nothing is taken.
    pub(crate) fn peek(quota: Quota, shift: u8, debt: u64, cost: NonZeroU32) -> Self {
        Self { debt, ..Self::on(quota, shift, debt, cost) }
    }

    /// As [`peek`](Self::peek) of the same bucket, for another cost. Of what was peeked at only.
    pub(crate) fn with_cost(self, cost: NonZeroU32) -> Self {
        Self::peek(self.quota, self.shift, self.debt, cost)
    }

    #[inline]
    pub(crate) fn debt(&self) -> u64 {
        self.debt
    }

    #[inline]
    fn token(&self) -> u64 {
        token_ticks(self.quota, self.shift)
    }

    #[inline]
    fn charge(&self) -> u64 {
        self.token().saturating_mul(self.cost.get().into())
    }

    #[inline]
    fn fill(&self) -> u64 {
        self.token() * u64::from(self.quota.burst().get())
    }

    fn time(&self, ticks: u64) -> Duration {
        // What is shown may be of a bucket that another quota emptied further than this one can.
        Duration::from_nanos(u64::try_from(u128::from(ticks) << self.shift).unwrap_or(u64::MAX))
    }

    /// Whether there were enough tokens.
    #[inline]
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }

    /// Whether the cost is over the burst: such a request is never allowed, however long it waits.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.verdict == Verdict::Never
    }

    /// The [`limit`](Quota::limit) of the quota that decided.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.quota.limit().get()
    }

    /// How many tokens are left, after this decision.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let tokens = self.fill().saturating_sub(self.debt) / self.token();
        u32::try_from(tokens).unwrap_or(u32::MAX)
    }

    /// When the same request will be allowed if nothing is taken meanwhile. `None` if it was, or
    /// [never](Self::is_never) will be.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let missing = || (self.debt + self.charge()).saturating_sub(self.fill());
        (self.verdict == Verdict::NotYet).then(|| self.time(missing()))
    }

    /// When there will be one token more than [`remaining`](Self::remaining) if nothing is taken
    /// meanwhile. Zero for a bucket that is full.
    #[must_use]
    pub fn more_after(&self) -> Duration {
        if self.debt == 0 {
            return Duration::ZERO;
        }
        let wanted = (u64::from(self.remaining()) + 1) * self.token();
        self.time((self.debt + wanted).saturating_sub(self.fill()))
    }

    /// When the bucket will be full if nothing is taken meanwhile.
    #[must_use]
    pub fn reset_after(&self) -> Duration {
        self.time(self.debt)
    }

    /// The quota that decided: the one that was asked for, or the key's own.
    #[must_use]
    pub fn policy(&self) -> Quota {
        self.quota
    }

    /// How many tokens were asked for.
    #[must_use]
    pub fn cost(&self) -> NonZeroU32 {
        self.cost
    }
}

/// In how many ticks a token flows in.
#[inline]
fn token_ticks(quota: Quota, shift: u8) -> u64 {
    (quota.token_nanos() + ((1 << shift) - 1)) >> shift
}

/// What is left of a debt when tokens are given back; a bucket never holds more than its burst.
pub(crate) fn refunded(quota: Quota, shift: u8, debt: u64, cost: NonZeroU32) -> u64 {
    debt.saturating_sub(token_ticks(quota, shift).saturating_mul(cost.get().into()))
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decision")
            .field("verdict", &self.verdict)
            .field("policy", &self.quota)
            .field("cost", &self.cost)
            .field("remaining", &self.remaining())
            .field("retry_after", &self.retry_after())
            .field("reset_after", &self.reset_after())
            .finish_non_exhaustive()
    }
}
