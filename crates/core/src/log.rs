//! What layers write to the log, by way of [`tracing`].
//!
//! Every event has the target `palisade` and the field `layer`. With nobody listening at an event's
//! level it costs one load and a comparison.

use std::{
    error::Error,
    fmt, iter,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::level_filters::LevelFilter;

use crate::{Rejection, classify::error::DEEPEST};

/// The log of one layer's refusals.
///
/// Each refusal is an event at `debug`, with everything that is known of it. At `warn` there is one
/// event for the first refusal and then at most one in [`PERIOD`](Self::PERIOD), which says how many
/// there were since the one before: a flood of refusals does not fill a disk. The last of a flood are
/// told of with the next refusal, whenever that is. Reason and id are those of the latest.
///
/// ```
/// use http::StatusCode;
/// use palisade_core::{Reason, Rejection, log::RefusalLog};
///
/// const CLOSED: Reason = Reason::new("closed-for-lunch");
/// static LOG: RefusalLog = RefusalLog::new("lunch-break");
///
/// # let now = std::time::Instant::now();
/// LOG.refused(&Rejection::new(CLOSED, StatusCode::SERVICE_UNAVAILABLE), now);
/// ```
#[derive(Debug)]
pub struct RefusalLog {
    layer: &'static str,
    summary: Mutex<Summary>,
}

impl RefusalLog {
    /// The least time between two events at `warn`.
    ///
    /// Often enough to be seen while it happens, and below 10,000 lines a day.
    pub const PERIOD: Duration = Duration::from_secs(10);

    /// The log of a layer by this name.
    #[must_use]
    pub const fn new(layer: &'static str) -> Self {
        Self { layer, summary: Mutex::new(Summary { since: None, refused: 0 }) }
    }

    /// Tells of a refusal at `now`.
    pub fn refused(&self, rejection: &Rejection, now: Instant) {
        if LevelFilter::current() >= LevelFilter::WARN {
            self.tell(rejection, now);
        }
    }

    #[inline(never)]
    fn tell(&self, rejection: &Rejection, now: Instant) {
        tracing::debug!(
            target: "palisade",
            layer = self.layer,
            id = %rejection.id(),
            reason = %rejection.reason(),
            status = rejection.status().as_u16(),
            grpc_code = %rejection.grpc_code(),
            sent = ?rejection.sent(),
            retry_after = ?rejection.retry_after(),
            cause = %Causes(rejection),
            "Request refused"
        );
        let due = self.summary.lock().unwrap_or_else(PoisonError::into_inner).count(now);
        if let Some(Due { refused, over }) = due {
            tracing::warn!(
                target: "palisade",
                layer = self.layer,
                refused,
                over = ?over,
                last_reason = %rejection.reason(),
                last_id = %rejection.id(),
                "Requests refused"
            );
        }
    }
}

/// Tells of a request that a layer lets pass, at `trace`.
// Out of line: inlined, the event's own code costs the path several times its check.
#[inline]
pub fn admitted(layer: &'static str) {
    if LevelFilter::current() == LevelFilter::TRACE {
        tell_admitted(layer);
    }
}

#[cold]
#[inline(never)]
fn tell_admitted(layer: &'static str) {
    tracing::trace!(target: "palisade", layer, "Request admitted");
}

/// Refusals that no event at `warn` has told of.
#[derive(Debug)]
struct Summary {
    /// When the last event was.
    since: Option<Instant>,
    refused: u64,
}

/// An event at `warn`: this many in this time.
#[derive(Debug, PartialEq, Eq)]
struct Due {
    refused: u64,
    over: Duration,
}

impl Summary {
    fn count(&mut self, now: Instant) -> Option<Due> {
        self.refused = self.refused.saturating_add(1);
        let over = self.since.map(|since| now.saturating_duration_since(since));
        if over.is_some_and(|over| over < RefusalLog::PERIOD) {
            return None;
        }
        let due = Due { refused: self.refused, over: over.unwrap_or_default() };
        *self = Self { since: Some(now), refused: 0 };
        Some(due)
    }
}

/// What led to a rejection, the nearest cause first.
struct Causes<'a>(&'a Rejection);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes = iter::successors(self.0.source(), |cause| (*cause).source()).take(DEEPEST);
        for (nth, cause) in causes.enumerate() {
            write!(f, "{}{cause}", if nth == 0 { "" } else { ": " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
