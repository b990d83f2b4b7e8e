use std::{
    collections::BTreeMap,
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
        let wakers = std::mem::take(&mut lock(&self.waiting).wakers);
        wakers.into_values().for_each(Waker::wake);
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

/// One of those who wait. Leaves when it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    wired: Arc<Wired>,
    number: Option<u64>,
}

impl Waiter {
    pub(crate) fn new(wired: Arc<Wired>) -> Self {
        Self { wired, number: None }
    }

    pub(crate) fn circuit(&self) -> &Circuit {
        &self.wired.circuit
    }

    /// Wakes this task when the circuit changes next. What it waits for is to be looked at again
    /// afterwards: it may have come already.
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        let mut waiting = lock(&self.wired.waiting);
        let number = *self.number.get_or_insert_with(|| {
            waiting.number += 1;
            waiting.number
        });
        waiting.wakers.insert(number, cx.waker().clone());
    }

    pub(crate) fn leave(&mut self) {
        if let Some(number) = self.number.take() {
            // Dropped after the lock: a waker is not ours, and what it drops may be anything.
            let waker = lock(&self.wired.waiting).wakers.remove(&number);
            drop(waker);
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.leave();
    }
}
