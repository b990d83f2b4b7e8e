use std::{fmt, sync::Arc};

use crate::{
    Liveness, Probe, Readiness, Report, Reports, Startup, Status, clock::now, registry::Registry,
};

/// How a service is, and how it leaves: the registry of all that says so.
///
/// Cheap to clone; clones are the same registry. Its tasks end with the last of them.
///
/// It holds 1,000 checks, hearts and latches. Of what is registered beyond that, nothing is looked at and nothing
/// is in the report; the first of it is told of in the log, at `warn`. One that takes another's place is
/// not beyond it.
///
/// See the [crate's documentation](crate).
#[derive(Clone)]
pub struct Health(pub(crate) Arc<Registry>);

impl Health {
    /// A registry of nothing: alive, ready, and started, until it is told what that takes.
    ///
    /// So register what it takes to be ready before the server listens.
    #[must_use]
    pub fn new() -> Self {
        Self(Registry::new(now()))
    }

    /// What decides whether the service is to be restarted: [hearts](Liveness::pulse), and nothing else.
    #[must_use]
    pub const fn liveness(&self) -> Liveness<'_> {
        Liveness(self)
    }

    /// What decides whether the service is sent traffic, beside that it has started, is alive, and does not
    /// [drain](Self::drain).
    #[must_use]
    pub const fn readiness(&self) -> Readiness<'_> {
        Readiness(self)
    }

    /// What must have happened before the service has started. Each is asked until it has happened, and
    /// then never again.
    #[must_use]
    pub const fn startup(&self) -> Startup<'_> {
        Startup(self)
    }

    /// What this probe is answered now.
    ///
    /// One load and one look at the clock, without a lock. Only when the time has come at which something may
    /// have changed by itself, as a result that is too old or a beat that was missed, everything is
    /// looked at anew, in memory and under a short lock. So the answer is right also when the runtime's tasks
    /// do not get on. No check is ever run for a probe.
    #[inline]
    #[must_use]
    pub fn status(&self, probe: Probe) -> Status {
        self.0.status(probe)
    }

    /// How everything stands now. Takes a lock, for as long as it takes to copy a pointer.
    #[must_use]
    pub fn report(&self) -> Arc<Report> {
        self.0.report()
    }

    /// Tells of each change of a status, of a check or of a probe's answer, and of a [drain](Self::drain).
    ///
    /// Who is slow sees the latest [`Report`] and misses those in between;
    /// [`transitions`](Report::transitions) says how many.
    #[must_use]
    pub fn subscribe(&self) -> Reports {
        self.0.subscribe()
    }

    /// Starts what was registered outside a runtime, in the one that is here. Does nothing where there is
    /// none, or if all is started; the layer calls it with each request.
    ///
    /// The runtime needs a timer (`enable_time`). If it ends, its checks end with it, and their results grow
    /// [old](crate::Check::max_age).
    #[inline]
    pub fn start(&self) {
        self.0.start();
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&self.0).finish()
    }
}
