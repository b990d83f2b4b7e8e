//! What the tests hold circuits against: one that remembers every call, and looks at all of them after
//! each. Time is in milliseconds.

use crate::{Cause, Mode, Signal, State};

#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) consecutive: Option<u32>,
    /// In percent, of so many.
    pub(super) rate: Option<(u64, u64)>,
    pub(super) slow: Option<(u64, u64)>,
    pub(super) threshold: u64,
    pub(super) window: u64,
    pub(super) open: (u64, u64),
    pub(super) probes: usize,
    pub(super) need: usize,
    pub(super) allowed: usize,
    pub(super) lease: u64,
    pub(super) decay: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Beneath {
    Closed,
    Open { until: u64 },
    HalfOpen { passed: usize, failed: usize, out: usize, lease_from: u64, lease_until: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pass {
    Counted { era: u32, started: u64 },
    Probe { era: u32, started: u64 },
    Observed,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    bucket: u64,
    failed: bool,
    slow: bool,
}

#[derive(Debug)]
pub(super) struct Model {
    setting: Setting,
    pub(super) mode: Mode,
    pub(super) beneath: Beneath,
    pub(super) era: u32,
    outcomes: Vec<Outcome>,
    pub(super) consecutive: u32,
    attempt: u32,
    closed_since: u64,
    pub(super) log: Vec<(State, State, Mode, Cause)>,
    pub(super) ignored: u64,
    pub(super) late: u64,
    pub(super) refused: u64,
    pub(super) observed: u64,
    pub(super) opened: u64,
    pub(super) calls: u64,
    pub(super) failures: u64,
}

const FRESH: Beneath =
    Beneath::HalfOpen { passed: 0, failed: 0, out: 0, lease_from: 0, lease_until: 0 };

impl Model {
    pub(super) fn new(setting: Setting) -> Self {
        Self {
            setting,
            mode: Mode::Automatic,
            beneath: Beneath::Closed,
            era: 0,
            outcomes: Vec::new(),
            consecutive: 0,
            attempt: 0,
            closed_since: 0,
            log: Vec::new(),
            ignored: 0,
            late: 0,
            refused: 0,
            observed: 0,
            opened: 0,
            calls: 0,
            failures: 0,
        }
    }

    fn effective(&self) -> State {
        match (self.mode, self.beneath) {
            (Mode::ForcedOpen, _) => State::Open,
            (Mode::ForcedClosed, _) | (_, Beneath::Closed) => State::Closed,
            (_, Beneath::Open { .. }) => State::Open,
            (_, Beneath::HalfOpen { .. }) => State::HalfOpen,
        }
    }

    pub(super) fn state(&self, now: u64) -> State {
        match (self.effective(), self.beneath) {
            (State::Open, Beneath::Open { until })
                if self.mode != Mode::ForcedOpen && now >= until =>
            {
                State::HalfOpen
            }
            (state, _) => state,
        }
    }

    /// Calls, failures and slow ones.
    pub(super) fn window(&self, now: u64) -> [u64; 3] {
        let bucket = now / (self.setting.window / 10);
        let within = || self.outcomes.iter().filter(|outcome| outcome.bucket + 10 > bucket);
        let count = |count: usize| u64::try_from(count).expect("it fits");
        [
            count(within().count()),
            count(within().filter(|outcome| outcome.failed).count()),
            count(within().filter(|outcome| outcome.slow).count()),
        ]
    }

    fn change(&mut self, next: Beneath, mode: Mode, cause: Cause) {
        let from = self.effective();
        (self.beneath, self.mode) = (next, mode);
        self.era += 1;
        self.log.push((from, self.effective(), mode, cause));
    }

    fn open(&mut self, at: u64, cause: Cause) {
        let (base, max) = self.setting.open;
        let until = at + (base << self.attempt.min(32)).min(max);
        self.attempt += 1;
        self.opened += 1;
        self.change(Beneath::Open { until }, self.mode, cause);
    }

    fn close(&mut self, now: u64, mode: Mode, cause: Cause) {
        self.outcomes.clear();
        self.consecutive = 0;
        self.closed_since = now;
        self.change(Beneath::Closed, mode, cause);
    }

    /// Whose lease is over has failed.
    pub(super) fn settle(&mut self, now: u64) {
        let Beneath::HalfOpen { passed, failed, out, lease_from, lease_until } = self.beneath
        else {
            return;
        };
        if out == 0 || now < lease_until {
            return;
        }
        let failed = failed + out;
        self.calls += out as u64;
        self.failures += out as u64;
        if failed > self.setting.allowed {
            self.open(lease_until, Cause::LeaseOver);
        } else {
            self.era += 1;
            self.beneath = Beneath::HalfOpen { passed, failed, out: 0, lease_from, lease_until };
        }
    }

    /// A refusal says how long to wait.
    pub(super) fn admit(&mut self, now: u64) -> Result<Pass, Option<u64>> {
        if self.mode == Mode::ForcedOpen {
            return self.refuse(None);
        }
        self.settle(now);
        if let Beneath::Open { until } = self.beneath {
            if now < until {
                return self.refuse(Some(until - now));
            }
            self.change(FRESH, self.mode, Cause::OpenTimeOver);
        }
        let (era, started) = (self.era, now);
        match &mut self.beneath {
            Beneath::HalfOpen { passed, failed, out, lease_from, lease_until } => {
                let outlived = *out > 0 && now >= *lease_from + self.setting.lease;
                if *passed + *failed + *out == self.setting.probes || outlived {
                    let left = *lease_until - now;
                    return self.refuse(Some(left.min(1000)));
                }
                if *out == 0 {
                    *lease_from = now;
                }
                *out += 1;
                *lease_until = now + self.setting.lease;
                Ok(Pass::Probe { era, started })
            }
            _ => Ok(Pass::Counted { era, started }),
        }
    }

    fn refuse(&mut self, retry_after: Option<u64>) -> Result<Pass, Option<u64>> {
        if self.mode == Mode::ObserveOnly {
            self.observed += 1;
            return Ok(Pass::Observed);
        }
        self.refused += 1;
        Err(retry_after)
    }

    pub(super) fn abandon(&mut self, pass: Pass, now: u64) {
        let (Pass::Counted { started, .. } | Pass::Probe { started, .. }) = pass else { return };
        let patience =
            if self.setting.slow.is_some() { self.setting.threshold } else { self.setting.lease };
        let failed = now - started >= patience;
        self.record(pass, if failed { Signal::Failure } else { Signal::Ignored }, now);
    }

    pub(super) fn record(&mut self, pass: Pass, signal: Signal, now: u64) {
        let (Pass::Counted { era, started } | Pass::Probe { era, started }) = pass else { return };
        if era != self.era {
            self.late += 1;
            return;
        }
        if signal == Signal::Ignored {
            self.ignored += 1;
            if let Beneath::HalfOpen { out, .. } = &mut self.beneath {
                *out -= 1;
            }
            return;
        }
        let slow = self.setting.slow.is_some() && now - started >= self.setting.threshold;
        let failed = signal != Signal::Success;
        self.calls += 1;
        self.failures += u64::from(failed);
        match &mut self.beneath {
            Beneath::HalfOpen { passed, failed: failures, out, .. } => {
                *out -= 1;
                *passed += usize::from(!failed && !slow);
                *failures += usize::from(failed || slow);
                let (passed, failures) = (*passed, *failures);
                if passed >= self.setting.need {
                    self.close(now, self.mode, Cause::ProbesPassed);
                } else if failures > self.setting.allowed {
                    self.open(now, Cause::ProbesFailed);
                }
            }
            _ => self.count(failed, slow, signal, now),
        }
    }

    fn count(&mut self, failed: bool, slow: bool, signal: Signal, now: u64) {
        let bucket = now / (self.setting.window / 10);
        self.outcomes.push(Outcome { bucket, failed, slow });
        match signal {
            Signal::Success => self.consecutive = 0,
            Signal::Failure => self.consecutive += 1,
            _ => {}
        }
        let [calls, failures, slow] = self.window(now);
        let reached = |share: Option<(u64, u64)>, part| {
            share.is_some_and(|(percent, min)| calls >= min && 100 * part >= percent * calls)
        };
        let cause = if self.setting.consecutive.is_some_and(|most| self.consecutive >= most) {
            Cause::Consecutive
        } else if reached(self.setting.rate, failures) {
            Cause::Rate
        } else if reached(self.setting.slow, slow) {
            Cause::Slow
        } else {
            return;
        };
        if matches!(self.mode, Mode::Automatic | Mode::ObserveOnly) {
            let healthy = (now - self.closed_since) / self.setting.decay;
            self.attempt = self.attempt.saturating_sub(u32::try_from(healthy).expect("it fits"));
            self.open(now, cause);
        }
    }

    pub(super) fn set_mode(&mut self, mode: Mode, now: u64) {
        match (mode, self.beneath) {
            _ if mode == self.mode => {}
            (Mode::ForcedClosed, Beneath::Open { .. } | Beneath::HalfOpen { .. }) => {
                self.close(now, mode, Cause::Operator);
            }
            (Mode::ForcedOpen, Beneath::HalfOpen { .. }) => {
                self.change(Beneath::Open { until: now }, mode, Cause::Operator);
            }
            _ => {
                self.change(self.beneath, mode, Cause::Operator);
                self.era -= 1;
            }
        }
    }

    pub(super) fn reset(&mut self, now: u64) {
        self.attempt = 0;
        self.close(now, Mode::Automatic, Cause::Operator);
    }
}
