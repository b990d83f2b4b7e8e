use std::{
    fmt,
    sync::atomic::Ordering::{AcqRel, Acquire, Relaxed},
    time::{Duration, Instant},
};

use palisade_core::Rng;

use crate::{
    Policy, Readiness, Refused, State, Ticket,
    state::Mode,
    sync::{AtomicU64, Mutex},
    ticket::{Role, UNTIMED},
};

use changes::Cold;
use clock::Clock;
use window::{Past, Window};
use word::Word;

mod changes;
mod clock;
mod outcomes;
mod reading;
mod window;
mod word;

/// The machine: a circuit breaker that is told the time.
///
/// Usable without tower: it knows no request, reads no clock and needs no runtime. A call is
/// [let through](Self::admit) or refused, and what became of it is [recorded](Self::record).
///
/// ```
/// use palisade_breaker::{Circuit, Signal, State, Trip};
/// use std::time::{Duration, Instant};
///
/// # let now = Instant::now();
/// let circuit = Circuit::new(Trip::consecutive(2), now);
/// for _ in 0..2 {
///     let ticket = circuit.admit(now).expect("it is closed");
///     circuit.record(ticket, Signal::Failure, now);
/// }
/// let refused = circuit.admit(now).unwrap_err();
/// assert_eq!(refused.state(), State::Open);
///
/// // It is probed when its time is over: two of three must succeed.
/// let later = now + refused.retry_after().unwrap();
/// for _ in 0..2 {
///     let probe = circuit.admit(later).expect("it is half-open");
///     circuit.record(probe, Signal::Success, later);
/// }
/// assert_eq!(circuit.state(later), State::Closed);
/// ```
///
/// # Which outcomes count
///
/// Each state is a *generation*, and a ticket belongs to that in which it was given. An outcome of an
/// earlier one is late: it is counted as such and decides nothing, so what was sent before the circuit
/// opened neither holds it open nor closes it. While half-open, outcomes are counted one by one and
/// without regard to the window, however long they take to come.
///
/// # What it costs
///
/// Closed, a call is one load, and its outcome a load and a `fetch_add`. A failure also sums up ten
/// buckets. A refusal is two loads and a count. Changes of state take a lock, and nothing else does.
///
/// # Memory
///
/// 768 bytes, and on the heap some of its last 32 [transitions](Self::transitions). It does not grow with
/// calls; a hundred thousand circuits are 77 MB. Part of it is padding, so that refusals write to other
/// cache lines than outcomes, and neither to those that every call reads.
///
/// # Clocks
///
/// Moments may come out of order, as they do from threads. A clock that steps back makes an open circuit
/// wait for it; what was counted stays counted.
pub struct Circuit {
    front: Front,
    window: Window,
    back: Back,
}

/// What each call reads, and hardly any writes.
#[repr(align(128))]
struct Front {
    word: AtomicU64,
    /// When an open circuit is to be probed, in nanoseconds since it was made. Written before the word.
    open_until: AtomicU64,
    /// When the lease of the last probe is over. Only goes forward, and is written before the word that
    /// has the probe.
    lease_until: AtomicU64,
    clock: Clock,
    /// In nanoseconds; no call takes as long if none is slow.
    slow: u64,
}

/// What is read or written when not all is well.
#[repr(align(128))]
struct Back {
    policy: Policy,
    counts: Counts,
    /// Probes that were answered and are not over: a generation, and their number.
    answered: AtomicU64,
    wake: Option<Box<dyn Fn() + Send + Sync>>,
    cold: Mutex<Cold>,
}

#[derive(Debug, Default)]
struct Counts {
    past: Past,
    ignored: AtomicU64,
    late: AtomicU64,
    refused: AtomicU64,
    observed: AtomicU64,
    opened: AtomicU64,
}

/// What a caller is told while all probes are out, whose verdict is near: RFC 9110 has whole seconds.
const PROBES_BUSY: u64 = 1_000_000_000;

impl Circuit {
    /// A closed circuit.
    #[must_use]
    pub fn new(policy: impl Into<Policy>, now: Instant) -> Self {
        Self::with_rng(policy.into(), now, Rng::random())
    }

    /// A closed circuit whose jitter is the same each time, for tests.
    #[must_use]
    pub fn seeded(policy: impl Into<Policy>, now: Instant, seed: u64) -> Self {
        Self::with_rng(policy.into(), now, Rng::seeded(seed))
    }

    fn with_rng(policy: Policy, now: Instant, rng: Rng) -> Self {
        let slow = policy.trip.slow.map_or(UNTIMED, |(threshold, _)| clock::nanos(threshold));
        Self {
            front: Front {
                word: AtomicU64::new(Word::CLOSED.bits()),
                open_until: AtomicU64::new(0),
                lease_until: AtomicU64::new(0),
                clock: Clock::new(now, policy.trip.window_or_default()),
                slow,
            },
            window: Window::new(),
            back: Back {
                policy,
                counts: Counts::default(),
                answered: AtomicU64::new(0),
                wake: None,
                cold: Mutex::new(Cold::new(rng)),
            },
        }
    }

    /// Calls this after each change that somebody may wait for: a [transition](Self::transitions), or a
    /// probe that gave its place back.
    ///
    /// No lock is held, and it is told nothing: two threads may call it in either order. What has changed
    /// is to be read from the circuit. Meant to wake tasks that do so.
    #[must_use]
    pub fn with_wake(mut self, wake: impl Fn() + Send + Sync + 'static) -> Self {
        self.back.wake = Some(Box::new(wake));
        self
    }

