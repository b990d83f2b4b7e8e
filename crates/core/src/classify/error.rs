//! Which errors prove that a request was never sent.

use std::{any::Any, error::Error, io};

use super::http_status;
use crate::{BoxError, Outcome, Rejection, RetryHint};

#[cfg(feature = "h2")]
mod h2;
#[cfg(any(feature = "h2", feature = "hyper-util"))]
mod hyper;
#[cfg(feature = "hyper-util")]
mod hyper_util;
#[cfg(feature = "tonic")]
mod tonic;

/// Sees an error of a type it knows for what it is.
type Recognise = fn(&dyn Any) -> Option<&(dyn Error + 'static)>;

/// Says what an error means, if it is one that decides.
type Judge = fn(&(dyn Error + 'static)) -> Option<Outcome>;

const KNOWN: &[Recognise] = &[
    boxed,
    plain::<io::Error>,
    plain::<Rejection>,
    #[cfg(feature = "h2")]
    plain::<::h2::Error>,
    #[cfg(any(feature = "h2", feature = "hyper-util"))]
    plain::<hyper_lean::Error>,
    #[cfg(feature = "hyper-util")]
    plain::<hyper_util_lean::client::legacy::Error>,
    #[cfg(feature = "tonic")]
    plain::<tonic_lean::Status>,
    #[cfg(feature = "tonic")]
    plain::<tonic_lean::transport::Error>,
];

const JUDGES: &[Judge] = &[
    refused_connection,
    rejection,
    #[cfg(feature = "h2")]
    h2::refused,
    #[cfg(any(feature = "h2", feature = "hyper-util"))]
    hyper::canceled,
    #[cfg(feature = "hyper-util")]
    hyper_util::connecting,
    #[cfg(feature = "tonic")]
    tonic::connecting,
    #[cfg(feature = "tonic")]
    tonic::status,
];

/// No chain of causes is that long; an error that is its own cause ends here.
pub(crate) const DEEPEST: usize = 32;

/// What an error of any type says.
pub(super) fn of_any<E: 'static>(error: &E) -> Outcome {
    let known = KNOWN.iter().find_map(|recognise| recognise(error));
    known.map_or(Outcome::Failure, of)
}

pub(crate) fn of(error: &(dyn Error + 'static)) -> Outcome {
    let causes = std::iter::successors(Some(error), |error| cause(*error)).take(DEEPEST);
    let judged = |error| JUDGES.iter().find_map(|judge| judge(error));
    causes.into_iter().find_map(judged).unwrap_or(Outcome::Failure)
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // `source` would skip it: an `io::Error` shows what it wraps as itself.
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

fn boxed(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<BoxError>().map(|error| &**error as _)
}

fn plain<T: Error + 'static>(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    error.downcast_ref::<T>().map(|error| error as _)
}

/// Only connecting ends so (`connect(2)`): a connection that was there is reset, or breaks. Other
/// kinds, as unreachable networks, also happen to connections that were used.
fn refused_connection(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let kind = error.downcast_ref::<io::Error>()?.kind();
    (kind == io::ErrorKind::ConnectionRefused).then_some(Outcome::NotSent)
}

/// As [`RejectionErrorLayer`](crate::RejectionErrorLayer) makes it of a refusal.
fn rejection(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let rejection = error.downcast_ref::<Rejection>()?;
    let by_status = || {
        http_status::of_status(rejection.status(), || rejection.retry_after().map(RetryHint::After))
    };
    Some(Outcome::of_rejection(rejection).unwrap_or_else(by_status))
}

#[cfg(test)]
mod tests;
