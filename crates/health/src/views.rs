use std::sync::Arc;

use crate::{
    Check, Finding, Health, Heartbeat, Latch, Probe, Pulse,
    board::{New, Source},
    clock::now,
    heart::Heart,
    latch::LatchState,
};

/// What decides whether the service is to be restarted; see [`Health::liveness`].
#[derive(Clone, Copy, Debug)]
pub struct Liveness<'a>(pub(crate) &'a Health);

/// What decides whether the service is sent traffic; see [`Health::readiness`].
#[derive(Clone, Copy, Debug)]
pub struct Readiness<'a>(pub(crate) &'a Health);

/// What must have happened before the service has started; see [`Health::startup`].
#[derive(Clone, Copy, Debug)]
pub struct Startup<'a>(pub(crate) &'a Health);

impl Liveness<'_> {
    /// A heart that must beat, or the service is to be restarted. Until that happens it is not ready either.
    ///
    /// For a task without which the service is of no use, and that nobody else starts again.
    pub fn pulse(self, heartbeat: Heartbeat) -> Pulse {
        self.0.pulse(Probe::Liveness, heartbeat.critical())
    }
}

impl Readiness<'_> {
    /// Looks at this in the background, from now on.
    ///
    /// One of the same name is replaced. Where there is no runtime it waits for
    /// [one](Health::start).
    pub fn check<F, Fut>(self, check: Check<F>)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output: Into<Finding>> + Send + 'static,
    {
        self.0.0.check(Probe::Readiness, check);
    }

    /// A heart that should beat, or the service is degraded, or not ready if it is
    /// [critical](Heartbeat::critical).
    pub fn pulse(self, heartbeat: Heartbeat) -> Pulse {
        self.0.pulse(Probe::Readiness, heartbeat)
    }
}

impl Startup<'_> {
    /// Looks at this in the background until it has passed once, and then never again.
    ///
    /// The service has not started until it has, [critical](Check::critical) or not. One of the same name is
    /// replaced.
    pub fn check<F, Fut>(self, check: Check<F>)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output: Into<Finding>> + Send + 'static,
    {
        self.0.0.check(Probe::Startup, check);
    }

    /// Something that must happen once, as a migration, and is told by who does it.
    ///
    /// ```
    /// use palisade_health::{Health, Probe, Status};
    ///
    /// let health = Health::new();
    /// let migrations = health.startup().latch("migrations");
    /// assert_eq!(health.status(Probe::Readiness), Status::Unknown);
    /// migrations.set();
    /// assert_eq!(health.status(Probe::Readiness), Status::Pass);
    /// ```
    pub fn latch(self, name: impl Into<String>) -> Latch {
        let registry = &self.0.0;
        let state = Arc::new(LatchState::default());
        let source = Source::Latch(Arc::clone(&state));
        registry.put(New { name: name.into(), probe: Probe::Startup, critical: true, source });
        Latch::new(state, registry.weak())
    }
}

impl Health {
    fn pulse(&self, probe: Probe, heartbeat: Heartbeat) -> Pulse {
        let Heartbeat { name, allowed, always, critical } = heartbeat;
        let heart = Arc::new(Heart::new(self.0.clock, allowed, always, now()));
        let source = Source::Heart(Arc::clone(&heart));
        self.0.put(New { name, probe, critical, source });
        Pulse::new(heart, self.0.weak())
    }
}
