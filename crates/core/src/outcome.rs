use std::{error::Error, time::Duration};

use http::response::Parts;

use crate::{Rejection, Sent, classify};

/// What an exchange says about the service that was asked. There are no other answers.
///
/// Who counts decides what each is worth. As Palisade's own layers have it:
///
/// | outcome | a breaker | a retry |
/// | --- | --- | --- |
/// | `Success` | a success | is done |
/// | `Failure` | a failure | may try again what may be done twice |
/// | `Throttled` | a failure, but no outage | may try again, not before the time that was named |
/// | `NotSent` | a failure: nobody is there | may try again whatever the method |
/// | `Ignored` | nothing at all | is done |
///
/// A refusal by a layer of ours inside is `Ignored`, though it too was never sent: it says nothing
/// about the service. Who wants to know whether such a request may be sent again asks
/// [`Rejection::of`] and [`Rejection::sent`] first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The service did what was asked.
    Success,
    /// The service failed, or may have: it may have begun, so what is done twice may happen twice.
    Failure,
    /// The service is there and wants to be asked less often.
    Throttled {
        /// After what time it wants to be asked again, if it said so; at most
        /// [`RetryHint::LONGEST`](crate::RetryHint::LONGEST).
        retry_after: Option<Duration>,
    },
    /// The service could not be reached, and it is proved that the request never got there.
    NotSent,
    /// Nothing was learnt: the caller was at fault, or the request was given up.
    Ignored,
}

impl Outcome {
    /// What a refusal by one of our layers inside comes to, if the response is one.
    ///
    /// A request that was [not sent](Sent::No) says nothing about the service: `Ignored`. One that
    /// [may have been](Sent::Maybe), as when it was timed out, is a `Failure`. A refusal
    /// [after the service answered](Sent::Yes) is judged as if the service had given it: `None`.
    ///
    /// All classifiers here ask this first, closures too. Ask it first in one of your own.
    #[inline]
    #[must_use]
    pub fn of_refusal(parts: &Parts) -> Option<Self> {
        parts.extensions.get().and_then(Self::of_rejection)
    }

    pub(crate) fn of_rejection(rejection: &Rejection) -> Option<Self> {
        match rejection.sent() {
            Sent::No => Some(Self::Ignored),
            Sent::Maybe => Some(Self::Failure),
            Sent::Yes => None,
        }
    }

    /// What an error says: `NotSent` if it, or one of its causes, proves that nothing was sent, else
    /// nearly always `Failure`.
    ///
    /// For classifiers of error types of your own that have a usual error inside; the classifiers
    /// here do it by themselves for the types they know.
    ///
    /// | error, or cause | what it says |
    /// | --- | --- |
    /// | [`io::Error`](std::io::Error) of the kind `ConnectionRefused` | `NotSent` |
    /// | [`Rejection`] | as [`of_refusal`](Self::of_refusal) says |
    /// | with the feature `hyper-util`: its client's error in connecting | `NotSent` |
    /// | with `hyper-util` or `h2`: hyper's error for a request that it canceled before it was written | `NotSent` |
    /// | with `hyper-util` or `h2`: hyper's error for what the caller did wrong, as a request's body that failed; and with `h2`, a stream that the caller itself has reset | `Ignored` |
    /// | with `h2`: a stream that the server reset with `REFUSED_STREAM` ([RFC 9113 §8.7](https://www.rfc-editor.org/rfc/rfc9113#section-8.7)), or that a `GOAWAY` with `NO_ERROR` left out (§6.8) | `NotSent` |
    /// | with `tonic`, which has both others: its error in connecting | `NotSent` |
    /// | with `tonic`: a status | as [`GrpcClassifier`](crate::GrpcClassifier) says; but `CANCELLED` that tonic made of an error, a reset or its own timeout, is a `Failure` |
    /// | anything else | its own cause decides; without one, `Failure` |
    ///
    /// A reset, a broken pipe, an incomplete message or a timeout is no proof: the service may have
    /// begun. A cause is taken for one of *this* exchange. Where an error may hide another's, as that
    /// of a handler that could not reach its database, say so with a `with_sent`.
    #[must_use]
    pub fn of_error(error: &(dyn Error + 'static)) -> Self {
        classify::error::of(error)
    }
}
