use std::{fmt, sync::Arc, time::Duration};

use palisade_core::Head;
use tower_layer::Layer;

use crate::{
    Health, HealthService, NotFound, Probe,
    settings::{Details, Settings},
    watches::Watches,
};

/// Answers probes, counts what is in flight, and refuses new requests once the service has drained.
///
/// See the [crate's documentation](crate).
#[derive(Clone)]
pub struct HealthLayer {
    health: Health,
    settings: Arc<Settings>,
}

impl HealthLayer {
    /// Answers for this registry at `/livez`, `/readyz`, `/startupz` and as `grpc.health.v1.Health`.
    ///
    /// All layers over one registry are one: they count the same requests, and a drain refuses them all.
    #[must_use]
    pub fn new(health: &Health) -> Self {
        Self { health: health.clone(), settings: Arc::default() }
    }

    /// The registry it answers for.
    #[must_use]
    pub fn handle(&self) -> Health {
        self.health.clone()
    }

    /// Answers this probe at another path.
    ///
    /// # Panics
    ///
    /// When the path does not begin with a slash, has a query, or is another probe's.
    #[must_use]
    pub fn with_path(self, probe: Probe, path: impl Into<String>) -> Self {
        let path = path.into();
        assert!(
            path.starts_with('/') && !path.contains(['?', '#']),
            "the path of the {probe} probe must begin with a slash and have no query, as /readyz, not {path:?}"
        );
        let is_taken =
            Probe::ALL.iter().any(|&other| other != probe && self.settings.path(other) == path);
        assert!(
            !is_taken,
            "the path of the {probe} probe must be its own, and {path:?} is another's"
        );
        self.with(|settings| settings.set_path(probe, path))
    }

    /// Shows each check by name, with the text of its error, to requests that ask for it by `?verbose` and
    /// are allowed to: those for which this says so. Nobody is unless this is set.
    ///
    /// What it shows tells of what is inside. On a port that only operators reach, `|_| true` will do.
    #[must_use]
    pub fn with_details(self, allowed: impl Fn(Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.details = Details::some(allowed))
    }

    /// Tells those that come while it [refuses](crate::Phase::Refusing) to come again after this time; 5 s
    /// unless set, as Kubernetes' own server says when it shuts down. They will be served by another
    /// instance, or by the next.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.with(|settings| settings.retry_after = wait)
    }

    /// Lets so many clients [watch](Health::watch_serving) at once over gRPC; 4,096 unless set. One more is
    /// told `RESOURCE_EXHAUSTED`. They are outside of all limits, and each holds the name that it asked for.
    #[must_use]
    pub fn with_max_watches(self, max: usize) -> Self {
        self.with(|settings| settings.watches = Arc::new(Watches::new(max)))
    }

    /// A service that answers probes, and all else with 404: for a port of its own.
    ///
    /// ```
    /// use axum::Router;
    /// use palisade_health::{Health, HealthLayer};
    ///
    /// let health = Health::new();
    /// let operators: Router = Router::new()
    ///     .fallback_service(HealthLayer::new(&health).with_details(|_| true).into_service());
    /// ```
    #[must_use]
    pub fn into_service(self) -> HealthService<NotFound> {
        self.layer(NotFound::new())
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let Self { health, mut settings } = self;
        change(Arc::make_mut(&mut settings));
        Self { health, settings }
    }
}

impl<S> Layer<S> for HealthLayer {
    type Service = HealthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        HealthService::new(inner, self.health.clone(), Arc::clone(&self.settings))
    }
}

impl fmt::Debug for HealthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthLayer")
            .field("health", &self.health)
            .field("settings", &self.settings)
            .finish()
    }
}
