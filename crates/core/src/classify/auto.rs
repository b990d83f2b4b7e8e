use http::response::Parts;

use super::{
    GrpcEnd, grpc,
    http_status::{self, HttpClassifier},
};
use crate::{Classify, Head, Outcome, Protocol, Sent, Verdict, WithSent};

/// Judges as [`GrpcClassifier`](crate::GrpcClassifier) the answers to gRPC requests, and as
/// [`HttpClassifier`] all others. What layers do unless told otherwise.
///
/// Which protocol it is, [the request says](Protocol::of).
///
/// ```
/// use http::{Request, Response};
/// use palisade_core::{AutoClassifier, Classify, ClassifyEnd, End, Head, Outcome, Verdict};
/// use std::io;
///
/// let judge: &dyn Classify<io::Error, Call = _, Eos = _> = &AutoClassifier;
///
/// let call = Request::post("/menu.Menu/Today").header("content-type", "application/grpc");
/// let call = judge.request(Head::of(&call.body(()).unwrap()));
/// let (parts, ()) = Response::new(()).into_parts();
/// let Verdict::AtEnd(end) = judge.response(call, &parts) else { panic!("it is not over") };
/// assert_eq!(end.end(End::Complete { trailers: None }), Outcome::Failure, "there was no status");
///
/// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
/// assert_eq!(judge.error(&refused), Outcome::NotSent);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct AutoClassifier;

impl AutoClassifier {
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

impl<E: 'static> Classify<E> for AutoClassifier {
    type Call = Protocol;
    type Eos = GrpcEnd;

    #[inline]
    fn request(&self, head: Head<'_>) -> Protocol {
        Protocol::of(head)
    }

    #[inline]
    fn response(&self, call: Protocol, parts: &Parts) -> Verdict<GrpcEnd> {
        if call.is_grpc() {
            grpc::of_head(call, parts)
        } else {
            Verdict::Now(http_status::of_head(parts))
        }
    }

    fn error(&self, error: &E) -> Outcome {
        HttpClassifier.error(error)
    }
}
