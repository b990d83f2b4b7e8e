use std::{
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
        if let Phase::Waiting(waker) = &mut *phase {
            let waker = waker.take();
            *phase = Phase::Stalled(rejection.clone());
            drop(phase);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// What to answer, if the client has stalled; if not, the task is woken when it does.
    pub(crate) fn poll_stalled(&self, cx: &Context<'_>) -> Option<Rejection> {
        match &mut *self.phase() {
            Phase::Stalled(rejection) => return Some(rejection.clone()),
            Phase::Waiting(Some(waker)) if waker.will_wake(cx.waker()) => {}
            Phase::Waiting(waker) => *waker = Some(cx.waker().clone()),
            Phase::Answered => {}
        }
        None
    }

    /// There is an answer, unless the client has stalled: then that is it.
    pub(crate) fn answer(&self) -> Option<Rejection> {
        let mut phase = self.phase();
        if let Phase::Stalled(rejection) = &*phase {
            return Some(rejection.clone());
        }
        *phase = Phase::Answered;
        None
    }
}
