use http::StatusCode;
use tower_layer::Layer;

use crate::{InFlight, Limit, LimitConcurrency};

/// Refuses requests at once while `max` others are in flight.
///
/// See the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct LimitConcurrencyLayer {
    limit: Limit,
    answer: Answer,
}

/// How the layer answers; small enough to be copied along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) release: Release,
}

/// When an exchange gives its permit back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Release {
    /// When the response's body is over: read to its end, failed, or dropped. The default, since
    /// until then the exchange costs memory, a connection, and often the handler's work.
    #[default]
    BodyEnd,
    /// When the head of the response is ready. For services that answer with long downloads or
    /// streams which cost them next to nothing.
    Head,
}

impl LimitConcurrencyLayer {
    /// Allows `max` exchanges in flight, over all services this layer and its clones are applied
    /// to. 0 refuses everything.
    #[must_use]
    pub fn new(max: usize) -> Self {
        let answer = Answer { status: StatusCode::TOO_MANY_REQUESTS, release: Release::default() };
        Self { limit: Limit::new(max), answer }
    }

    /// Answers with this status instead of 429 Too Many Requests.
    ///
    /// 503 Service Unavailable fits a limit that protects the whole server rather than one that a
    /// client exceeds. A gRPC client is told the code that
    /// [belongs to the status](palisade_core::GrpcCode::from_status): `RESOURCE_EXHAUSTED` for 429,
    /// `UNAVAILABLE` for 503.
    ///
    /// # Panics
    ///
    /// When the status is no error (4xx or 5xx): clients would take a refusal for success.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        assert!(
            status.is_client_error() || status.is_server_error(),
            "the status of a refusal must be 4xx or 5xx, not {status}"
        );
        self.answer.status = status;
        self
    }

    /// Gives permits back at this moment instead of at the end of the response's body.
    #[must_use]
    pub fn with_release(mut self, release: Release) -> Self {
        self.answer.release = release;
        self
    }

    /// The operator's end of this limit.
    #[must_use]
    pub fn handle(&self) -> InFlight {
        InFlight(self.limit.clone())
    }
}

impl<S> Layer<S> for LimitConcurrencyLayer {
    type Service = LimitConcurrency<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitConcurrency::new(inner, self.limit.clone(), self.answer)
    }
}
