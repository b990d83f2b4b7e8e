use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::Ordering::{AcqRel, Acquire, Release},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    time::{self, Sleep},
};

use crate::sync::AtomicBool;

/// What a [`Collector`] works for: a store, or whatever owns one.
pub trait Sweep: Send + Sync + 'static {
    /// The collector of this store.
    fn collector(&self) -> &Collector;

    /// Sweeps a bounded part of the store. Returns when to come again, or `None` if never.
    fn sweep(&self, now: Instant) -> Option<Duration>;
}

/// A task that sweeps a store in small steps while there is a runtime and an owner.
///
/// It is started by whoever first finds a runtime around it, holds its owner weakly, and ends with
/// the last owner, or when [`Sweep::sweep`] says so. A runtime without a timer (`enable_time`) it takes for
/// one with it, and panics there once, as anything does that sleeps. If its runtime ends first, the next
/// [`start`](Self::start) inside another starts it anew.
pub struct Collector {
    running: AtomicBool,
}

impl Collector {
    /// A collector that is not started.
    #[must_use]
    pub fn new() -> Self {
        Self { running: AtomicBool::new(false) }
    }

    /// Starts the owner's collector, unless it runs already or there is no runtime here. Costs one
    /// load while it runs.
    #[inline]
    pub fn start<T: Sweep>(owner: &Arc<T>) {
        if !owner.collector().running.load(Acquire) {
            Self::spawn(owner);
        }
    }

    /// Whether its task runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.running.load(Acquire)
    }

    #[cold]
    #[inline(never)]
    fn spawn<T: Sweep>(owner: &Arc<T>) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !owner.collector().running.swap(true, AcqRel) {
            let mut task = Running { owner: Arc::downgrade(owner), has_panicked: false };
            runtime.spawn(async move {
                while let Some(pause) = task.sweep() {
                    pause.await;
                }
            });
        }
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("running", &self.is_running()).finish()
    }
}

/// A timer has no smaller unit.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// How long to wait after each of so many steps, for all of them to take this time.
pub(crate) fn pace(round: Duration, steps: usize) -> Duration {
    (round / u32::try_from(steps).unwrap_or(u32::MAX)).max(SHORTEST_WAIT)
}

/// The owner, who is told when the task ends, however it does.
struct Running<T: Sweep> {
    owner: Weak<T>,
    /// Not that the thread has: that of a runtime may, and drop the task on its way out.
    has_panicked: bool,
}

impl<T: Sweep> Running<T> {
    /// Sweeps once. Returns the pause that is due then.
    fn sweep(&mut self) -> Option<Sleep> {
        let owner = self.owner.upgrade()?;
        self.has_panicked = true;
        let wait = owner.sweep(time::Instant::now().into_std());
        let pause = wait.map(time::sleep);
        self.has_panicked = false;
        pause
    }
}

impl<T: Sweep> Drop for Running<T> {
    fn drop(&mut self) {
        // In a runtime without a timer it would again.
        if !self.has_panicked
            && let Some(owner) = self.owner.upgrade()
        {
            owner.collector().running.store(false, Release);
        }
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
