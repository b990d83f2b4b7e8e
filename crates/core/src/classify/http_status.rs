use std::{convert::Infallible, time::SystemTime};

use http::{StatusCode, response::Parts};

use crate::{
    Classify, Head, Outcome, Protocol, RetryHint, Sent, Verdict, WithSent, classify::error,
};

/// Judges by the HTTP status, at the head: how the body ends does not change it.
///
/// | answer | outcome |
/// | --- | --- |
/// | 1xx, 2xx, 3xx | [`Success`](Outcome::Success) |
/// | 429 | [`Throttled`](Outcome::Throttled), with its `Retry-After` |
/// | other 4xx, 501, 505 | [`Ignored`](Outcome::Ignored): the caller asked for what cannot be had |
/// | other 5xx, and what is no status (RFC 9110 §15) | [`Failure`](Outcome::Failure), a 503 too if it has a `Retry-After` |
/// | [a refusal of ours](Outcome::of_refusal) | as that says |
/// | an error | as [`Outcome::of_error`] says, for the types it knows |
///
/// That a caller's faults are ignored, and no successes, keeps a flood of 404 from hiding an outage
/// in a rate. So does gRPC's table, where they have codes of their own.
///
/// An error is looked into if `E` is [`BoxError`](crate::BoxError), [`io::Error`](std::io::Error),
/// [`Rejection`](crate::Rejection) or a type of one of this crate's features; of other types only
/// [`with_sent`](Self::with_sent) says more than that they are failures.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpClassifier;

impl HttpClassifier {
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

impl<E: 'static> Classify<E> for HttpClassifier {
    type Call = ();
    type Eos = Infallible;

    #[inline]
    fn request(&self, _: Head<'_>) {}

    #[inline]
    fn response(&self, (): (), parts: &Parts) -> Verdict<Infallible> {
        Verdict::Now(of_head(parts))
    }

    fn error(&self, error: &E) -> Outcome {
        error::of_any(error)
    }
}

#[inline]
pub(super) fn of_head(parts: &Parts) -> Outcome {
    Outcome::of_refusal(parts).unwrap_or_else(|| {
        of_status(parts.status, || RetryHint::of(&parts.headers, Protocol::Http, SystemTime::now()))
    })
}

#[inline]
pub(super) fn of_status(status: StatusCode, hint: impl FnOnce() -> Option<RetryHint>) -> Outcome {
    match status.as_u16() {
        ..=399 => Outcome::Success,
        429 => Outcome::Throttled { retry_after: hint().and_then(RetryHint::delay) },
        400..=499 | 501 | 505 => Outcome::Ignored,
        _ => Outcome::Failure,
    }
}
