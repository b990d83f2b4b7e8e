use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tower_layer::Layer;

use super::RequestBodyTimeout;
use crate::{alarm::Nanos, counters::Counters};

/// Answers **408 Request Timeout** when a client stops sending its request, and closes its
/// connection.
///
/// It bounds how long the client may be silent, at any point of its request's body, while somebody
/// reads it; how long the whole may take is for [`TimeoutLayer`](crate::TimeoutLayer) to say. The
/// handler's future is dropped first. Where the answer is already under way, the body fails instead.
///
/// The head of a request comes before there is a service: that is for the server's own setting, such
/// as hyper's `header_read_timeout`.
///
/// It changes the type of the request's body, to one whose error is boxed. A request without a body
/// costs it nothing, any other an allocation.
///
/// ```
/// use axum::{Router, body::Body, extract::Request, routing::post};
/// use palisade_timeout::RequestBodyTimeoutLayer;
/// use std::time::Duration;
/// use tower::ServiceBuilder;
///
/// async fn upload(body: axum::body::Bytes) -> String {
///     format!("{} bytes", body.len())
/// }
///
/// let app: Router = Router::new()
///     .route("/upload", post(upload))
///     .layer(RequestBodyTimeoutLayer::new(Duration::from_secs(10)));
/// ```
#[derive(Clone, Debug)]
pub struct RequestBodyTimeoutLayer {
    stalls: Stalls,
}

/// The operator's end of a [`RequestBodyTimeoutLayer`]: change the limit, count the stalls.
///
/// Cheap to clone. It acts on everything its layer was applied to, before or after.
#[derive(Clone, Debug)]
pub struct Stalls(pub(super) Arc<Counters>);

impl RequestBodyTimeoutLayer {
    /// Allows this much silence. [`Duration::MAX`] is any; with zero, whatever is not there at once
    /// comes too late.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        Self { stalls: Stalls(Counters::new(Nanos::from(idle))) }
    }

    /// The operator's end of this timeout.
    #[must_use]
    pub fn handle(&self) -> Stalls {
        self.stalls.clone()
    }
}

impl Stalls {
    /// How long a client may be silent.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.0.limit().into()
    }

    /// Changes how long a client may be silent, from the next request on.
    pub fn set_limit(&self, idle: Duration) {
        self.0.set_limit(idle.into());
    }

    /// How many requests have stalled.
    #[must_use]
    pub fn stalled(&self) -> u64 {
        self.0.timed_out.load(Relaxed)
    }
}

impl<S> Layer<S> for RequestBodyTimeoutLayer {
    type Service = RequestBodyTimeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestBodyTimeout::new(inner, self.stalls.clone())
    }
}
