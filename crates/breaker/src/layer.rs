use std::{fmt, sync::Arc};

use http::StatusCode;
use palisade_core::AutoClassifier;
use tower_layer::Layer;

use crate::{Breaker, GateLayer, Policy, Switch, call::Shared, wired::Wired};

/// Stops calling a service that fails, and refuses at once until it is well again.
///
/// See the [crate's documentation](crate).
pub struct BreakerLayer<C = AutoClassifier> {
    pub(crate) shared: Arc<Shared<C>>,
    pub(crate) answer: Answer,
}

/// How a layer answers; small enough to be copied along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
}

impl Default for Answer {
    fn default() -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE }
    }
}

impl Answer {
    pub(crate) fn new(status: StatusCode) -> Self {
        assert!(
            status.is_client_error() || status.is_server_error(),
            "the status of a refusal must be 4xx or 5xx, not {status}"
        );
        Self { status }
    }
}

impl BreakerLayer {
    /// One circuit by this policy, over all services this layer and its clones are applied to. A
    /// [`Trip`](crate::Trip) alone is a policy.
    #[must_use]
    pub fn new(policy: impl Into<Policy>) -> Self {
        let shared = Shared::new(Wired::new(policy.into()), Arc::new(AutoClassifier));
        Self { shared, answer: Answer::default() }
    }
}

/// [`Policy::default`].
impl Default for BreakerLayer {
    fn default() -> Self {
        Self::new(Policy::default())
    }
}

impl<C> BreakerLayer<C> {
    /// Lets `classifier` say which answers and errors are failures, instead of
    /// [the one for HTTP and gRPC](AutoClassifier).
    ///
    /// ```
    /// use http::response::Parts;
    /// use palisade_breaker::{BreakerLayer, Trip};
    /// use palisade_core::{BoxError, Outcome};
    ///
    /// let layer = BreakerLayer::new(Trip::consecutive(5)).with_classifier(
    ///     |result: Result<&Parts, &BoxError>| match result {
    ///         Ok(parts) if parts.status == 404 => Outcome::Failure,
    ///         Ok(_) => Outcome::Success,
    ///         Err(_) => Outcome::Failure,
    ///     },
    /// );
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn with_classifier<T>(self, classifier: T) -> BreakerLayer<T> {
        let shared = Shared::new(Arc::clone(&self.shared.wired), Arc::new(classifier));
        BreakerLayer { shared, answer: self.answer }
    }

    /// Answers with this status instead of 503 Service Unavailable. A gRPC client is told the code that
    /// [belongs to it](palisade_core::GrpcCode::from_status), which for 503 is `UNAVAILABLE`.
    ///
    /// # Panics
    ///
    /// When the status is no error (4xx or 5xx): clients would take a refusal for success.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self { answer: Answer::new(status), ..self }
    }

    /// The same circuit for an endpoint inside a load balancer, as `tower::balance`: not ready while it
    /// is open, so that the balancer takes another endpoint.
    ///
    /// One that refuses is the fastest of all endpoints, and would be given all the traffic.
    ///
    /// For nothing else: where no other service can be taken, requests would wait until the circuit is
    /// half-open, and no timeout that begins with the call would bound that. What measures load, as
    /// tower's `PeakEwma`, goes outside it.
    #[must_use]
    pub fn gate(self) -> GateLayer<C> {
        GateLayer { layer: self }
    }

    /// The operator's end of this circuit.
    #[must_use]
    pub fn handle(&self) -> Switch {
        Switch::new(Arc::clone(&self.shared.wired))
    }
}

impl<C, S> Layer<S> for BreakerLayer<C> {
    type Service = Breaker<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Breaker::new(inner, Arc::clone(&self.shared), self.answer)
    }
}

// A derive would ask it of the classifier.
impl<C> Clone for BreakerLayer<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), answer: self.answer }
    }
}

impl<C> fmt::Debug for BreakerLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerLayer")
            .field("circuit", &self.shared)
            .field("answer", &self.answer)
            .finish()
    }
}
