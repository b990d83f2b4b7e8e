use std::convert::Infallible;

use http::response::Parts;

use crate::{End, Head, Outcome, Sent};

mod auto;
pub(crate) mod error;
mod grpc;
mod http_status;

pub use auto::AutoClassifier;
pub use grpc::{GrpcClassifier, GrpcEnd};
pub use http_status::HttpClassifier;

/// Judges exchanges: was the service well?
///
/// In three steps, because the protocol is known only before the request moves on, a gRPC status
/// only when the body ends, and an error instead of either. `E` is the error of the service that is
/// judged.
///
/// A closure `Fn(Result<&Parts, &E>) -> Outcome` is a classifier that decides at the head. Write out
/// the type of its argument, since nothing else says what `E` is. It is not asked about
/// [refusals of our own layers](Outcome::of_refusal).
///
/// ```
/// use http::{Request, Response, StatusCode, response::Parts};
/// use palisade_core::{Classify, Head, Outcome, Verdict};
/// use std::io;
///
/// # fn classifier(classifier: impl Classify<io::Error, Call = ()>) -> impl Classify<io::Error, Call = ()> {
/// #     classifier
/// # }
/// let teapots_fail = classifier(|result: Result<&Parts, &io::Error>| match result {
///     Ok(parts) if parts.status == StatusCode::IM_A_TEAPOT => Outcome::Failure,
///     Ok(_) => Outcome::Success,
///     Err(error) => Outcome::of_error(error),
/// });
/// let (parts, ()) = Response::builder().status(418).body(()).unwrap().into_parts();
/// let verdict = teapots_fail.response((), &parts);
/// assert!(matches!(verdict, Verdict::Now(Outcome::Failure)));
/// ```
pub trait Classify<E> {
    /// What is kept of a request until its response is there.
    type Call;
    /// What is kept of a response until its body ends.
    type Eos: ClassifyEnd;

    /// A request is about to be sent.
    fn request(&self, head: Head<'_>) -> Self::Call;

    /// The head of its response is there.
    ///
    /// Parts are moved out of a response and back into one; that is 112 bytes each way.
    fn response(&self, call: Self::Call, parts: &Parts) -> Verdict<Self::Eos>;

    /// There was an error instead of a response.
    fn error(&self, error: &E) -> Outcome;
}

/// What the head of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// All there is to say. How the body ends does not change it.
    Now(Outcome),
    /// The end of the body decides.
    AtEnd(T),
}

/// Judges an exchange by how the body of its response ended.
pub trait ClassifyEnd {
    /// The body is over.
    fn end(self, end: End<'_>) -> Outcome;
}

/// Of those who always decide at the head.
impl ClassifyEnd for Infallible {
    fn end(self, _: End<'_>) -> Outcome {
        match self {}
    }
}

impl<E, F> Classify<E> for F
where
    F: Fn(Result<&Parts, &E>) -> Outcome,
{
    type Call = ();
    type Eos = Infallible;

    #[inline]
    fn request(&self, _: Head<'_>) {}

    #[inline]
    fn response(&self, (): (), parts: &Parts) -> Verdict<Infallible> {
        Verdict::Now(Outcome::of_refusal(parts).unwrap_or_else(|| self(Ok(parts))))
    }

    #[inline]
    fn error(&self, error: &E) -> Outcome {
        self(Err(error))
    }
}

/// A classifier that is told which errors prove that nothing was sent, as `with_sent` makes it.
///
/// On [`Sent::No`] an error is [`Outcome::NotSent`]. On the others it is what the classifier says,
/// but never that.
#[derive(Clone, Copy, Debug, Default)]
pub struct WithSent<C, F> {
    classifier: C,
    sent: F,
}

impl<C, F> WithSent<C, F> {
    /// Lets `sent` say of which errors of `classifier` it is proved that nothing was sent.
    #[must_use]
    pub const fn new(classifier: C, sent: F) -> Self {
        Self { classifier, sent }
    }
}

impl<E, C, F> Classify<E> for WithSent<C, F>
where
    C: Classify<E>,
    F: Fn(&E) -> Sent,
{
    type Call = C::Call;
    type Eos = C::Eos;

    #[inline]
    fn request(&self, head: Head<'_>) -> C::Call {
        self.classifier.request(head)
    }

    #[inline]
    fn response(&self, call: C::Call, parts: &Parts) -> Verdict<C::Eos> {
        self.classifier.response(call, parts)
    }

    fn error(&self, error: &E) -> Outcome {
        if (self.sent)(error) == Sent::No {
            return Outcome::NotSent;
        }
        match self.classifier.error(error) {
            Outcome::NotSent => Outcome::Failure,
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests;
