use std::error::Error;

use crate::Outcome;

/// What is canceled was still in hyper's queue. What the caller did wrong, as a request's body that failed,
/// says nothing of the service; below it are errors of another exchange, as that which the body came from.
pub(super) fn canceled(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let error = error.downcast_ref::<hyper_lean::Error>()?;
    if error.is_canceled() {
        Some(Outcome::NotSent)
    } else if error.is_user() {
        Some(Outcome::Ignored)
    } else {
        None
    }
}
