use std::time::{Duration, Instant};

use http::{Extensions, Request};

/// The moment after which nobody waits for a request's answer any more, body included.
///
/// It travels in the request's extensions. A layer that bounds an exchange only ever brings it
/// nearer; a retry or a queue reads it and begins nothing that cannot be done in time. A handler
/// that calls another service hands it on by inserting it into the extensions of that request.
///
/// ```
/// use http::Request;
/// use palisade_core::Deadline;
/// use std::time::{Duration, Instant};
///
/// let now = Instant::now();
/// let mut request = Request::new(());
/// assert_eq!(Deadline::of(&request), None);
///
/// let deadline = Deadline::at(now + Duration::from_secs(2));
/// deadline.attach(request.extensions_mut());
/// assert_eq!(Deadline::of(&request), Some(deadline));
/// assert_eq!(deadline.remaining(now), Duration::from_secs(2));
///
/// // A later one does not move it away.
/// Deadline::at(now + Duration::from_secs(9)).attach(request.extensions_mut());
/// assert_eq!(Deadline::of(&request), Some(deadline));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deadline {
    at: Instant,
    enforced: bool,
}

impl Deadline {
    /// A deadline at this moment, which nobody enforces yet.
    #[inline]
    #[must_use]
    pub const fn at(at: Instant) -> Self {
        Self { at, enforced: false }
    }

    /// The deadline of `request`, if it has one.
    #[inline]
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        request.extensions().get().copied()
    }

    /// The moment itself.
    #[inline]
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.at
    }

    /// The time that is left at `now`; zero once it has passed.
    #[inline]
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }

    /// The nearer of the two; of two at the same moment the one that is enforced.
    #[inline]
    #[must_use]
    pub fn sooner(self, other: Self) -> Self {
        let other_first = other.at < self.at || other.at == self.at && other.enforced;
        if other_first { other } else { self }
    }

    /// The same deadline, of which whoever attaches it says: I will end the exchange then, body
    /// included.
    ///
    /// Whoever finds it so needs no timer. That holds inside the exchange only, so a task that may
    /// outlive it starts from `Deadline::at(deadline.instant())`.
    #[inline]
    #[must_use]
    pub const fn enforced(self) -> Self {
        Self { enforced: true, ..self }
    }

    /// Whether somebody further out ends the exchange at this moment.
    #[inline]
    #[must_use]
    pub const fn is_enforced(self) -> bool {
        self.enforced
    }

    /// Puts it into a request's extensions, unless a nearer one is there.
    pub fn attach(self, extensions: &mut Extensions) {
        // In place where there is one already: `insert` would allocate anew.
        match extensions.get_mut::<Self>() {
            Some(present) => *present = present.sooner(self),
            None => {
                extensions.insert(self);
            }
        }
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self::at(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods, reason = "any moment will do")]
    fn now() -> Instant {
        Instant::now()
    }

    #[test]
    fn what_has_passed_leaves_no_time() {
        let now = now();
        let deadline = Deadline::at(now + SECOND);
        assert_eq!(deadline.remaining(now), SECOND);
        assert_eq!(deadline.remaining(now + SECOND), Duration::ZERO);
        assert_eq!(deadline.remaining(now + 2 * SECOND), Duration::ZERO);
    }

    #[test]
    fn the_nearer_one_wins_whoever_comes_first() {
        let near = Deadline::at(now());
        let far = Deadline::at(near.instant() + SECOND).enforced();
        assert_eq!((near.sooner(far), far.sooner(near)), (near, near));
        let enforced = near.enforced();
        assert_eq!((near.sooner(enforced), enforced.sooner(near)), (enforced, enforced));
        for [first, second] in [[near, far], [far, near]] {
            let mut request = Request::new(());
            first.attach(request.extensions_mut());
            second.attach(request.extensions_mut());
            assert_eq!(Deadline::of(&request), Some(near));
        }
    }
}
