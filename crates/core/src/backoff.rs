use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// How long to wait before the next attempt: longer after each, and never quite as long as others do.
///
/// The first wait, after attempt 0, is as long as `base`, each further one twice as long, up to `max`;
/// a [`Jitter`] says how much of it is left to chance. A `base` over `max` is `max`. All of it is integer
/// arithmetic that saturates: no attempt is too late, and no duration too long.
///
/// The kinds of jitter are those of M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog,
/// 2015), which finds that without it clients that failed together come back together.
///
/// ```
/// use palisade_core::{Backoff, Jitter, Rng};
/// use std::time::Duration;
///
/// const POLITE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
///
/// let mut rng = Rng::random();
/// assert!(POLITE.delay(0, &mut rng) <= Duration::from_millis(50));
/// assert!(POLITE.delay(u32::MAX, &mut rng) <= Duration::from_secs(1));
///
/// let mut half = POLITE.with_jitter(Jitter::Equal).delays(Rng::seeded(7));
/// assert!(half.next() >= Some(Duration::from_millis(25)));
/// assert!(half.next() >= Some(Duration::from_millis(50)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    /// In nanoseconds, and never more than `max`.
    base: u64,
    max: u64,
    jitter: Jitter,
}

/// How much of a delay is left to chance. `x` is the delay without it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Jitter {
    /// All of it: between 0 and `x`. The least work in total for retries, as Brooker measured.
    #[default]
    Full,
    /// Half of it: between `x / 2` and `x`, for what must not come too soon.
    Equal,
    /// Up to half of it on top, between `x` and `3x / 2`, for what must not come before its time, as what
    /// a server asked for. As that is within the maximum too, `x` is two thirds of the maximum at most.
    Upward,
    /// Between the base and three times the delay before, within the maximum.
    Decorrelated,
    /// None of it: `x`.
    None,
}

impl Backoff {
    /// Waits from `base` to `max`, each twice as long as the one before, with [full](Jitter::Full)
    /// jitter.
    #[must_use]
    pub const fn new(base: Duration, max: Duration) -> Self {
        let (base, max) = (nanos(base), nanos(max));
        Self { base: if base < max { base } else { max }, max, jitter: Jitter::Full }
    }

    /// The same wait after each attempt, without jitter.
    #[must_use]
    pub const fn constant(delay: Duration) -> Self {
        Self::new(delay, delay).with_jitter(Jitter::None)
    }

    /// With another kind of jitter.
    #[must_use]
    pub const fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The first wait, without jitter.
    #[must_use]
    pub const fn base(&self) -> Duration {
        Duration::from_nanos(self.base)
    }

    /// No wait is longer, whatever the jitter.
    #[must_use]
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The kind of jitter.
    #[must_use]
    pub const fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// How long to wait after this attempt, of which the first is 0.
    ///
    /// With [decorrelated](Jitter::Decorrelated) jitter a delay depends on the one before, which this
    /// does not know. It draws one from all that could come after so many attempts; for delays that follow
    /// from one another there is [`delays`](Self::delays).
    pub fn delay(&self, attempt: u32, rng: &mut Rng) -> Duration {
        let mut previous = self.base;
        if self.jitter == Jitter::Decorrelated {
            for _ in 0..attempt.min(FORGOTTEN) {
                previous = self.after(previous, rng);
            }
        }
        Duration::from_nanos(self.draw(attempt, previous, rng))
    }

    /// The waits after one attempt after another, without end.
    #[must_use]
    pub const fn delays(self, rng: Rng) -> Delays {
        Delays { backoff: self, rng, attempt: 0, previous: self.base }
    }

    fn draw(&self, attempt: u32, previous: u64, rng: &mut Rng) -> u64 {
        // A nanosecond is three centuries after 63 attempts.
        let plain = self.base.saturating_mul(1 << attempt.min(63)).min(self.max);
        let upward = plain.min(self.max - self.max / 3);
        match self.jitter {
            Jitter::Full => rng.within(0, plain),
            Jitter::Equal => rng.within(plain - plain / 2, plain),
            Jitter::Upward => rng.within(upward, upward.saturating_add(upward / 2).min(self.max)),
            Jitter::Decorrelated => self.after(previous, rng),
            Jitter::None => plain,
        }
    }

    fn after(&self, previous: u64, rng: &mut Rng) -> u64 {
        rng.within(self.base, previous.saturating_mul(3)).min(self.max)
    }
}

/// After so many steps a decorrelated delay no longer tells where it began: on average each is half as
/// long again as the one before, and 1.5³² is more than a maximum is of a base.
const FORGOTTEN: u32 = 32;

/// In nanoseconds, up to 584 years.
#[allow(clippy::cast_possible_truncation, reason = "it was compared with the most")]
const fn nanos(time: Duration) -> u64 {
    let nanos = time.as_nanos();
    if nanos < u64::MAX as u128 { nanos as u64 } else { u64::MAX }
}

/// The waits of a [`Backoff`], one after another, without end.
#[derive(Clone, Debug)]
pub struct Delays {
    backoff: Backoff,
    rng: Rng,
    attempt: u32,
    previous: u64,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.previous = self.backoff.draw(self.attempt, self.previous, &mut self.rng);
        self.attempt = self.attempt.saturating_add(1);
        Some(Duration::from_nanos(self.previous))
    }
}

/// Where jitter comes from: a small generator of random numbers, good enough to keep clients apart and
/// for nothing secret.
///
/// It is `SplitMix64` (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators",
/// OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The sequence of this seed, the same wherever it runs.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A sequence of its own. The seed is one that the standard library's hasher takes from the operating
    /// system.
    #[must_use]
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(()))
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// One of `least..=most`, each as likely as any other to within one in 2⁶⁴ of their number.
    #[allow(clippy::cast_possible_truncation, reason = "the upper half is less than the span")]
    fn within(&mut self, least: u64, most: u64) -> u64 {
        let span = u128::from(most.saturating_sub(least)) + 1;
        least + ((u128::from(self.next_u64()) * span) >> 64) as u64
    }
}

#[cfg(test)]
mod tests;
