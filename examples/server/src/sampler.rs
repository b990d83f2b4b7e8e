//! A background task that looks now and then how many requests are in flight, and what stops its heart.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use palisade::{health::Pulse, limit_concurrency::InFlight};
use tokio::{sync::watch, time::sleep};

/// What is known of the task, and a switch that hangs it.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    hung: watch::Sender<bool>,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    samples: AtomicU64,
    most: AtomicU64,
}

impl Sampler {
    /// Samples and beats so often, until the runtime ends.
    pub(crate) fn start(in_flight: InFlight, pulse: Pulse, every: Duration) -> Self {
        let sampler = Self { hung: watch::Sender::new(false), seen: Arc::default() };
        tokio::spawn(sampler.clone().run(in_flight, pulse, every));
        sampler
    }

    async fn run(self, in_flight: InFlight, pulse: Pulse, every: Duration) {
        let mut hung = self.hung.subscribe();
        loop {
            // For ever, as a task hangs that waits for a lock. It holds a sender, so there is no error.
            let _ = hung.wait_for(|hung| !hung).await;
            let now = u64::try_from(in_flight.in_flight()).unwrap_or(u64::MAX);
            self.seen.most.fetch_max(now, Relaxed);
            self.seen.samples.fetch_add(1, Relaxed);
            pulse.beat();
            sleep(every).await;
        }
    }

    /// From its next round on it does nothing any more, or again.
    pub(crate) fn set_hung(&self, hung: bool) {
        self.hung.send_replace(hung);
    }

    pub(crate) fn is_hung(&self) -> bool {
        *self.hung.borrow()
    }

    /// The word for it.
    pub(crate) fn state(&self) -> &'static str {
        if self.is_hung() { "hung" } else { "runs" }
    }

    pub(crate) fn samples(&self) -> u64 {
        self.seen.samples.load(Relaxed)
    }

    /// The most requests that were in flight at once in any sample.
    pub(crate) fn most(&self) -> u64 {
        self.seen.most.load(Relaxed)
    }
}
