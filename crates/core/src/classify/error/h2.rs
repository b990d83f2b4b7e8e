use std::error::Error;

use h2::Reason;

use crate::Outcome;

/// Only what the server said itself proves that nothing was sent. h2 gives a `GOAWAY` with `NO_ERROR` to no
/// other streams than those above its last stream id; one with an error it gives to all, and that is no proof.
///
/// A stream that was reset, and by neither the server nor h2, was reset by its caller, as when a request's
/// body fails.
pub(super) fn refused(error: &(dyn Error + 'static)) -> Option<Outcome> {
    let error = error.downcast_ref::<h2::Error>()?;
    let refused = match error.reason() {
        Some(Reason::REFUSED_STREAM) => error.is_reset(),
        Some(Reason::NO_ERROR) => error.is_go_away(),
        _ => false,
    };
    if error.is_reset() && !error.is_remote() && !error.is_library() {
        return Some(Outcome::Ignored);
    }
    (refused && error.is_remote()).then_some(Outcome::NotSent)
}
