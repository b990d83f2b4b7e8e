//! What is registered, and the tasks that look at it.

use std::{
    mem,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed, Release},
    },
};

use tokio::{runtime::Handle, task::AbortHandle};

use super::{Inner, Registry};
use crate::{
    Check, Finding, Probe,
    board::{MOST, New, Source},
    clock::now,
    log::LAYER,
    runner::{Stopped, run, tick},
    sync::lock,
};

/// Starts the task of a check.
pub(super) type Spawn = Box<dyn FnOnce(&Handle) -> AbortHandle + Send>;

impl Inner {
    /// Takes what waits for a runtime by this number away, if it does.
    fn unwait(&mut self, id: u64) -> Option<Spawn> {
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        Some(self.waiting.remove(at).1)
    }
}

impl Registry {
    pub(crate) fn put(self: &Arc<Self>, new: New) {
        let put = lock(&self.inner).board.put(new, now());
        let Some((_, former)) = put else { return self.refuse() };
        if let Some(task) = former.and_then(|former| former.task) {
            task.abort();
        }
        self.start();
        self.evaluate();
    }

    /// Tells of it once: who registers without end would fill the log as well.
    #[cold]
    fn refuse(&self) {
        if !self.full.swap(true, Relaxed) {
            tracing::warn!(
                target: "palisade",
                layer = LAYER,
                most = MOST,
                "Health is full, and watches nothing more"
            );
        }
    }

    pub(crate) fn check<F, Fut>(self: &Arc<Self>, probe: Probe, check: Check<F>)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output: Into<Finding>> + Send + 'static,
    {
        let source = Source::Check(check.standing());
        let Check { name, look, timing, critical, .. } = check;
        let critical = critical || probe == Probe::Startup;
        let mut inner = lock(&self.inner);
        let new = New { name, probe, critical, source };
        let Some((id, former)) = inner.board.put(new, now()) else {
            drop(inner);
            return self.refuse();
        };
        let this = Arc::downgrade(self);
        let spawn =
            move |runtime: &Handle| runtime.spawn(run(look, timing, this, id)).abort_handle();
        let unstarted = former.as_ref().and_then(|former| inner.unwait(former.id));
        inner.waiting.push((id, Box::new(spawn)));
        drop(inner);
        // After the lock: the check in it is not ours.
        drop(unstarted);
        if let Some(task) = former.and_then(|former| former.task) {
            task.abort();
        }
        self.unstarted.store(true, Release);
        self.start();
        self.evaluate();
    }

    /// Starts what waits for a runtime, if there is one here.
    #[inline]
    pub(crate) fn start(self: &Arc<Self>) {
        if self.unstarted.load(Acquire) {
            self.spawn();
        }
    }

    #[cold]
    #[inline(never)]
    fn spawn(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let waiting = {
            let mut inner = lock(&self.inner);
            self.unstarted.store(false, Relaxed);
            if inner.ticker.as_ref().is_none_or(AbortHandle::is_finished) {
                let ticker = tick(Stopped(Arc::downgrade(self)), Arc::clone(&self.sooner));
                inner.ticker = Some(runtime.spawn(ticker).abort_handle());
            }
            mem::take(&mut inner.waiting)
        };
        for (id, spawn) in waiting {
            // Without the lock: a runtime that is about to end drops the check, which is not ours.
            let task = spawn(&runtime);
            let unwanted = lock(&self.inner).board.set_task(id, task);
            if let Some(unwanted) = unwanted {
                unwanted.abort();
            }
        }
    }

    /// The ticker's runtime has ended; it is to be started in another.
    pub(crate) fn stopped(&self) {
        self.unstarted.store(true, Release);
    }
}
