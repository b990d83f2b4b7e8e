use std::{fmt, sync::Arc};

use palisade_core::{ClassifyEnd, End, Guard, Outcome};

use crate::{
    Signal, Ticket,
    wired::{Wired, now},
};

/// What all calls of one circuit share: on other cache lines than the count of them in front of it, which
/// each call writes.
#[repr(align(128))]
pub(crate) struct Shared<C> {
    pub(crate) wired: Arc<Wired>,
    pub(crate) classifier: Arc<C>,
}

impl<C> Shared<C> {
    pub(crate) fn new(wired: Arc<Wired>, classifier: Arc<C>) -> Arc<Self> {
        Arc::new(Self { wired, classifier })
    }
}

// A derive would ask it of the classifier.
impl<C> fmt::Debug for Shared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wired.circuit.fmt(f)
    }
}

/// A call that was let through. However it ends, the circuit is told, and told once.
pub(crate) struct Call<C> {
    pub(crate) shared: Arc<Shared<C>>,
    ticket: Option<Ticket>,
    /// Whether the inner service runs at this moment: if it is dropped by then, that has panicked.
    pub(crate) running: bool,
}

/// A call that was let through, while the classifier and the inner service are told of it: either may panic.
///
/// Not yet a [`Call`], so that it can stay in registers: what is written piece by piece and copied as a
/// whole right after has to wait for the writes.
pub(crate) struct Fuse<C> {
    held: Option<(Arc<Shared<C>>, Ticket)>,
    /// What a panic would say.
    signal: Signal,
}

impl<C> Fuse<C> {
    #[inline]
    pub(crate) fn new(shared: Arc<Shared<C>>, ticket: Ticket) -> Self {
        Self { held: Some((shared, ticket)), signal: Signal::Ignored }
    }

    /// From here on it is the inner service that panics.
    #[inline]
    pub(crate) fn calls(&mut self) {
        self.signal = Signal::Failure;
    }

    /// Nothing has panicked.
    #[inline]
    pub(crate) fn call(mut self) -> Option<Call<C>> {
        let (shared, ticket) = self.held.take()?;
        Some(Call { shared, ticket: Some(ticket), running: false })
    }
}

impl<C> Drop for Fuse<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some((shared, ticket)) = self.held.take() {
            panicked(shared, ticket, self.signal);
        }
    }
}

#[cold]
#[inline(never)]
#[allow(
    clippy::needless_pass_by_value,
    reason = "what is lent is in memory, and not in a register"
)]
fn panicked<C>(shared: Arc<Shared<C>>, ticket: Ticket, signal: Signal) {
    shared.wired.circuit.record(ticket, signal, now());
}

impl<C> Call<C> {
    /// The head of an answer is there, whose end is to decide.
    pub(crate) fn answered(&mut self) {
        if let Some(ticket) = &mut self.ticket
            && ticket.is_timed()
        {
            self.shared.wired.circuit.answered(ticket, now());
        }
    }

    #[inline]
    pub(crate) fn record(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.wired.circuit.record(ticket, signal(outcome), now());
        }
    }
}

/// That nobody is there is a failure like any other; that it was never sent is for a retry to know.
#[inline]
fn signal(outcome: Outcome) -> Signal {
    match outcome {
        Outcome::Success => Signal::Success,
        Outcome::Failure | Outcome::NotSent => Signal::Failure,
        Outcome::Throttled { .. } => Signal::Throttled,
        Outcome::Ignored => Signal::Ignored,
    }
}

impl<C> Drop for Call<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let circuit = &self.shared.wired.circuit;
            if self.running {
                circuit.record(ticket, Signal::Failure, now());
            } else {
                circuit.abandon(ticket, now());
            }
        }
    }
}

/// Tells the circuit what became of a call whose answer is judged when its body ends.
pub struct Recording<C, T> {
    call: Call<C>,
    end: T,
}

impl<C, T> Recording<C, T> {
    pub(crate) fn new(call: Call<C>, end: T) -> Self {
        Self { call, end }
    }
}

impl<C, T: ClassifyEnd> Guard for Recording<C, T> {
    fn ended(mut self, end: End<'_>) {
        match (end, self.end.end(end)) {
            // Nobody waited for the verdict: what that says, the time tells.
            (End::Dropped, Outcome::Ignored) => drop(self.call),
            (_, outcome) => self.call.record(outcome),
        }
    }
}

impl<C, T> fmt::Debug for Recording<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}
