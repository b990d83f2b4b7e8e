use std::error::Error;

use h2::Reason;

use crate::Outcome;

/// Only what the server said itself. h2 gives a `GOAWAY` with `NO_ERROR` to no other streams than
/// those above its last stream id; one with an error it gives to all, and that is no proof.
pub(super) fn refused(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let error = error.downcast_ref::<h2::Error>()?;
    let refused = match error.reason() {
        Some(Reason::REFUSED_STREAM) => error.is_reset(),
        Some(Reason::NO_ERROR) => error.is_go_away(),
        _ => false,
    };
    (refused && error.is_remote()).then_some(Outcome::NotSent)
}
