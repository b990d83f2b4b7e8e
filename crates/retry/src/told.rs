//! What is written to the log.

use std::time::Duration;

use palisade_core::Outcome;

use crate::{counters::Fate, service::LAYER};

#[cold]
#[inline(never)]
pub(crate) fn again(attempt: u32, outcome: Outcome, delay: Duration) {
    tracing::debug!(target: "palisade", layer = LAYER, attempt, ?outcome, ?delay, "Trying again");
}

#[cold]
#[inline(never)]
pub(crate) fn final_failure(attempt: u32, outcome: Outcome, fate: Fate) {
    tracing::debug!(target: "palisade", layer = LAYER, attempt, ?outcome, why = ?fate, "Not tried again");
}

#[cold]
#[inline(never)]
pub(crate) fn refused(refused: u64) {
    tracing::warn!(target: "palisade", layer = LAYER, refused, "Retry budget used up");
}
