//! When a call to the upstream is tried again.

use std::{num::NonZeroU32, time::Duration};

use clap::Args;
use palisade::{
    Backoff,
    retry::{Budget, RetryPolicy},
};
use serde::Serialize;

use super::values::{Period, many};

/// With the defaults that the policy has.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Retry {
    /// How often a call is sent at most, the first time included. 1 tries nothing again.
    #[arg(id = "retry.max_attempts", long = "retry-max-attempts", value_name = "N")]
    #[arg(default_value = "3", value_parser = many, allow_hyphen_values = true)]
    pub(crate) max_attempts: NonZeroU32,

    /// How long the first wait is at most; then twice as long each time, up to twenty times.
    #[arg(id = "retry.backoff", long = "retry-backoff", value_name = "DURATION")]
    #[arg(default_value = "50ms", value_parser = backoff, allow_hyphen_values = true)]
    pub(crate) backoff: Period,

    /// How many retries there may be for each success, above 0 and at most 1.
    #[arg(id = "retry.ratio", long = "retry-ratio", value_name = "SHARE", default_value = "0.1")]
    #[arg(value_parser = share, allow_hyphen_values = true)]
    pub(crate) ratio: f64,

    /// How many retries a second there may be beside those, whatever becomes of them.
    #[arg(id = "retry.floor", long = "retry-floor", value_name = "N", default_value = "0")]
    #[arg(value_parser = tokens, allow_hyphen_values = true)]
    pub(crate) floor: u32,

    /// How many retries can be saved up. 0 allows none.
    #[arg(id = "retry.burst", long = "retry-burst", value_name = "N", default_value = "10")]
    #[arg(value_parser = tokens, allow_hyphen_values = true)]
    pub(crate) burst: u32,
}

const LONGEST: Duration = Duration::from_secs(60);

fn backoff(text: &str) -> Result<Period, &'static str> {
    text.parse()
        .ok()
        .filter(|Period(first)| *first <= LONGEST)
        .ok_or("expected a duration from 0s to 1m, such as 50ms")
}

fn share(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|share| Budget::try_ratio(*share).is_ok())
        .ok_or("expected a share of successes, above 0 and at most 1, such as 0.1")
}

fn tokens(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("expected a whole number from 0 to {}", u32::MAX))
}

impl Retry {
    /// Of a budget of its own. Each value was checked when it was loaded.
    pub(crate) fn policy(&self) -> RetryPolicy {
        let Self { max_attempts, backoff, ratio, floor, burst } = *self;
        RetryPolicy::http()
            .max_attempts(max_attempts.get())
            // As much longer at last as with the policy's own default.
            .backoff(Backoff::new(backoff.0, backoff.0 * 20))
            .budget(Budget::ratio(ratio).floor(floor).burst(burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_it_tries_again_as_the_policy_does_by_default() {
        let retry = crate::settings::load(["server"], []).unwrap().settings.retry;
        assert_eq!(format!("{:?}", retry.policy()), format!("{:?}", RetryPolicy::http()));
        // What a budget does not show of itself.
        assert_eq!((retry.ratio.to_bits(), retry.floor), (0.1_f64.to_bits(), 0));
    }
}
