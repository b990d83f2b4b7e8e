//! What the server calls, and when it stops calling it.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use clap::Args;
use palisade::{
    Backoff, Jitter,
    breaker::{Policy, Trip},
};
use serde::Serialize;

use super::values::{Period, address, count, many};

#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Upstream {
    /// Where the upstream listens, which is a part of this process. Port 0 takes any free one.
    #[arg(id = "upstream.listen", long = "upstream-listen", value_name = "ADDR")]
    #[arg(default_value = "127.0.0.1:0", value_parser = address, allow_hyphen_values = true)]
    pub(crate) listen: SocketAddr,

    /// How long an attempt to call it may take; then it is answered 504, and has failed.
    // Below the total, which would speak first: nobody would learn that it is the upstream that hangs.
    #[arg(id = "upstream.timeout", long = "upstream-timeout", value_name = "DURATION")]
    #[arg(default_value = "2s", allow_hyphen_values = true)]
    pub(crate) timeout: Period,

    /// How long all attempts of a call may take together, with the waits between; then it is answered 504.
    // Two attempts and a half: a third begins only if it is likely to end. Below the timeout, which would
    // speak first.
    #[arg(id = "upstream.total", long = "upstream-total", value_name = "DURATION")]
    #[arg(default_value = "5s", allow_hyphen_values = true)]
    pub(crate) total: Period,

    /// How many calls to it may be in flight at once; the next one is answered 503. 0 refuses all.
    // Half of what may be in flight here: an upstream that hangs does not take all places with it.
    #[arg(id = "upstream.max", long = "upstream-max-in-flight", value_name = "N")]
    #[arg(default_value = "50", value_parser = count, allow_hyphen_values = true)]
    pub(crate) max: usize,
}

/// With the defaults that the policy has.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Breaker {
    /// The share of failed calls at which the breaker opens, above 0 and at most 1.
    #[arg(id = "breaker.rate", long = "breaker-rate", value_name = "SHARE", default_value = "0.5")]
    #[arg(value_parser = share, allow_hyphen_values = true)]
    pub(crate) rate: f64,

    /// Of at least how many calls that is a share.
    #[arg(id = "breaker.min", long = "breaker-min", value_name = "N", default_value = "20")]
    #[arg(value_parser = least, allow_hyphen_values = true)]
    pub(crate) min: u32,

    /// Of the calls within how long that is a share.
    #[arg(id = "breaker.window", long = "breaker-window", value_name = "DURATION")]
    #[arg(default_value = "10s", value_parser = window, allow_hyphen_values = true)]
    pub(crate) window: Period,

    /// How many failures in a row open the breaker, however few calls there are.
    #[arg(id = "breaker.consecutive", long = "breaker-consecutive", value_name = "N")]
    #[arg(default_value = "5", value_parser = many, allow_hyphen_values = true)]
    pub(crate) consecutive: NonZeroU32,

    /// How long the breaker is open the first time; then twice as long each time, up to twelve times.
    #[arg(id = "breaker.open", long = "breaker-open", value_name = "DURATION")]
    #[arg(default_value = "5s", value_parser = open, allow_hyphen_values = true)]
    pub(crate) open: Period,
}

/// More than this a rate does not wait for.
const MOST: u32 = 1 << 24;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(86_400);

fn share(text: &str) -> Result<f64, &'static str> {
    text.parse()
        .ok()
        .filter(|share| Trip::try_rate(*share).is_ok())
        .ok_or("expected a share of calls, above 0 and at most 1, such as 0.5")
}

fn least(text: &str) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|calls| (1..=MOST).contains(calls))
        .ok_or_else(|| format!("expected a whole number from 1 to {MOST}"))
}

fn window(text: &str) -> Result<Period, &'static str> {
    text.parse()
        .ok()
        .filter(|Period(window)| Trip::default().try_window(*window).is_ok())
        .ok_or("expected a duration from 100ms to 1day, such as 10s")
}

fn open(text: &str) -> Result<Period, &'static str> {
    text.parse()
        .ok()
        .filter(|Period(open)| (SHORTEST..=LONGEST).contains(open))
        .ok_or("expected a duration from 1ms to 1day, such as 5s")
}

impl Breaker {
    /// By a rate or in a row. Each value was checked when it was loaded.
    pub(crate) fn policy(&self) -> Policy {
        let Self { rate, min, window, consecutive, open } = *self;
        let rate = Trip::rate(rate).min(min).window(window.0);
        // As much longer at last as with the policy's own default, and with its jitter.
        let open = Backoff::new(open.0, open.0 * 12).with_jitter(Jitter::Upward);
        Policy::new(rate.or(Trip::consecutive(consecutive.get()))).with_open(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_it_decides_as_the_policy_does_by_default() {
        let breaker = crate::settings::load(["server"], []).unwrap().settings.breaker;
        let window = Trip::default().window(Duration::from_secs(10));
        assert_eq!(breaker.policy(), Policy::default().with_trip(window));
    }
}
