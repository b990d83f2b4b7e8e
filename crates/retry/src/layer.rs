use std::{fmt, sync::Arc};

use tower_layer::Layer;

use crate::{
    AsRetryBody, Retries, Retry, RetryBody, RetryPolicy, TransientClassifier, state::Shared,
};

/// Tries requests again that failed, where that is safe and within a budget.
///
/// See the [crate's documentation](crate).
pub struct RetryLayer<C = TransientClassifier, W = AsRetryBody> {
    shared: Arc<Shared<C>>,
    carry: W,
}

impl<C> RetryLayer<C> {
    /// Retries by this policy. What it limits, it limits over all services this layer and its clones are
    /// applied to.
    #[must_use]
    pub fn new(policy: RetryPolicy<C>) -> Self {
        Self { shared: Shared::new(policy), carry: AsRetryBody }
    }
}

/// [`RetryPolicy::http`].
impl Default for RetryLayer {
    fn default() -> Self {
        Self::new(RetryPolicy::http())
    }
}

impl<C, W> RetryLayer<C, W> {
    /// Makes a body of the type that the inner service takes of one that can be sent again, where that takes
    /// no other. A request that is never tried again keeps the body it has.
    ///
    /// For tonic's `Channel`, whose bodies this keeps:
    ///
    /// ```
    /// use palisade_retry::{Retry, RetryBody, RetryLayer, RetryPolicy, TransientClassifier};
    /// use tonic::{body::Body, transport::Channel};
    /// use tower::Layer;
    ///
    /// type Retried = Retry<Channel, TransientClassifier, fn(RetryBody<Body>) -> Body>;
    ///
    /// fn retried(channel: Channel) -> Retried {
    ///     RetryLayer::new(RetryPolicy::grpc()).with_body(Body::new).layer(channel)
    /// }
    /// ```
    #[must_use]
    pub fn with_body<B>(self, wrap: fn(RetryBody<B>) -> B) -> RetryLayer<C, fn(RetryBody<B>) -> B> {
        RetryLayer { shared: self.shared, carry: wrap }
    }

    /// The operator's end of this retry.
    #[must_use]
    pub fn handle(&self) -> Retries {
        Retries(Arc::clone(&self.shared.common))
    }
}

impl<S, C, W: Clone> Layer<S> for RetryLayer<C, W> {
    type Service = Retry<S, C, W>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::clone(&self.shared), self.carry.clone())
    }
}

// A derive would ask it of the classifier.
impl<C, W: Clone> Clone for RetryLayer<C, W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), carry: self.carry.clone() }
    }
}

impl<C, W> fmt::Debug for RetryLayer<C, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("terms", &self.shared.common.terms)
            .finish_non_exhaustive()
    }
}
