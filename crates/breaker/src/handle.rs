use std::{fmt, future::poll_fn, sync::Arc, task::Poll};

use crate::{
    Mode, Policy, State, Stats, Transition,
    wired::{Waiter, Wired, now},
};

/// The operator's end of a circuit: read it, force it, watch it.
///
/// Cheap to clone. Nothing here waits for anything. It reads the clock itself, for which no runtime is
/// needed.
#[derive(Clone)]
pub struct Switch(Arc<Wired>);

impl Switch {
    pub(crate) fn new(wired: Arc<Wired>) -> Self {
        Self(wired)
    }

    /// What a call would meet now, whether or not any comes.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.circuit.state(now())
    }

    /// What is laid over the circuit.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.circuit.mode()
    }

    /// By what it decides.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.0.circuit.policy()
    }

    /// How it stands.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.circuit.stats(now())
    }

    /// Refuses all calls until told otherwise.
    pub fn force_open(&self) {
        self.set_mode(Mode::ForcedOpen);
    }

    /// Lets all calls through until told otherwise. They are counted all the while, so that the circuit
    /// can judge afterwards.
    pub fn force_closed(&self) {
        self.set_mode(Mode::ForcedClosed);
    }

    /// Lets all calls through until told otherwise, and counts those that it would have refused: to learn
    /// what a policy would do.
    pub fn observe_only(&self) {
        self.set_mode(Mode::ObserveOnly);
    }

    /// Lets the circuit decide by itself again, from the state it is in.
    pub fn automatic(&self) {
        self.set_mode(Mode::Automatic);
    }

    /// Lays a mode over the circuit, as the verbs above do.
    pub fn set_mode(&self, mode: Mode) {
        self.0.circuit.set_mode(mode, now());
    }

    /// Begins anew: automatic, closed, nothing counted, no opening remembered. What is in flight no
    /// longer counts.
    pub fn reset(&self) {
        self.0.circuit.reset(now());
    }

    /// Tells of all transitions from now on.
    ///
    /// ```
    /// use palisade_breaker::{BreakerLayer, State, Trip};
    ///
    /// # tokio_test::block_on(async {
    /// let switch = BreakerLayer::new(Trip::consecutive(5)).handle();
    /// let mut transitions = switch.subscribe();
    /// switch.force_open();
    /// switch.automatic();
    /// assert_eq!(transitions.next().await.unwrap().to, State::Open);
    /// assert_eq!(transitions.next().await.unwrap().to, State::Closed);
    /// # });
    /// ```
    #[must_use]
    pub fn subscribe(&self) -> Transitions {
        let last = self.0.circuit.transitions(0).last().map_or(0, |last| last.sequence);
        Transitions { waiter: Waiter::new(&self.0), seen: last }
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Switch").field(&self.0.circuit).finish()
    }
}

/// A circuit's transitions, in their order; see [`Switch::subscribe`].
///
/// Nothing is kept for who does not ask: a circuit remembers its last 32. Whoever has missed some sees it
/// by their [numbers](Transition::sequence), and goes on with the oldest that is known.
#[derive(Debug)]
pub struct Transitions {
    waiter: Waiter,
    seen: u64,
}

impl Transitions {
    /// The next transition, once there is one. `None` once the circuit is gone: its layer, all services
    /// and calls, and each [`Switch`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses none.
    pub async fn next(&mut self) -> Option<Transition> {
        poll_fn(|cx| {
            self.waiter.wait(cx);
            // After that: what comes from here on wakes.
            match self.try_next() {
                None if self.waiter.wired().is_some() => Poll::Pending,
                next => Poll::Ready(next),
            }
        })
        .await
    }

    /// The next transition, if there is one already.
    pub fn try_next(&mut self) -> Option<Transition> {
        let next = self.waiter.wired()?.circuit.transitions(self.seen).into_iter().next()?;
        self.seen = next.sequence;
        Some(next)
    }
}
