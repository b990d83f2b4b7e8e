use std::error::Error;

use tonic_lean::{Code, ConnectError, Status};

use super::super::grpc;
use crate::{GrpcCode, Outcome};

/// As hyper-util's.
pub(super) fn connecting(error: &(dyn Error + 'static)) -> Option<Outcome> {
    error.is::<ConnectError>().then_some(Outcome::NotSent)
}

/// A status that came over the wire has no source; one with a source was made of that error, and of
/// several of them tonic makes `CANCELLED`.
pub(super) fn status(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let status = error.downcast_ref::<Status>()?;
    let by_source = status.source().map(super::of);
    if by_source == Some(Outcome::NotSent)
        || (by_source.is_some() && status.code() == Code::Cancelled)
    {
        return by_source;
    }
    Some(grpc::of_code(GrpcCode::of_number(status.code() as u8), status.metadata().as_ref()))
}
