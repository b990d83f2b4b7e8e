use std::{
    collections::{BTreeMap, btree_map::IntoValues},
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    task::{Context, Waker},
    time::Instant,
};

use crate::{
    Circuit, Policy, Transition,
    sync::{AtomicU64, Mutex, lock},
};

/// A circuit, and the tasks that wait for it to change.
#[derive(Debug)]
pub(crate) struct Wired {
    pub(crate) circuit: Circuit,
    /// The last transition that is in the log.
    logged: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    number: u64,
    /// By when they came, so that who has waited longest is woken first.
    wakers: BTreeMap<u64, Waker>,
}

impl Wired {
    pub(crate) fn new(policy: Policy) -> Arc<Self> {
        Arc::new_cyclic(|this: &Weak<Self>| {
            let this = Weak::clone(this);
            let changed = move || {
                if let Some(this) = this.upgrade() {
                    this.changed();
                }
            };
            Self {
                circuit: Circuit::new(policy, now()).with_wake(changed),
                logged: AtomicU64::new(0),
                waiting: Mutex::default(),
            }
        })
    }

    #[cold]
    fn changed(&self) {
        for transition in self.circuit.transitions(self.logged.load(Relaxed)) {
            // Each is told once, by whoever gets there first.
            if self.logged.fetch_max(transition.sequence, Relaxed) < transition.sequence {
                tell(&transition);
            }
        }
        self.wake();
    }

    fn wake(&self) {
        let mut rest = Rest(std::mem::take(&mut lock(&self.waiting).wakers).into_values());
        for waker in rest.0.by_ref() {
            waker.wake();
        }
    }

    fn wait(&self, number: &mut Option<u64>, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let mut waiting = lock(&self.waiting);
        let number = *number.get_or_insert_with(|| {
            waiting.number += 1;
            waiting.number
        });
        let before = waiting.wakers.insert(number, waker);
        drop(waiting);
        // After the lock: a waker is not ours, and what it drops may be waiting here itself.
        drop(before);
    }

    fn leave(&self, number: u64) {
        let before = lock(&self.waiting).wakers.remove(&number);
        drop(before);
    }
}

/// A waker that panics takes no others along.
struct Rest(IntoValues<u64, Waker>);

impl Drop for Rest {
    fn drop(&mut self) {
        for waker in self.0.by_ref() {
            waker.wake();
        }
    }
}

/// Those who wait for a change are told that there will be none.
impl Drop for Wired {
    fn drop(&mut self) {
        self.wake();
    }
}

fn tell(transition: &Transition) {
    tracing::info!(
        target: "palisade",
        layer = crate::service::LAYER,
        from = ?transition.from,
        to = ?transition.to,
        mode = ?transition.mode,
        cause = ?transition.cause,
        "Circuit changed"
    );
}

/// The clock of the layers.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// One of those who wait. Leaves when it is dropped, and does not keep the circuit.
#[derive(Debug)]
pub(crate) struct Waiter {
    wired: Weak<Wired>,
    number: Option<u64>,
}

impl Waiter {
    pub(crate) fn new(wired: &Arc<Wired>) -> Self {
        Self { wired: Arc::downgrade(wired), number: None }
    }

    pub(crate) fn wired(&self) -> Option<Arc<Wired>> {
        self.wired.upgrade()
    }

    /// Wakes this task when the circuit changes next, or is gone. What it waits for is to be looked at
    /// again afterwards: it may have come already.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        if let Some(wired) = self.wired.upgrade() {
            wired.wait(&mut self.number, cx);
        }
    }

    pub(crate) fn leave(&mut self) {
        if let Some((number, wired)) = self.number.take().zip(self.wired.upgrade()) {
            wired.leave(number);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.leave();
    }
}
