use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, StatusCode};
use palisade_core::{GrpcCode, Head};
use tower_layer::Layer;

use crate::{Timeout, Timeouts, alarm::Nanos, refusal::Answer, watch::Bound};

/// Bounds what an exchange may take, head and body.
///
/// See the [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct TimeoutLayer {
    settings: Arc<Settings>,
}

/// What is decided when the layer is made. One for all services of a layer.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) timeouts: Timeouts,
    pub(crate) answer: Answer,
    pub(crate) body: Bound,
    pub(crate) by: Option<Arc<dyn Fn(Head<'_>) -> Option<Duration> + Send + Sync>>,
    pub(crate) header: Option<TimeHeader>,
    pub(crate) max: Option<Duration>,
    pub(crate) min_useful: Nanos,
    pub(crate) shared: bool,
    pub(crate) forward: bool,
    /// Whether a request without headers and extensions must be looked at all the same.
    pub(crate) looks: bool,
}

/// A header in which callers say how long they wait, and whose word is taken for it.
#[derive(Clone)]
pub(crate) struct TimeHeader {
    pub(crate) name: HeaderName,
    pub(crate) trusted: Arc<dyn Fn(Head<'_>) -> bool + Send + Sync>,
}

/// How the time of a response's body is bounded, once its head was there in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BodyLimit {
    /// Head and body together must be done in the exchange's time. The default, since a handler that
    /// hangs after its head costs as much as one that hangs before it.
    #[default]
    Within,
    /// The body may take as long as it likes, but between two frames, and before the first, at most
    /// this. For streams that are meant to stay open.
    Idle(Duration),
    /// The body is not bounded.
    Excluded,
}

impl TimeoutLayer {
    /// For a server: an exchange whose time is up is answered **503 Service Unavailable**.
    ///
    /// [`Duration::MAX`] bounds nothing by itself, zero refuses everything.
    #[must_use]
    pub fn server(limit: Duration) -> Self {
        Self::new(limit, StatusCode::SERVICE_UNAVAILABLE)
    }

    /// For a client, or a gateway: an exchange whose time is up is answered **504 Gateway Timeout**.
    ///
    /// [`Duration::MAX`] bounds nothing by itself, zero refuses everything.
    #[must_use]
    pub fn client(limit: Duration) -> Self {
        Self::new(limit, StatusCode::GATEWAY_TIMEOUT)
    }

    fn new(limit: Duration, status: StatusCode) -> Self {
        let timeouts = Timeouts::new(limit);
        Self {
            settings: Arc::new(Settings {
                answer: Answer {
                    status,
                    grpc_code: GrpcCode::DeadlineExceeded,
                    tally: timeouts.counters().tally(),
                },
                timeouts,
                body: BodyLimit::default().into(),
                by: None,
                header: None,
                max: None,
                min_useful: Nanos::ZERO,
                shared: false,
                forward: false,
                looks: false,
            }),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        let settings = Arc::make_mut(&mut self.settings);
        change(settings);
        settings.looks = settings.shared || settings.forward || settings.by.is_some();
        self
    }

    /// Answers with this status.
    ///
    /// Not 408 Request Timeout, which tells browsers and other clients that it was they who were too
    /// slow; several repeat the request at once without asking.
    ///
    /// # Panics
    ///
    /// When the status is no error (4xx or 5xx): clients would take a refusal for success.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        assert!(
            status.is_client_error() || status.is_server_error(),
            "the status of a refusal must be 4xx or 5xx, not {status}"
        );
        self.with(|settings| settings.answer.status = status)
    }

    /// Answers gRPC requests with this code instead of `DEADLINE_EXCEEDED`.
    ///
    /// `UNAVAILABLE` would tell clients to try again, though the work may have been done.
    #[must_use]
    pub fn with_grpc_code(self, code: GrpcCode) -> Self {
        self.with(|settings| settings.answer.grpc_code = code)
    }

    /// Bounds response bodies like this instead of [within](BodyLimit::Within) the exchange's time.
    #[must_use]
    pub fn with_body(self, limit: BodyLimit) -> Self {
        self.with(|settings| settings.body = limit.into())
    }

    /// Asks for the limit of each request; `None` is the layer's own, [`Duration::MAX`] no limit.
    ///
    /// On axum, a layer that is applied to a whole `Router` runs once the route is known, and finds
    /// the `MatchedPath` in the extensions.
    #[must_use]
    pub fn by(self, limit: impl Fn(Head<'_>) -> Option<Duration> + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.by = Some(Arc::new(limit)))
    }

    /// Reads, from requests that are `trusted`, how long their caller waits in this header.
    ///
    /// The header holds one number, perhaps with a fraction, and a unit: `ms`, `s`, `m` or `h`.
    /// Without a unit it is in seconds: `1.5`, `250ms`. Anything else is as if it were not there.
    /// `grpc-timeout` is always read, and comes first. What either asks for is
    /// [clamped](Self::with_max).
    #[must_use]
    pub fn with_header(
        self,
        name: HeaderName,
        trusted: impl Fn(Head<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        let header = TimeHeader { name, trusted: Arc::new(trusted) };
        self.with(|settings| settings.header = Some(header))
    }

    /// Lets callers ask for up to this, even if that is more than the layer's own limit.
    ///
    /// By default they can only ask for less.
    #[must_use]
    pub fn with_max(self, max: Duration) -> Self {
        self.with(|settings| settings.max = Some(max))
    }

    /// Refuses requests that have less time left than this: nothing useful can be done in it.
    ///
    /// By default only those that have none.
    #[must_use]
    pub fn with_min_useful(self, least: Duration) -> Self {
        self.with(|settings| settings.min_useful = least.into())
    }

    /// Puts the [`Deadline`](crate::Deadline) of each exchange into the request's extensions, where
    /// retries, other timeouts and the handler find it.
    ///
    /// One that the caller asked for is put there in any case. It costs a clock read, and an
    /// allocation where no deadline was before.
    #[must_use]
    pub fn shared(self) -> Self {
        self.with(|settings| settings.shared = true)
    }

    /// Tells the next hop how much time is left, anew for each call: in `grpc-timeout` for gRPC, else
    /// in the [header](Self::with_header), if one is set, in seconds.
    ///
    /// Told is [a little less](crate::HOP_SLACK) than what is left, so that the next hop's answer
    /// arrives before we give up. What is not bounded is told without the header, even if the
    /// request came with one.
    ///
    /// A gRPC transport that gives up by itself at the time it is told, as tonic's `Channel` does,
    /// gives its own error (`CANCELLED`, by tonic). An error that comes when the time we told is up
    /// is therefore answered as any timeout.
    #[must_use]
    pub fn forward(self) -> Self {
        self.with(|settings| settings.forward = true)
    }

    /// The operator's end of this timeout.
    #[must_use]
    pub fn handle(&self) -> Timeouts {
        self.settings.timeouts.clone()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("timeouts", &self.timeouts)
            .field("answer", &self.answer)
            .field("body", &self.body)
            .field("by", &self.by.is_some())
            .field("header", &self.header.as_ref().map(|header| &header.name))
            .field("max", &self.max)
            .field("min_useful", &self.min_useful)
            .field("shared", &self.shared)
            .field("forward", &self.forward)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, Arc::clone(&self.settings))
    }
}
