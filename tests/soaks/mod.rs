//! An upstream whose health changes, and clients who ask it in every way that there is.

#![allow(dead_code, unused_imports, reason = "each soak uses its part")]

mod clients;
mod upstream;

use std::time::Duration;

use palisade::Rng;

pub(crate) use clients::{Crowd, Watch};
pub(crate) use upstream::{Broken, Upstream};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How long a soak takes, in a time that passes as fast as it can.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// The header that says which upstream is asked.
pub(crate) const UPSTREAM: http::HeaderName = http::HeaderName::from_static("x-upstream");

/// What a soak draws from chance, the same for each seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rng::seeded(seed))
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0.next_u64() % most
    }

    /// True so often of a hundred.
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = usize::try_from(self.below(all.len() as u64)).unwrap();
        all[at]
    }

    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        let most = u64::try_from(longest.as_nanos()).unwrap();
        Duration::from_nanos(self.below(most))
    }
}
