//! What calls come to.

use std::{
    sync::atomic::Ordering::{AcqRel, Relaxed},
    time::Instant,
};

use super::{Circuit, clock};
use crate::{Signal, Ticket, ticket::Role};

impl Circuit {
    /// Learns what became of a call. A panic is a [`Signal::Failure`].
    #[inline]
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is good for one outcome")]
    pub fn record(&self, ticket: Ticket, signal: Signal, now: Instant) {
        self.hear(&ticket, signal, self.front.clock.nanos(now));
    }

    /// Learns that nobody waits for a call any more, so that its outcome will not be known.
    ///
    /// If the call took as long as a [slow](crate::Trip::slow) one by then, or else as the lease of a
    /// probe, it has failed: a caller's timeout looks like this. If not, or if the ticket does not know
    /// when it began, it says nothing, and a probe gives its place back: callers go away for reasons of
    /// their own.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is good for one outcome")]
    pub fn abandon(&self, ticket: Ticket, now: Instant) {
        let now = self.front.clock.nanos(now);
        let patience = clock::nanos(self.back.policy.patience());
        let failed = ticket.is_timed() && now.saturating_sub(ticket.started) >= patience;
        self.hear(&ticket, if failed { Signal::Failure } else { Signal::Ignored }, now);
    }

    #[inline]
    fn hear(&self, ticket: &Ticket, signal: Signal, now: u64) {
        let took = if ticket.is_timed() { now.saturating_sub(ticket.started) } else { 0 };
        let slow = took >= self.front.slow;
        let counted = ticket.role == Role::Counted;
        if counted && self.word().generation() == ticket.generation {
            if signal == Signal::Success && !slow {
                let place = self.front.clock.place(now);
                if self.window.succeeded(place, &self.back.counts.past) {
                    self.judge(ticket.generation, now);
                }
            } else {
                self.count(ticket.generation, signal, slow, now);
            }
        } else {
            self.hear_cold(ticket, signal, slow, now);
        }
    }

    /// Of one of many that is not a plain success.
    #[inline(never)]
    fn count(&self, generation: u32, signal: Signal, slow: bool, now: u64) {
        let (place, past) = (self.front.clock.place(now), &self.back.counts.past);
        match signal {
            Signal::Ignored => {
                self.back.counts.ignored.fetch_add(1, Relaxed);
                return;
            }
            Signal::Success => {
                self.window.succeeded(place, past);
            }
            Signal::Throttled => self.window.failed(place, past),
            Signal::Failure => {
                self.window.failed(place, past);
                self.window.consecutive.fetch_add(1, AcqRel);
            }
        }
        if slow {
            self.window.was_slow(place, past);
        }
        self.judge(generation, now);
    }

    #[cold]
    #[inline(never)]
    fn hear_cold(&self, ticket: &Ticket, signal: Signal, slow: bool, now: u64) {
        if ticket.role == Role::Observed {
            return;
        }
        loop {
            let word = self.word();
            // Or a ticket of another circuit, which takes nobody's place.
            if word.generation() != ticket.generation || word.in_flight() == 0 {
                self.back.counts.late.fetch_add(1, Relaxed);
                return;
            }
            let next = match signal {
                Signal::Ignored => word.release(),
                Signal::Success if !slow => word.pass(),
                _ => word.fail(),
            };
            let heard = match next.verdict(self.back.policy.probes) {
                None => self.swap(word, next),
                Some(well) => self.decide(word, well, now),
            };
            if heard {
                return self.heard_of_probe(signal);
            }
        }
    }

    fn heard_of_probe(&self, signal: Signal) {
        let counts = &self.back.counts;
        match signal {
            Signal::Ignored => {
                counts.ignored.fetch_add(1, Relaxed);
                self.wake();
            }
            Signal::Success => _ = counts.past.ok.fetch_add(1, Relaxed),
            Signal::Failure | Signal::Throttled => _ = counts.past.failed.fetch_add(1, Relaxed),
        }
    }
}
