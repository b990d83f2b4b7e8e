use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
};

use palisade_core::Rejection;

/// What a request's body and the future of its answer know of each other.
///
/// One allocation for each request that has a body. Requests without one have none.
#[derive(Clone, Debug)]
pub(crate) struct Link(Arc<Mutex<Phase>>);

#[derive(Debug)]
enum Phase {
    /// There is no answer yet. Who waits for it is woken if the body stalls.
    Waiting(Option<Waker>),
    /// The client has stalled before there was an answer. This is to be it.
    Stalled(Rejection),
    /// There is one.
    Answered,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Phase::Waiting(None))))
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has stalled. Whoever reads the body may do so in another task than the one that
    /// waits for the answer.
    pub(crate) fn stall(&self, rejection: &Rejection) {
        let mut phase = self.phase();
        let waiting = match &mut *phase {
            Phase::Waiting(waker) => waker.take(),
            Phase::Stalled(_) | Phase::Answered => return,
        };
        *phase = Phase::Stalled(rejection.clone());
        // A waker is somebody else's code, which the lock is no place for.
        drop(phase);
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// What to answer, if the client has stalled; if not, the task is woken when it does.
    pub(crate) fn poll_stalled(&self, cx: &Context<'_>) -> Option<Rejection> {
        let known = |phase: &Phase| match phase {
            Phase::Waiting(Some(waker)) => waker.will_wake(cx.waker()),
            Phase::Waiting(None) => false,
            Phase::Stalled(_) | Phase::Answered => true,
        };
        let phase = self.phase();
        if let Phase::Stalled(rejection) = &*phase {
            return Some(rejection.clone());
        }
        if known(&phase) {
            return None;
        }
        drop(phase);
        let waker = cx.waker().clone();
        let mut phase = self.phase();
        match &mut *phase {
            Phase::Waiting(before) => {
                let before = before.replace(waker);
                drop(phase);
                drop(before);
                None
            }
            // It has stalled in between.
            Phase::Stalled(rejection) => Some(rejection.clone()),
            Phase::Answered => None,
        }
    }

    /// There is an answer, unless the client has stalled: then that is it. Also for when nobody
    /// waits for one any more.
    pub(crate) fn answer(&self) -> Option<Rejection> {
        let mut phase = self.phase();
        if let Phase::Stalled(rejection) = &*phase {
            return Some(rejection.clone());
        }
        let before = mem::replace(&mut *phase, Phase::Answered);
        drop(phase);
        drop(before);
        None
    }
}
