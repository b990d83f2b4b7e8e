use std::time::SystemTime;

use http::{HeaderMap, response::Parts};

use crate::{
    Classify, ClassifyEnd, End, GrpcCode, Head, Outcome, Protocol, RetryHint, Sent, Verdict,
    WithSent, classify::error,
};

/// Judges by the gRPC status, wherever it is: in the head of a trailers-only answer, else in the
/// trailers.
///
/// | answer | outcome |
/// | --- | --- |
/// | `OK` | [`Success`](Outcome::Success) |
/// | `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNKNOWN`, `DATA_LOSS`, and what is no status | [`Failure`](Outcome::Failure) |
/// | `RESOURCE_EXHAUSTED` | [`Throttled`](Outcome::Throttled), with its `grpc-retry-pushback-ms` |
/// | `CANCELLED`, and the caller's faults, which are all others | [`Ignored`](Outcome::Ignored) |
/// | another HTTP status than 200 and no gRPC status | as [gRPC's table](GrpcCode::from_answer) has it |
/// | a body that ends without a status, or fails | [`Failure`](Outcome::Failure) |
/// | a body that is dropped before its end | [`Ignored`](Outcome::Ignored): nobody waited for the status |
/// | [a refusal of ours](Outcome::of_refusal) | as that says |
/// | an error | as [`Outcome::of_error`] says, for the [types it knows](crate::HttpClassifier) |
///
/// # A handler that panics
///
/// A tonic server answers it by resetting the stream, which tonic's generated clients report as
/// `CANCELLED`. A layer around the `Channel` still sees the reset, as an error or as a body that
/// failed, and counts a failure; `CANCELLED` as a status is what the service said.
///
/// # gRPC-Web
///
/// Its status is inside the body, where nobody here reads it. Such an answer is judged by its head,
/// and by its trailers if it has some; else a body that is complete is a success. To ignore those
/// would leave only failures to be counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct GrpcClassifier;

impl GrpcClassifier {
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

impl<E: 'static> Classify<E> for GrpcClassifier {
    type Call = Protocol;
    type Eos = GrpcEnd;

    #[inline]
    fn request(&self, head: Head<'_>) -> Protocol {
        Protocol::of(head)
    }

    #[inline]
    fn response(&self, call: Protocol, parts: &Parts) -> Verdict<GrpcEnd> {
        of_head(call, parts)
    }

    fn error(&self, error: &E) -> Outcome {
        error::of_any(error)
    }
}

pub(super) fn of_head(call: Protocol, parts: &Parts) -> Verdict<GrpcEnd> {
    if let Some(outcome) = Outcome::of_refusal(parts) {
        return Verdict::Now(outcome);
    }
    match GrpcCode::of(&parts.headers).or_else(|| GrpcCode::from_answer(parts.status)) {
        Some(code) => Verdict::Now(of_code(code, &parts.headers)),
        None => Verdict::AtEnd(GrpcEnd {
            hidden: matches!(call, Protocol::GrpcWeb | Protocol::GrpcWebText),
        }),
    }
}

/// `headers` are those that the code was among.
pub(super) fn of_code(code: GrpcCode, headers: &HeaderMap) -> Outcome {
    use GrpcCode::{
        DataLoss, DeadlineExceeded, Internal, Ok, ResourceExhausted, Unavailable, Unknown,
    };
    match code {
        Ok => Outcome::Success,
        Unavailable | DeadlineExceeded | Internal | Unknown | DataLoss => Outcome::Failure,
        ResourceExhausted => {
            let hint = RetryHint::of(headers, Protocol::Grpc, SystemTime::now());
            Outcome::Throttled { retry_after: hint.and_then(RetryHint::delay) }
        }
        _ => Outcome::Ignored,
    }
}

/// Waits for the status of a gRPC call at the end of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrpcEnd {
    /// Whether the status may be inside the body.
    hidden: bool,
}

impl ClassifyEnd for GrpcEnd {
    fn end(self, end: End<'_>) -> Outcome {
        match end {
            End::Complete { trailers } => {
                let code = trailers.and_then(|trailers| Some((GrpcCode::of(trailers)?, trailers)));
                match code {
                    Some((code, trailers)) => of_code(code, trailers),
                    None if self.hidden => Outcome::Success,
                    None => Outcome::Failure,
                }
            }
            End::Failed => Outcome::Failure,
            End::Dropped => Outcome::Ignored,
        }
    }
}
