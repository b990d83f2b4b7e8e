use std::{
    fmt,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use crate::{
    clock::now,
    heart::{Gone, Heart},
    registry::Registry,
};

/// What is expected of a background task: how often its heart beats.
///
/// Beat at least twice as often as is allowed, so that one beat that comes late fails nothing
/// (K. Cox-Buday, "Concurrency in Go", 2017, chapter 5).
///
/// ```
/// use palisade_health::{Health, Heartbeat, Probe, Status};
/// use std::time::Duration;
///
/// # let rt = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # rt.block_on(async {
/// let health = Health::new();
/// let mut pulse = health.readiness().pulse(Heartbeat::busy("mailer", Duration::from_secs(30)));
/// tokio::spawn(async move {
///     for _letter in ["to you", "to me"] {
///         // One letter may take 30 s. Waiting for the next may take for ever.
///         let _unit = pulse.work();
///     }
///     pulse.retire();
/// })
/// # .await.unwrap();
/// assert_eq!(health.status(Probe::Readiness), Status::Pass);
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Heartbeat {
    pub(crate) name: String,
    pub(crate) allowed: Duration,
    pub(crate) always: bool,
    pub(crate) critical: bool,
}

impl Heartbeat {
    /// Beats at least once in this time, whether or not it has anything to do.
    ///
    /// For a loop that comes round by itself. At least 10 ms.
    #[must_use]
    pub fn every(name: impl Into<String>, allowed: Duration) -> Self {
        Self { name: name.into(), allowed, always: true, critical: false }
    }

    /// While it is at [work](Pulse::work), or [behind](Pulse::progress), beats at least once in this time.
    /// While it has nothing to do it is well, however long that takes.
    ///
    /// For a task that waits for something to do. At least 10 ms.
    #[must_use]
    pub fn busy(name: impl Into<String>, allowed: Duration) -> Self {
        Self { name: name.into(), allowed, always: false, critical: false }
    }

    /// Makes the service not ready while this heart has stopped, rather than
    /// [degraded](crate::Check#degraded-or-critical).
    ///
    /// A heart of [liveness](crate::Health::liveness) is critical in any case.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.critical = true;
        self
    }
}

/// The heart of a background task, which holds it and [beats](Self::beat).
///
/// Dropped, as by a task that ends, is aborted or panics, it is a failure, until a
/// [heartbeat](Heartbeat) of the same name and probe takes its place, or if one has already: so a task may be
/// started again before the old one is gone. Give tasks that run side by side a name each.
///
/// A task that ends as it should says so by [`retire`](Self::retire). While the service
/// [drains](crate::Health::drain) one that has not is no failure, unless it has panicked, and is missed when
/// the drain is [taken back](crate::Health::resume).
#[must_use = "dropped, it counts as a task that has died"]
pub struct Pulse {
    heart: Arc<Heart>,
    registry: Weak<Registry>,
    busy: bool,
    done: u64,
}

impl Pulse {
    pub(crate) fn new(heart: Arc<Heart>, registry: Weak<Registry>) -> Self {
        Self { heart, registry, busy: false, done: 0 }
    }

    /// Says that it is alive.
    ///
    /// One clock read, and one store that nobody waits for.
    #[inline]
    pub fn beat(&self) {
        self.heart.beat(self.busy, now());
    }

    /// Begins a unit of work, which is over when the guard is dropped.
    ///
    /// A unit that takes longer than is [allowed](Heartbeat::busy) is a failure, unless it
    /// [beats](Unit::beat) in the meantime.
    pub fn work(&mut self) -> Unit<'_> {
        self.set_busy(true);
        Unit(self)
    }

    /// Says how much it has done since it began, and how much there is to do.
    ///
    /// Counts as a beat if the first number has changed since it was last said, or if there was nothing to
    /// do then. That of a consumer may be its position in a log, and how far it is behind the log's end.
    ///
    /// ```
    /// # use palisade_health::{Health, Heartbeat};
    /// # use std::time::Duration;
    /// # let health = Health::new();
    /// let mut pulse = health.readiness().pulse(Heartbeat::busy("consumer", Duration::from_secs(60)));
    /// # let (position, end) = (0_u64, 0_u64);
    /// pulse.progress(position, end - position);
    /// # pulse.retire();
    /// ```
    pub fn progress(&mut self, done: u64, backlog: u64) {
        if done != self.done || !self.busy || backlog == 0 {
            self.done = done;
            self.set_busy(backlog > 0);
        }
    }

    /// Ends it: the task is done, and nothing is expected of it any more.
    pub fn retire(self) {
        self.heart.end(Gone::Retired);
    }

    fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
        self.beat();
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        let Some(registry) = self.registry.upgrade() else { return };
        if self.heart.gone().is_none() {
            self.heart.end(if thread::panicking() { Gone::Panicked } else { Gone::Lost });
        }
        registry.evaluate();
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").field("busy", &self.busy).finish_non_exhaustive()
    }
}

/// A unit of work; see [`Pulse::work`].
#[must_use = "dropped, the work is over"]
#[derive(Debug)]
pub struct Unit<'a>(&'a mut Pulse);

impl Unit<'_> {
    /// Says that it gets on: as of now it may take as long again.
    #[inline]
    pub fn beat(&self) {
        self.0.beat();
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        self.0.set_busy(false);
    }
}
