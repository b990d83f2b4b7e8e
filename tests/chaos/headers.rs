//! What those involved tell each other of a request, beside what HTTP has them say.

use http::HeaderName;

/// Who asks, to the rate limit.
pub(crate) const CLIENT: HeaderName = HeaderName::from_static("x-client");

/// Which request it is.
pub(crate) const ID: HeaderName = HeaderName::from_static("x-request-id");

/// It must not be done twice.
pub(crate) const ONCE: HeaderName = HeaderName::from_static("x-once");

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How many bytes arrived, if they were those that were sent.
pub(crate) const TOOK: HeaderName = HeaderName::from_static("x-took");