    /// Lets a call through, or refuses it. Its ticket knows when it began.
    ///
    /// # Errors
    ///
    /// When the circuit is open, or half-open and all its probes are out.
    #[inline]
    pub fn admit(&self, now: Instant) -> Result<Ticket, Refused> {
        let now = self.front.clock.nanos(now);
        match self.pass(now) {
            Some(ticket) => Ok(ticket),
            None => self.admit_cold(now),
        }
    }

    /// The same, reading the clock only if the time is needed: when the circuit is not closed, and when
    /// it trips on [slow](crate::Trip::slow) calls. A ticket that was given without does not know when
    /// its call began.
    ///
    /// # Errors
    ///
    /// When the circuit is open, or half-open and all its probes are out.
    #[inline]
    pub fn admit_with(&self, now: impl FnOnce() -> Instant) -> Result<Ticket, Refused> {
        let untimed = (self.front.slow == UNTIMED).then(|| self.pass(UNTIMED)).flatten();
        untimed.map_or_else(|| self.admit(now()), Ok)
    }

    /// Whether it is closed, or as good as that: one load, which may be all there is to ask.
    #[inline]
    pub(crate) fn passes(&self) -> bool {
        self.word().passes()
    }

    /// Refuses a call that was found to be refused before it was there, whatever has changed since.
    #[cold]
    pub(crate) fn refuse_anyway(&self, now: Instant) -> Refused {
        self.back.counts.refused.fetch_add(1, Relaxed);
        let retry_after = match self.readiness(now) {
            Readiness::Forced => None,
            // It may be ready by now; who comes back at once is not turned away.
            Readiness::Ready => Some(Duration::ZERO),
            Readiness::After(until) => Some(until.saturating_duration_since(now)),
            Readiness::ProbesBusy(until) => {
                let left = until.saturating_duration_since(now);
                Some(left.min(Duration::from_nanos(PROBES_BUSY)))
            }
        };
        Refused { state: self.state(now), retry_after }
    }

    #[inline]
    fn word(&self) -> Word {
        Word::from_bits(self.front.word.load(Acquire))
    }

    fn swap(&self, seen: Word, next: Word) -> bool {
        self.front.word.compare_exchange(seen.bits(), next.bits(), AcqRel, Relaxed).is_ok()
    }

    #[inline]
    fn pass(&self, started: u64) -> Option<Ticket> {
        let word = self.word();
        let generation = word.generation();
        word.passes().then_some(Ticket::new(started, generation, Role::Counted))
    }

    #[cold]
    #[inline(never)]
    fn admit_cold(&self, now: u64) -> Result<Ticket, Refused> {
        loop {
            let word = self.word();
            if word.mode() == Mode::ForcedOpen {
                return self.refuse(word, None, now);
            }
            match word.state() {
                State::Closed => {
                    let generation = word.generation();
                    return Ok(Ticket::new(now, generation, Role::Counted));
                }
                State::Open => {
                    let left = self.front.open_until.load(Relaxed).saturating_sub(now);
                    if left > 0 {
                        return self.refuse(word, Some(left), now);
                    }
                    if let Some(word) = self.half_open(word, now) {
                        return Ok(probe(word, now));
                    }
                }
                State::HalfOpen if self.is_lease_over(word, now) => self.expire(word, now),
                State::HalfOpen if word.has_room(self.back.policy.probes) => {
                    self.lease(now);
                    if self.swap(word, word.issue()) {
                        return Ok(probe(word, now));
                    }
                }
                State::HalfOpen => {
                    let left = self.front.lease_until.load(Relaxed).saturating_sub(now);
                    return self.refuse(word, Some(left.min(PROBES_BUSY)), now);
                }
            }
        }
    }

    /// A probe that begins now has its lease. To be called before it is in the word.
    fn lease(&self, now: u64) {
        let lease = clock::nanos(self.back.policy.probes.lease);
        self.front.lease_until.fetch_max(now.saturating_add(lease), Relaxed);
    }

    /// Whether nothing was heard of probes for so long that nothing will be.
    fn is_lease_over(&self, word: Word, now: u64) -> bool {
        word.in_flight() > 0 && now >= self.front.lease_until.load(Relaxed)
    }

    fn refuse(&self, word: Word, retry_after: Option<u64>, now: u64) -> Result<Ticket, Refused> {
        if word.mode() == Mode::ObserveOnly {
            self.back.counts.observed.fetch_add(1, Relaxed);
            let generation = word.generation();
            return Ok(Ticket::new(now, generation, Role::Observed));
        }
        self.back.counts.refused.fetch_add(1, Relaxed);
        let retry_after = retry_after.map(Duration::from_nanos);
        Err(Refused { state: word.effective(), retry_after })
    }

    fn wake(&self) {
        if let Some(wake) = &self.back.wake {
            wake();
        }
    }
}

fn probe(word: Word, now: u64) -> Ticket {
    Ticket::new(now, word.generation(), Role::Probe)
}

impl fmt::Debug for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        f.debug_struct("Circuit")
            .field("state", &word.state())
            .field("mode", &word.mode())
            .field("policy", &self.back.policy)
            .field("counts", &self.back.counts)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, palisade_loom))]
mod loom_tests;
#[cfg(all(test, not(palisade_loom)))]
mod model;
#[cfg(all(test, not(palisade_loom)))]
mod model_tests;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
#[cfg(all(test, not(palisade_loom)))]
mod traps;
