//! When the server counts as well, and how long it is still asked for after it was told to leave.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::values::Period;

#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Health {
    /// How long it serves on after SIGTERM while it says that it is not ready. Not after Ctrl-C.
    // Until all that send traffic know it; Kubernetes takes some seconds for that.
    #[arg(id = "health.drain_delay", long = "drain-delay", value_name = "DURATION")]
    #[arg(default_value = "5s", allow_hyphen_values = true)]
    pub(crate) drain_delay: Period,

    /// How long the background task may be silent, before the server is not ready.
    // Three times as long as between two beats: one that comes late fails nothing.
    #[arg(id = "health.heartbeat", long = "heartbeat", value_name = "DURATION")]
    #[arg(default_value = "3s", value_parser = heartbeat, allow_hyphen_values = true)]
    pub(crate) heartbeat: Period,

    /// How often the upstream is asked how it is. When it is not well, the server is degraded.
    // Two failures in a row count, so that one sees it after some seconds.
    #[arg(id = "health.check_every", long = "check-every", value_name = "DURATION")]
    #[arg(default_value = "2s", value_parser = check_every, allow_hyphen_values = true)]
    pub(crate) check_every: Period,
}

/// The registry's own bound.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);
const SHORTEST_CHECK: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(86_400);

fn heartbeat(text: &str) -> Result<Period, &'static str> {
    within(text, SHORTEST_BEAT).ok_or("expected a duration from 10ms to 1day, such as 3s")
}

fn check_every(text: &str) -> Result<Period, &'static str> {
    within(text, SHORTEST_CHECK).ok_or("expected a duration from 1ms to 1day, such as 2s")
}

fn within(text: &str, shortest: Duration) -> Option<Period> {
    text.parse().ok().filter(|Period(period)| (shortest..=LONGEST).contains(period))
}
