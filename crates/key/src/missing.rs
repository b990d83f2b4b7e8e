use std::{error::Error, fmt, str::FromStr};

use http::StatusCode;
use palisade_core::{GrpcCode, Head, Reason, Rejection, Sent};

/// The reason of a refusal for want of a key.
pub const KEY_MISSING: Reason = Reason::new("key-missing");

/// What becomes of a request that has no key.
///
/// A layer asks [`of`](Self::of) and has each case before it:
///
/// ```
/// use http::Request;
/// use palisade_key::{Asker, ExtractKey, Head, HeaderKey, Missing};
///
/// # let (mut count, mut count_shared) = (|_: &[u8]| true, || true);
/// let tenant = HeaderKey::new(http::HeaderName::from_static("x-tenant"));
/// let missing = Missing::Reject;
///
/// let request = Request::new(());
/// let head = Head::of(&request);
/// let allowed = tenant.with(head, |key| match missing.of(key) {
///     Asker::Key(key) => Ok(count(key)),
///     Asker::Shared => Ok(count_shared()),
///     Asker::Rejected => Err(Missing::rejection(head)),
///     Asker::Skipped => Ok(true),
/// });
/// assert_eq!(allowed.unwrap_err().status(), 400);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Missing {
    /// All requests without a key share one bucket, as if they came from one client. The default:
    /// nobody gets around a limit by leaving the key out, and nobody is locked out at once.
    #[default]
    Shared,
    /// They are answered [400 Bad Request](Self::rejection), over gRPC `INVALID_ARGUMENT`.
    Reject,
    /// The layer lets them pass as if it were not there. Only for keys that a client cannot leave
    /// out; else it is a way around the layer.
    Skip,
}

/// Whom a layer has to do with, once a missing key has been dealt with. There is nobody else.
#[derive(Debug, PartialEq, Eq, Hash)]
pub enum Asker<'a, K: ?Sized> {
    /// Somebody known by this key.
    Key(&'a K),
    /// One of those without a key, who share what there is.
    Shared,
    /// Somebody without a key, to be [refused](Missing::rejection).
    Rejected,
    /// Somebody without a key, to be let pass uncounted.
    Skipped,
}

// A derive would ask it of `K`.
impl<K: ?Sized> Clone for Asker<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized> Copy for Asker<'_, K> {}

impl Missing {
    /// Whom a layer has to do with, given what its extractor found.
    #[inline]
    #[must_use]
    pub fn of<K: ?Sized>(self, key: Option<&K>) -> Asker<'_, K> {
        match (key, self) {
            (Some(key), _) => Asker::Key(key),
            (None, Self::Shared) => Asker::Shared,
            (None, Self::Reject) => Asker::Rejected,
            (None, Self::Skip) => Asker::Skipped,
        }
    }

    /// The refusal of a request that has no key and needs one.
    #[cold]
    #[must_use]
    pub fn rejection(head: Head<'_>) -> Rejection {
        Rejection::new(KEY_MISSING, StatusCode::BAD_REQUEST)
            .with_grpc_code(GrpcCode::InvalidArgument)
            .with_detail("The request does not say who is asking.")
            .with_sent(Sent::No)
            .for_request(head)
    }

    /// The policy's name: `shared`, `reject` or `skip`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Reject => "reject",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Missing {
    type Err = InvalidMissing;

    /// The policy of this name.
    ///
    /// # Errors
    ///
    /// When there is none.
    fn from_str(name: &str) -> Result<Self, InvalidMissing> {
        [Self::Shared, Self::Reject, Self::Skip]
            .into_iter()
            .find(|policy| policy.as_str() == name)
            .ok_or_else(|| InvalidMissing(name.into()))
    }
}

/// A text that names no policy for missing keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMissing(Box<str>);

impl fmt::Display for InvalidMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no policy for missing keys: write shared, reject or skip", self.0)
    }
}

impl Error for InvalidMissing {}

#[cfg(test)]
mod tests {
    use http::Request;
    use palisade_core::Protocol;

    use super::*;

    const POLICIES: [Missing; 3] = [Missing::Shared, Missing::Reject, Missing::Skip];

    #[test]
    fn a_key_that_is_there_is_used_whatever_the_policy() {
        for policy in POLICIES {
            assert_eq!(policy.of(Some(&7)), Asker::Key(&7));
        }
    }

    #[test]
    fn without_a_key_all_share_one_bucket_unless_told_otherwise() {
        assert_eq!(Missing::default().of(None::<&str>), Asker::Shared);
        assert_eq!(Missing::Reject.of(None::<&str>), Asker::Rejected);
        assert_eq!(Missing::Skip.of(None::<&str>), Asker::Skipped);
    }

    #[test]
    fn a_missing_key_is_the_clients_mistake_and_never_an_error_of_the_server() {
        let request = Request::new(());
        let rejection = Missing::rejection(Head::of(&request));
        assert_eq!((rejection.reason(), rejection.sent()), (KEY_MISSING, Sent::No));
        assert_eq!(rejection.grpc_code(), GrpcCode::InvalidArgument);
        assert_eq!(rejection.clone().respond(Protocol::Http).status(), 400);
        assert_eq!(rejection.respond(Protocol::Grpc).headers()["grpc-status"], "3");
    }

    #[test]
    fn policies_are_read_back_as_shown() {
        for policy in POLICIES {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert_eq!(
            "open".parse::<Missing>().unwrap_err().to_string(),
            "\"open\" is no policy for missing keys: write shared, reject or skip"
        );
    }
}
