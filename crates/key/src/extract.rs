use std::hash::Hash;

use palisade_core::Head;

/// Finds in a request's head who is asking.
///
/// The key is lent to a closure for as long as it runs: a key that stands in the request as it is, such
/// as a header's bytes, is found and looked up without being cloned.
///
/// Closures are extractors. Since the compiler cannot guess their argument's type from this trait,
/// they name it:
///
/// ```
/// use http::Request;
/// use palisade_key::{ExtractKey, Head};
///
/// let by_method = |head: Head<'_>| Some(head.method().clone());
///
/// let request = Request::put("/").body(()).unwrap();
/// by_method.with(Head::of(&request), |key| assert_eq!(key, Some(&http::Method::PUT)));
/// ```
///
/// A closure makes its key anew for each request, so let it be one that costs nothing: a number, a
/// `Copy` type, an `Arc`. For a key that has to be borrowed, implement the trait for a type of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot tell who is asking",
    note = "a closure names its argument's type: `|head: Head<'_>| …`, and returns an `Option`",
    note = "a `PeerIp` or `ForwardedIp` that is not given the peer's address from an extension reads \
            axum's `ConnectInfo`, for which the feature `axum` is needed"
)]
pub trait ExtractKey {
    /// What tells those who ask apart.
    type Key: ?Sized + Hash + Eq + ToOwned;

    /// Calls `f` with the key of the request, or with `None` if it has none, and returns its answer.
    fn with<R>(&self, head: Head<'_>, f: impl FnOnce(Option<&Self::Key>) -> R) -> R;
}

impl<F, K> ExtractKey for F
where
    F: Fn(Head<'_>) -> Option<K>,
    K: Hash + Eq + Clone,
{
    type Key = K;

    #[inline]
    fn with<R>(&self, head: Head<'_>, f: impl FnOnce(Option<&K>) -> R) -> R {
        f(self(head).as_ref())
    }
}

/// Everybody is one: a single key for all requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Global;

impl ExtractKey for Global {
    type Key = ();

    #[inline]
    fn with<R>(&self, _: Head<'_>, f: impl FnOnce(Option<&()>) -> R) -> R {
        f(Some(&()))
    }
}
