use std::{any::Any, time::SystemTime};

use http::{HeaderMap, StatusCode, response::Parts};
use palisade_core::{
    AutoClassifier, BoxError, Classify, ClassifyEnd, End, GrpcCode, Head, Outcome, Protocol,
    Rejection, RetryHint, Sent, Verdict, WithSent,
};

use crate::finding::Finding;

/// Judges which answers another attempt may better. What a retry does unless told otherwise.
///
/// | answer | outcome |
/// | --- | --- |
/// | HTTP 502, 503, 504 | [`Failure`](Outcome::Failure) |
/// | HTTP 429 | [`Throttled`](Outcome::Throttled) |
/// | gRPC `UNAVAILABLE`, also where it stands for a proxy's [429, 502, 503 or 504](GrpcCode::from_answer) | `Failure` |
/// | gRPC `RESOURCE_EXHAUSTED` with a time in `grpc-retry-pushback-ms` | `Throttled`; a `Failure` if that says never |
/// | an error | as [`Outcome::of_error`] says |
/// | HTTP 1xx, 2xx, 3xx; gRPC `OK` | [`Success`](Outcome::Success) |
/// | all else | [`Ignored`](Outcome::Ignored): it is final |
///
/// Narrower than what fails in a breaker's eyes. A 500 or an `INTERNAL` is a fault in what the request
/// met there, and will be so again; 408 asks for another connection; `DEADLINE_EXCEEDED` says that nobody
/// waits any more; `RESOURCE_EXHAUSTED` by itself may be a quota that is used up for the day, and a message
/// that is too large. gRPC's own retries are for `UNAVAILABLE` in gRFC A6's example as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransientClassifier;

impl TransientClassifier {
    /// The classifier.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }

    /// Lets `sent` say of which errors it is proved that nothing was sent.
    #[must_use]
    pub const fn with_sent<E, F: Fn(&E) -> Sent>(self, sent: F) -> WithSent<Self, F> {
        WithSent::new(self, sent)
    }
}

impl<E: 'static> Classify<E> for TransientClassifier {
    type Call = Protocol;
    type Eos = TransientEnd;

    #[inline]
    fn request(&self, head: Head<'_>) -> Protocol {
        Protocol::of(head)
    }

    #[inline]
    fn response(&self, call: Protocol, parts: &Parts) -> Verdict<TransientEnd> {
        if let Some(outcome) = Outcome::of_refusal(parts) {
            return Verdict::Now(outcome);
        }
        if !call.is_grpc() {
            return Verdict::Now(of_status(parts.status));
        }
        match GrpcCode::of(&parts.headers).or_else(|| GrpcCode::from_answer(parts.status)) {
            Some(code) => Verdict::Now(of_code(code, &parts.headers)),
            None => Verdict::AtEnd(TransientEnd(())),
        }
    }

    fn error(&self, error: &E) -> Outcome {
        rejection(error)
            .and_then(Finding::of_rejection)
            .map_or_else(|| AutoClassifier.error(error), |finding| finding.outcome)
    }
}

/// A refusal that was made an error, as by [`RejectionErrorLayer`](palisade_core::RejectionErrorLayer).
fn rejection<E: 'static>(error: &E) -> Option<&Rejection> {
    let error = error as &dyn Any;
    let boxed = || error.downcast_ref::<BoxError>()?.downcast_ref();
    error.downcast_ref().or_else(boxed)
}

#[inline]
fn of_status(status: StatusCode) -> Outcome {
    match status.as_u16() {
        ..=399 => Outcome::Success,
        429 => Outcome::Throttled { retry_after: None },
        502..=504 => Outcome::Failure,
        _ => Outcome::Ignored,
    }
}

/// `headers` are those that the code was among.
fn of_code(code: GrpcCode, headers: &HeaderMap) -> Outcome {
    match code {
        GrpcCode::Ok => Outcome::Success,
        GrpcCode::Unavailable => Outcome::Failure,
        GrpcCode::ResourceExhausted => {
            match RetryHint::of(headers, Protocol::Grpc, SystemTime::now()) {
                Some(RetryHint::After(after)) => Outcome::Throttled { retry_after: Some(after) },
                // A failure that is not to be repeated, and in gRFC A6's throttle counts as one.
                Some(RetryHint::Never) => Outcome::Failure,
                None => Outcome::Ignored,
            }
        }
        _ => Outcome::Ignored,
    }
}

/// Waits for the status of a gRPC call at the end of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransientEnd(());

impl ClassifyEnd for TransientEnd {
    fn end(self, end: End<'_>) -> Outcome {
        match end {
            End::Complete { trailers } => trailers.map_or(Outcome::Ignored, |trailers| {
                GrpcCode::of(trailers).map_or(Outcome::Ignored, |code| of_code(code, trailers))
            }),
            End::Failed => Outcome::Failure,
            End::Dropped => Outcome::Ignored,
        }
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
