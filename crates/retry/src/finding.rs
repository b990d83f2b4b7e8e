use std::time::SystemTime;

use http::HeaderMap;
use palisade_core::{Outcome, Protocol, Rejection, RetryHint, Sent};

/// What an attempt has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    /// When the service wants to be asked again.
    pub(crate) hint: Option<RetryHint>,
}

impl Finding {
    /// `headers` are the trailers where those decided.
    #[inline]
    pub(crate) fn new(outcome: Outcome, headers: &HeaderMap, protocol: Protocol) -> Self {
        let mut finding = Self::without_hint(outcome);
        if finding.is_transient() {
            let hint = RetryHint::of(headers, protocol, SystemTime::now());
            // Both are said by the service: what comes later, or not at all, holds.
            finding.hint = match (finding.hint, hint) {
                (Some(RetryHint::After(one)), Some(RetryHint::After(other))) => {
                    Some(RetryHint::After(one.max(other)))
                }
                (one, other) => other.or(one),
            };
        }
        finding
    }

    pub(crate) fn without_hint(outcome: Outcome) -> Self {
        let hint = match outcome {
            Outcome::Throttled { retry_after } => retry_after.map(RetryHint::After),
            _ => None,
        };
        Self { outcome, hint }
    }

    /// Of a refusal by a layer inside. One after the service answered is judged as the service's.
    #[inline]
    pub(crate) fn of_rejection(rejection: &Rejection) -> Option<Self> {
        let outcome = match rejection.sent() {
            // What will be refused again, whoever asks, is final.
            Sent::No if !is_transient(rejection) => Outcome::Ignored,
            Sent::No => Outcome::NotSent,
            Sent::Maybe => Outcome::Failure,
            Sent::Yes => return None,
        };
        Some(Self { outcome, hint: rejection.retry_after().map(RetryHint::After) })
    }

    pub(crate) fn is_transient(self) -> bool {
        !matches!(self.outcome, Outcome::Success | Outcome::Ignored)
    }
}

fn is_transient(rejection: &Rejection) -> bool {
    matches!(rejection.status().as_u16(), 429 | 502..=504)
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
