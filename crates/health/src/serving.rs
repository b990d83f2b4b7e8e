use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio::sync::futures::Notified;

use crate::{Health, Phase, Probe};

/// What a gRPC client is told of a service, by the
/// [health checking protocol](https://grpc.io/docs/guides/health-checking/).
///
/// Clients send calls where it is [`Serving`](Self::Serving), and nowhere else (gRFC A17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServingStatus {
    /// Nothing is known of it.
    Unknown = 0,
    /// It takes calls.
    Serving = 1,
    /// It takes none.
    NotServing = 2,
    /// There is no such service. Only for who watches one.
    ServiceUnknown = 3,
}

/// One service of a gRPC server by its full name, as in `package.Service`; see [`Health::service`].
///
/// Cheap to clone. It stays known when this is dropped.
#[derive(Clone)]
pub struct ServiceHealth {
    health: Health,
    name: Arc<str>,
}

impl ServiceHealth {
    pub(crate) fn new(health: Health, name: Arc<str>) -> Self {
        Self { health, name }
    }

    /// Its full name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What clients are told of it now.
    #[must_use]
    pub fn status(&self) -> ServingStatus {
        self.health.serving(&self.name).unwrap_or(ServingStatus::ServiceUnknown)
    }

    /// Tells clients this from now on, whatever the service's readiness. While it drains they are told
    /// [`NotServing`](ServingStatus::NotServing) all the same.
    pub fn set(&self, status: ServingStatus) {
        self.write(Some(status));
    }

    /// Tells clients whether the whole is ready, as at the beginning.
    pub fn follow_readiness(&self) {
        self.write(None);
    }

    fn write(&self, status: Option<ServingStatus>) {
        let registry = &self.health.0;
        registry.services.set(&self.name, status);
        registry.gate.changed.notify_waiters();
    }
}

impl fmt::Debug for ServiceHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceHealth")
            .field("name", &self.name)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Health {
    /// Makes a service known to gRPC clients by its full name, as in `package.Service`, if it is not.
    ///
    /// They are told whether the whole is [ready](Probe::Readiness), until something else is
    /// [set](ServiceHealth::set). The empty name, which stands for the whole, is always known.
    ///
    /// A name is kept as long as the registry. Do not make one of what a client sends.
    pub fn service(&self, name: impl AsRef<str>) -> ServiceHealth {
        let name = self.0.services.add(name.as_ref());
        self.0.gate.changed.notify_waiters();
        ServiceHealth::new(self.clone(), name)
    }

    /// What gRPC clients are told of this service now; `None` if there is none of this name.
    ///
    /// Takes a lock, for as long as it takes to look the name up.
    #[must_use]
    pub fn serving(&self, name: &str) -> Option<ServingStatus> {
        Some(self.told(self.0.services.of(name)?))
    }

    /// All services that are known, and what clients are told of each.
    #[must_use]
    pub fn services(&self) -> Vec<(Arc<str>, ServingStatus)> {
        let services = self.0.services.all();
        services.into_iter().map(|(name, set)| (name, self.told(set))).collect()
    }

    fn told(&self, set: Option<ServingStatus>) -> ServingStatus {
        if self.0.gate.is_draining() {
            return ServingStatus::NotServing;
        }
        set.unwrap_or_else(|| {
            if self.status(Probe::Readiness).is_up() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            }
        })
    }

    /// Tells what this service's clients are told, now and whenever that changes.
    pub fn watch_serving(&self, name: impl Into<String>) -> ServingWatch {
        ServingWatch {
            changed: self.0.gate.changed.notified(),
            health: self.clone(),
            name: name.into(),
            told: None,
        }
    }
}

/// A service's status, now and whenever it changes; see [`Health::watch_serving`].
///
/// One that changes twice before it is asked for is told once, or not at all if it is as before: a slow
/// reader costs no memory. A service that is not known is
/// [`ServiceUnknown`](ServingStatus::ServiceUnknown), until it is. It ends when the service has
/// [drained](Phase::Drained).
#[must_use = "it does nothing unless polled"]
#[pin_project]
pub struct ServingWatch {
    /// Its gate lives for ever.
    #[pin]
    changed: Notified<'static>,
    health: Health,
    name: String,
    told: Option<ServingStatus>,
}

impl ServingWatch {
    /// The status if it is another than was told last, or `None` at the end.
    pub fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServingStatus>> {
        let mut this = self.project();
        // So that it is told of what time alone changes, though nobody asks anything else.
        this.health.start();
        loop {
            // Before anything is looked at: what changes from here on wakes.
            let changed = this.changed.as_mut().poll(cx).is_ready();
            if changed {
                this.changed.set(this.health.0.gate.changed.notified());
                continue;
            }
            let status = this.health.serving(this.name).unwrap_or(ServingStatus::ServiceUnknown);
            if *this.told != Some(status) {
                *this.told = Some(status);
                return Poll::Ready(Some(status));
            }
            if this.health.phase() == Phase::Drained {
                return Poll::Ready(None);
            }
            return Poll::Pending;
        }
    }
}

impl fmt::Debug for ServingWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServingWatch")
            .field("name", &self.name)
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}
