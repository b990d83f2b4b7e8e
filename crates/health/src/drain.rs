use std::{pin::pin, time::Duration};

use tokio::time::{self, Instant};

use crate::{
    Exchange, Health, Phase,
    clock::{nanos, now},
    log::LAYER,
};

/// Leaving in good order.
impl Health {
    /// Leaves: readiness fails at once, and for `delay` the service serves on. Then new requests are
    /// refused, while those in flight go on to their end.
    ///
    /// The delay is for the news to spread: Kubernetes takes some seconds to tell all that send traffic, and
    /// what arrives in the meantime is served. 5 to 15 s are usual. Liveness does not change: who leaves
    /// in good order is not to be killed for it.
    ///
    /// Over HTTP/1, clients are asked to close their connections from now on, by `Connection: close` in each
    /// answer: one that has kept its connection would not hear the news. Over HTTP/2 only the server can say
    /// so, by `GOAWAY`; the [crate's documentation](crate#leaving) says when.
    ///
    /// Called again, the nearer of the two moments counts. [`resume`](Self::resume) takes it back.
    ///
    /// ```
    /// use palisade_health::{Health, Phase, Probe};
    /// use std::time::Duration;
    ///
    /// # let rt = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    /// # rt.block_on(async {
    /// let health = Health::new();
    /// let request = health.enter().expect("it serves");
    ///
    /// health.drain(Duration::from_secs(5));
    /// assert!(!health.status(Probe::Readiness).is_up());
    /// assert!(health.status(Probe::Liveness).is_up());
    /// assert!(health.enter().is_some(), "it serves on");
    ///
    /// tokio::time::sleep(Duration::from_secs(5)).await;
    /// assert!(health.enter().is_none());
    /// assert_eq!(health.phase(), Phase::Refusing);
    ///
    /// drop(request);
    /// health.drained().await;
    /// # });
    /// ```
    pub fn drain(&self, delay: Duration) {
        let registry = &self.0;
        let now = now();
        let from = registry.clock.nanos(now).saturating_add(nanos(delay));
        if registry.gate.drain(registry.clock.nanos(now), from) {
            tracing::info!(target: "palisade", layer = LAYER, delay = ?delay, "Draining");
        }
        registry.start();
        registry.evaluate();
    }

    /// Takes a [`drain`](Self::drain) back: requests are let in, and readiness is what it would be.
    pub fn resume(&self) {
        if self.0.gate.resume() {
            tracing::info!(target: "palisade", layer = LAYER, "Drain taken back");
        }
        self.0.evaluate();
    }

    /// How far a shutdown has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.gate.phase(self.0.clock.nanos(now()))
    }

    /// Counts an exchange in, or refuses it: `None` if new ones are not taken any more.
    ///
    /// The layer does so for each request. It is here for other work that a shutdown is to wait for.
    #[inline]
    #[must_use = "dropped, the exchange is over"]
    pub fn enter(&self) -> Option<Exchange> {
        let clock = self.0.clock;
        self.0.gate.enter(|| clock.nanos(now()))
    }

    /// How many exchanges are in flight, whole ones: until the response's body is over.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.0.gate.in_flight()
    }

    /// Resolves when new requests are refused and none is in flight any more, or when a
    /// [bound](Self::drained_within) that somebody else has set for it has passed. Waits for a
    /// [`drain`](Self::drain) to begin if none has.
    ///
    /// Streams of gRPC health that clients watch end at the same moment, so a server that shuts down does
    /// not wait for them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn drained(&self) {
        self.drained_by(None).await;
    }

    /// The same, but waits no longer than this from the moment at which the drain began: also one that
    /// began before this was called, or begins long after. Returns how many exchanges were still in flight
    /// at the end: 0 if it has drained.
    ///
    /// When the time has passed, the shutdown counts as [over](Phase::Drained) for everybody: new requests
    /// are refused, and what waits for its end is told. What is in flight is not cut off by that, but by the end
    /// of the server. A drain that is [taken back](Self::resume) takes its bound along; the next one has all
    /// of the time anew.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing, and takes the bound back.
    pub async fn drained_within(&self, bound: Duration) -> u64 {
        self.drained_by(Some(nanos(bound))).await;
        self.0.gate.left_behind()
    }

    async fn drained_by(&self, bound: Option<u64>) {
        let (gate, clock) = (self.0.gate, self.0.clock);
        loop {
            let mut changed = pin!(gate.changed.notified());
            // Before the phase is read: what changes from here on wakes.
            changed.as_mut().enable();
            let moment = clock.nanos(now());
            if gate.phase(moment) == Phase::Drained {
                return;
            }
            let begun = bound.and_then(|bound| Some((gate.begun()?, bound)));
            let ends = begun.map(|(begun, bound)| begun.at.saturating_add(bound));
            if let (Some((begun, _)), Some(ends)) = (begun, ends)
                && ends <= moment
            {
                if gate.close(begun) {
                    return;
                }
                continue;
            }
            let next = [gate.refuses_from(), ends].into_iter().flatten().min();
            match next.and_then(|next| clock.moment(next)) {
                Some(next) => drop(time::timeout_at(Instant::from_std(next), changed).await),
                None => changed.await,
            }
        }
    }
}
