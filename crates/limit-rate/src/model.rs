//! What the tests hold buckets against: a bucket that counts tokens, where ours counts time.

use std::{num::NonZeroU32, time::Duration};

use proptest::{prelude::*, test_runner::TestCaseError};

use crate::{Decision, Quota};

/// A naive token bucket. Tokens are fractions over the ticks in which one flows in.
pub(crate) struct Level {
    quota: Quota,
    token: i128,
    /// What a tick is in nanoseconds.
    tick: i128,
    /// Of a full bucket and of this one, which owes what is below zero.
    full: i128,
    now: i128,
}

impl Level {
    pub(crate) fn full(quota: Quota) -> Self {
        Self::in_ticks(quota, 1)
    }

    pub(crate) fn in_ticks(quota: Quota, tick: u64) -> Self {
        let token = i128::from(quota.token_nanos().div_ceil(tick));
        let full = token * i128::from(quota.burst().get());
        Self { quota, token, tick: tick.into(), full, now: full }
    }

    pub(crate) fn pass(&mut self, ticks: u64) {
        self.now = (self.now + i128::from(ticks)).min(self.full);
    }

    pub(crate) fn has(&self, cost: NonZeroU32) -> bool {
        self.now >= self.token * i128::from(cost.get())
    }

    pub(crate) fn charge(&mut self, cost: NonZeroU32) {
        self.now -= self.token * i128::from(cost.get());
    }

    pub(crate) fn refund(&mut self, cost: NonZeroU32) {
        self.now = (self.now + self.token * i128::from(cost.get())).min(self.full);
    }

    /// Takes, and compares with what was decided.
    pub(crate) fn take(&mut self, cost: NonZeroU32, told: &Decision) -> Result<(), TestCaseError> {
        let allowed = self.has(cost);
        prop_assert_eq!(told.allowed(), allowed);
        prop_assert_eq!(told.is_never(), cost > self.quota.burst());
        if allowed {
            self.charge(cost);
        }
        let retry = (!allowed && cost <= self.quota.burst())
            .then(|| self.time(self.token * i128::from(cost.get()) - self.now));
        prop_assert_eq!(told.retry_after(), retry);
        self.is_told_by(told)
    }

    /// Takes in any case, and compares.
    pub(crate) fn charge_anyway(
        &mut self,
        cost: NonZeroU32,
        told: &Decision,
    ) -> Result<(), TestCaseError> {
        let allowed = self.has(cost);
        prop_assert_eq!(told.allowed(), allowed);
        self.now = (self.now - self.token * i128::from(cost.get())).max(-self.full);
        let retry = (!allowed && cost <= self.quota.burst())
            .then(|| self.time(self.token * i128::from(cost.get()) - self.now));
        prop_assert_eq!(told.retry_after(), retry);
        self.is_told_by(told)
    }

    /// Compares with what was decided last, or is seen without taking.
    pub(crate) fn is_told_by(&self, told: &Decision) -> Result<(), TestCaseError> {
        prop_assert_eq!(i128::from(told.remaining()), self.now.max(0) / self.token);
        prop_assert_eq!(told.reset_after(), self.time(self.full - self.now));
        let next = (self.now.max(0) / self.token + 1) * self.token;
        let more = if self.now == self.full { 0 } else { next - self.now };
        prop_assert_eq!(told.more_after(), self.time(more));
        prop_assert_eq!(told.policy(), self.quota);
        prop_assert_eq!(told.limit(), self.quota.limit().get());
        Ok(())
    }

    fn time(&self, ticks: i128) -> Duration {
        Duration::from_nanos(u64::try_from(ticks * self.tick).expect("not that long"))
    }
}

/// Quotas of all sizes: a millisecond to a year, a burst of one to that of a thousand intervals.
pub(crate) fn quotas() -> impl Strategy<Value = Quota> {
    let interval = prop_oneof![
        Just(Duration::from_millis(1)),
        (1..5_000_u64).prop_map(Duration::from_millis),
        (1_000_000..10_000_000_000_u64).prop_map(Duration::from_nanos),
        (1..1000_u64).prop_map(Duration::from_secs),
        (1..=366_u64).prop_map(|days| Duration::from_secs(86_400 * days)),
    ];
    let limit = prop_oneof![Just(1), 1..20_u32, 1..100_000_u32];
    let burst = prop_oneof![2 => Just(None), 1 => Just(Some(1)), 3 => (1..40_u32).prop_map(Some)];
    (interval, limit, burst).prop_map(|(interval, limit, burst)| {
        let quota = Quota::new(NonZeroU32::new(limit).expect("not zero"), interval);
        let with = |burst| quota.try_with_burst(NonZeroU32::new(burst).expect("not zero")).ok();
        burst.and_then(with).unwrap_or(quota)
    })
}
