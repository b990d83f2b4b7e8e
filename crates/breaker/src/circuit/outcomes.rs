//! What calls come to.

use std::{
    sync::atomic::Ordering::{AcqRel, Relaxed},
    time::Instant,
};

use super::{Circuit, clock};
use crate::{
    Signal, Ticket,
    ticket::{Role, UNTIMED},
};

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

    /// Learns that the answer to a call has begun, whose end is to decide.
    ///
    /// From here on the call no longer becomes slow, however long its answer is. And a probe whose lease
    /// ends before its answer does has passed: long streams are decided by how they began.
    #[cold]
    pub fn answered(&self, ticket: &mut Ticket, now: Instant) {
        let now = self.front.clock.nanos(now);
        if ticket.is_timed() && now.saturating_sub(ticket.started) >= self.front.slow {
            return;
        }
        ticket.started = UNTIMED;
        if ticket.role() == Role::Probe {
            ticket.set_role(Role::AnsweredProbe);
            self.count_answered(ticket.generation(), |answered| answered + 1);
        }
    }

    fn count_answered(&self, generation: u32, count: impl Fn(u32) -> u32) {
        let next = |seen: u64| {
            let answered = of_generation(seen, generation);
            Some(u64::from(generation) << 32 | u64::from(count(answered)))
        };
        // Of a generation that is over nobody asks.
        if self.word().generation() == generation {
            let _ = self.back.answered.fetch_update(Relaxed, Relaxed, next);
        }
    }

    /// How many probes of this generation were answered, and are not over.
    pub(super) fn answered_in(&self, generation: u32) -> u8 {
        let answered = of_generation(self.back.answered.load(Relaxed), generation);
        u8::try_from(answered).unwrap_or(u8::MAX)
    }

    #[inline]
    fn hear(&self, ticket: &Ticket, signal: Signal, now: u64) {
        let took = if ticket.is_timed() { now.saturating_sub(ticket.started) } else { 0 };
        let slow = took >= self.front.slow;
        let counted = ticket.role() == Role::Counted;
        if counted && self.word().generation() == ticket.generation() {
            if signal == Signal::Success && !slow {
                let place = self.front.clock.place(now);
                if self.window.succeeded(place, &self.back.counts.past) {
                    self.judge(ticket.generation(), now);
                }
            } else {
                self.count(ticket.generation(), signal, slow, now);
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
        if ticket.role() == Role::Observed {
            return;
        }
        if ticket.role() == Role::AnsweredProbe {
            self.count_answered(ticket.generation(), |answered| answered.saturating_sub(1));
        }
        loop {
            let word = self.word();
            // Or a ticket of another circuit, which takes nobody's place.
            if word.generation() != ticket.generation() || word.in_flight() == 0 {
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

#[allow(clippy::cast_possible_truncation, reason = "two halves of a word")]
fn of_generation(seen: u64, generation: u32) -> u32 {
    if (seen >> 32) as u32 == generation { seen as u32 } else { 0 }
}
