use std::error::Error;

use hyper_util_lean::client::legacy;

use crate::Outcome;

/// Whatever the connector's error was: a request is given to a connection that is there.
pub(super) fn connecting(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let error = error.downcast_ref::<legacy::Error>()?;
    error.is_connect().then_some(Outcome::NotSent)
}
