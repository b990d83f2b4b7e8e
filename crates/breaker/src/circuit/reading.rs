//! What can be read of a circuit at any moment, without a lock and without traffic.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::Circuit;
use crate::{Mode, Policy, Readiness, State, Stats, sync::AtomicU64};

/// An open circuit that could have been probed for so long, in nanoseconds, is of something that nobody
/// calls any more.
const UNCALLED: u64 = 60_000_000_000;

impl Circuit {
    /// What a call would meet.
    ///
    /// An open circuit whose time is over is half-open, whether or not somebody has called since. A
    /// half-open one stays so until a call comes or an outcome: also when the leases of its probes are
    /// over.
    #[must_use]
    pub fn state(&self, now: Instant) -> State {
        match self.word().effective() {
            State::Open if self.until_probed(now).is_some_and(|left| left.is_zero()) => {
                State::HalfOpen
            }
            state => state,
        }
    }

    /// What an operator has laid over it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.word().mode()
    }

    /// By what it decides.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.back.policy
    }

    /// How long until it is probed, if it is open, and nobody forced it.
    fn until_probed(&self, now: Instant) -> Option<Duration> {
        let word = self.word();
        let left = || {
            let now = self.front.clock.nanos(now);
            Duration::from_nanos(self.front.open_until.load(Relaxed).saturating_sub(now))
        };
        let open = word.state() == State::Open && word.effective() == State::Open;
        (open && word.mode() != Mode::ForcedOpen).then(left)
    }

    /// Whether a call would be let through, for those who would rather wait. It reserves nothing: of
    /// several who are told [`Readiness::Ready`] some may be refused.
    ///
    /// Any answer but that may change before its time, by an operator, or by a probe that comes back:
    /// then [`wake`](Self::with_wake) is called.
    #[must_use]
    pub fn readiness(&self, now: Instant) -> Readiness {
        let clock = &self.front.clock;
        let now = clock.nanos(now);
        loop {
            let word = self.word();
            match (word.mode(), word.state()) {
                (Mode::ForcedOpen, _) => return Readiness::Forced,
                (Mode::Automatic, State::Open) => {
                    let until = self.front.open_until.load(Relaxed);
                    if now < until {
                        return Readiness::After(clock.instant(until));
                    }
                    return Readiness::Ready;
                }
                // Not left to the call that would be refused by it.
                (Mode::Automatic, State::HalfOpen) if self.is_lease_over(word, now) => {
                    self.expire(word, now);
                }
                (Mode::Automatic, State::HalfOpen) if !self.may_probe(word, now) => {
                    let until = self.front.lease_until.load(Relaxed);
                    return Readiness::ProbesBusy(clock.instant(until));
                }
                _ => return Readiness::Ready,
            }
        }
    }

    /// Whether nobody has called for so long that it is as good as new.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let (word, now) = (self.word(), self.front.clock.nanos(now));
        let since = |moment: &AtomicU64| now.saturating_sub(moment.load(Relaxed)) >= UNCALLED;
        word.mode() == Mode::Automatic
            && match word.state() {
                State::Closed => self.window.sums(self.front.clock.place(now)).calls == 0,
                State::Open => since(&self.front.open_until),
                State::HalfOpen => word.in_flight() == 0 && since(&self.front.lease_until),
            }
    }

    /// How it stands.
    #[must_use]
    pub fn stats(&self, now: Instant) -> Stats {
        let (word, counts) = (self.word(), &self.back.counts);
        let window = self.window.sums(self.front.clock.place(self.front.clock.nanos(now)));
        let kept = self.window.totals();
        let past_failures = counts.past.failed.load(Relaxed);
        Stats {
            state: self.state(now),
            mode: word.mode(),
            retry_after: self.until_probed(now).filter(|left| !left.is_zero()),
            calls: window.calls,
            failures: window.failed,
            slow: window.slow,
            consecutive: self.window.consecutive.load(Relaxed),
            probes_in_flight: word.in_flight().into(),
            total_calls: counts.past.ok.load(Relaxed) + past_failures + kept.calls,
            total_failures: past_failures + kept.failed,
            ignored: counts.ignored.load(Relaxed),
            late: counts.late.load(Relaxed),
            refused: counts.refused.load(Relaxed),
            observed: counts.observed.load(Relaxed),
            opened: counts.opened.load(Relaxed),
        }
    }
}
