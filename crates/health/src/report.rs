use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::Status;

/// What is asked of a service: the three probes of
/// [Kubernetes](https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// Would restarting it help? Only a heart that has stopped says so, never something that the service
    /// depends on: that would restart all instances while what they depend on is down.
    Liveness = 0,
    /// Is it to be sent traffic? It has started, is not draining, is alive, and nothing critical fails.
    Readiness = 1,
    /// Has it started? Until then, the other two are not to be asked.
    Startup = 2,
}

impl Probe {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Liveness, Self::Readiness, Self::Startup];

    /// The word for it, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
            Self::Startup => "startup",
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a service stands: what each [`Probe`] is answered, and how each check stands.
///
/// A snapshot, which does not change any more.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) statuses: [Status; 3],
    pub(crate) draining: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) transitions: u64,
}

impl Report {
    /// What this probe is answered.
    #[must_use]
    pub const fn status(&self, probe: Probe) -> Status {
        self.statuses[probe as usize]
    }

    /// Whether the service is not ready because it was told to [drain](crate::Health::drain).
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// All checks, heartbeats and latches, in the order in which they were registered.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Those that were registered for this probe.
    pub fn of(&self, probe: Probe) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(move |item| item.probe == probe)
    }

    /// How often any of them has changed its status so far.
    #[must_use]
    pub const fn transitions(&self) -> u64 {
        self.transitions
    }
}

/// How one check, heartbeat or latch stands.
#[derive(Clone, Debug)]
pub struct Item {
    pub(crate) name: Arc<str>,
    pub(crate) probe: Probe,
    pub(crate) critical: bool,
    pub(crate) status: Status,
    pub(crate) since: Instant,
    pub(crate) detail: Option<Arc<str>>,
}

impl Item {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For which probe it was registered.
    #[must_use]
    pub const fn probe(&self) -> Probe {
        self.probe
    }

    /// Whether the service is down for that probe while this is not up, rather than degraded.
    #[must_use]
    pub const fn is_critical(&self) -> bool {
        self.critical
    }

    /// How it stands by itself, critical or not.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Since when it has had this status.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// How long it has had this status.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Why: the text of the last error, or what a check [said](crate::Finding::with_detail). Not for everybody's
    /// eyes, as it may tell of what is inside.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

/// What the probes are answered if things stand so.
pub(crate) fn answers<'a>(items: impl Iterator<Item = &'a Item>, draining: bool) -> [Status; 3] {
    let [mut liveness, mut readiness, mut startup] = [Status::Pass; 3];
    for item in items {
        match item.probe {
            Probe::Liveness => liveness = liveness.max(item.status),
            Probe::Readiness if item.critical => readiness = readiness.max(item.status),
            // Whatever it is, the service works without.
            Probe::Readiness => readiness = readiness.max(item.status.min(Status::Warn)),
            Probe::Startup => startup = startup.max(item.status),
        }
    }
    let drained = if draining { Status::Fail } else { Status::Pass };
    [liveness, readiness.max(liveness).max(startup).max(drained), startup]
}
