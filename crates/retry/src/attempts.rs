use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use palisade_core::Head;

/// How many attempts were made.
///
/// It is among the extensions of every attempt but the first, so that layers inside may tell a retry, and
/// among those of every response that took more than one; of layers within layers the outermost's count.
///
/// ```
/// use http::Response;
/// use palisade_retry::Attempts;
///
/// let response = Response::new(());
/// assert_eq!(Attempts::of(response.extensions()), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempts(NonZeroU32);

/// Of gRPC calls ([gRFC A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)).
static PREVIOUS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

impl Attempts {
    /// Of a request, which attempt it is; of a response, how many it took.
    #[must_use]
    pub fn of(extensions: &Extensions) -> u32 {
        extensions.get().map_or(1, |&Self(attempts)| attempts.get())
    }

    /// Marks a response that took more than one.
    pub(crate) fn mark(attempts: u32, extensions: &mut Extensions) {
        if let Some(more) = NonZeroU32::new(attempts).filter(|attempts| attempts.get() > 1) {
            extensions.insert(Self(more));
        }
    }

    /// Marks a request as this attempt, for layers inside and, in a header, for the service.
    pub(crate) fn stamp(
        attempt: u32,
        headers: &mut HeaderMap,
        extensions: &mut Extensions,
        name: Option<&HeaderName>,
    ) {
        Self::mark(attempt, extensions);
        if let Some(name) = name {
            headers.insert(name, HeaderValue::from(attempt.saturating_sub(1)));
        }
    }

    /// In which header a service is told of the attempts before.
    pub(crate) fn header(is_grpc: bool, stamp: Option<&HeaderName>) -> Option<&HeaderName> {
        if is_grpc { Some(&PREVIOUS) } else { stamp }
    }

    /// Whether somebody tries again already: a layer further out, or a caller who says so.
    #[inline]
    pub(crate) fn is_a_retry(head: Head<'_>, stamp: Option<&HeaderName>) -> bool {
        if !head.extensions().is_empty() && Self::of(head.extensions()) > 1 {
            warn_once();
            return true;
        }
        let says = |name| head.headers().get_all(name).iter().any(|previous| previous != "0");
        !head.headers().is_empty() && (says(&PREVIOUS) || stamp.is_some_and(says))
    }
}

#[cold]
fn warn_once() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Relaxed) {
        tracing::warn!(
            target: "palisade",
            layer = crate::service::LAYER,
            "A retry around another retry: the inner one leaves second attempts to the outer"
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use http::Request;

    use super::*;

    static STAMP: HeaderName = HeaderName::from_static("x-attempt");

    #[test]
    fn a_retry_is_known_by_its_extension_and_by_its_header() {
        for (name, value, expected) in [
            ("grpc-previous-rpc-attempts", "1", true),
            ("grpc-previous-rpc-attempts", "0", false),
            ("grpc-previous-rpc-attempts", "many", true),
            ("x-attempt", "2", true),
            ("x-other", "2", false),
        ] {
            let request = Request::get("/").header(name, value).body(()).unwrap();
            assert_eq!(Attempts::is_a_retry(Head::of(&request), Some(&STAMP)), expected, "{name}");
        }
        let mut request = Request::get("/").body(()).unwrap();
        assert!(!Attempts::is_a_retry(Head::of(&request), None));
        Attempts::mark(1, request.extensions_mut());
        assert!(!Attempts::is_a_retry(Head::of(&request), None));
        Attempts::mark(2, request.extensions_mut());
        assert!(Attempts::is_a_retry(Head::of(&request), None));
        assert_eq!(Attempts::of(request.extensions()), 2);
    }

    #[test]
    fn an_attempt_says_how_many_were_before() {
        let (mut parts, ()) = Request::new(()).into_parts();
        for (is_grpc, name) in [(true, "grpc-previous-rpc-attempts"), (false, "x-attempt")] {
            let header = Attempts::header(is_grpc, Some(&STAMP));
            Attempts::stamp(3, &mut parts.headers, &mut parts.extensions, header);
            assert_eq!(parts.headers[name], "2");
        }
        assert_eq!(Attempts::header(false, None), None);
    }
}
