//! Every interleaving of a circuit's atomics:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-breaker --release --lib`

use loom::{
    sync::{Arc, atomic::AtomicUsize},
    thread,
};
use palisade_core::Backoff;

use super::*;
use crate::{Probes, Readiness, Signal, Trip};

const SECOND: Duration = Duration::from_secs(1);

#[allow(clippy::disallowed_methods, reason = "the machine is given its times")]
fn start() -> Instant {
    Instant::now()
}

fn policy(trip: Trip, probes: u32) -> Policy {
    Policy::new(trip)
        .with_open(Backoff::constant(5 * SECOND))
        .with_probes(Probes::new(probes).lease(10 * SECOND))
}

/// All interleavings with three switches of one thread to another at any places, which are known to show
/// most of what there is (M. Musuvathi, S. Qadeer, PLDI 2007). Loom alone would take hours.
fn model(f: impl Fn(Instant) + Send + Sync + 'static) {
    let now = start();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || f(now));
}

fn circuit(policy: Policy, now: Instant) -> Arc<Circuit> {
    Arc::new(Circuit::seeded(policy, now, 1))
}

fn half_open(policy: Policy, now: Instant) -> (Arc<Circuit>, Instant) {
    let circuit = circuit(policy, now);
    call(&circuit, Signal::Failure, now);
    (circuit, now + 5 * SECOND)
}

fn call(circuit: &Circuit, signal: Signal, now: Instant) -> bool {
    let ticket = circuit.admit(now);
    ticket.map(|ticket| circuit.record(ticket, signal, now)).is_ok()
}

/// Runs `f` beside, for `thread::JoinHandle::join`.
fn beside<T: 'static>(
    circuit: &Arc<Circuit>,
    f: impl FnOnce(&Circuit) -> T + 'static,
) -> thread::JoinHandle<T> {
    let circuit = Arc::clone(circuit);
    thread::spawn(move || f(&circuit))
}

/// Trap 9: from open to half-open and beyond.
#[test]
fn no_interleaving_lets_more_probes_through_than_there_may_be() {
    model(|now| {
        let (circuit, now) = half_open(policy(Trip::consecutive(1), 2), now);
        let admits = move |circuit: &Circuit| {
            usize::from(circuit.admit(now).is_ok()) + usize::from(circuit.admit(now).is_ok())
        };
        let other = beside(&circuit, admits);
        let passed = admits(&circuit) + other.join().unwrap();
        assert_eq!((passed, circuit.word().in_flight(), circuit.word().generation()), (2, 2, 2));
    });
}

#[test]
fn a_probe_that_comes_back_leaves_room_for_one() {
    model(|now| {
        let (circuit, now) = half_open(policy(Trip::consecutive(1), 1), now);
        let probe = circuit.admit(now).unwrap();
        let other = beside(&circuit, move |circuit| circuit.admit(now).is_ok());
        circuit.abandon(probe, now);
        let mine = circuit.admit(now).is_ok();
        assert_eq!(u8::from(mine) + u8::from(other.join().unwrap()), 1);
        assert_eq!(circuit.word().in_flight(), 1);
    });
}

#[test]
fn probes_that_come_back_at_once_give_one_verdict() {
    for (signals, state) in [
        ([Signal::Success, Signal::Success], State::Closed),
        ([Signal::Failure, Signal::Failure], State::Open),
    ] {
        model(move |now| {
            let (circuit, now) = half_open(policy(Trip::consecutive(1), 3), now);
            let [mine, yours] = [circuit.admit(now).unwrap(), circuit.admit(now).unwrap()];
            let other = beside(&circuit, move |circuit| circuit.record(yours, signals[0], now));
            circuit.record(mine, signals[1], now);
            other.join().unwrap();
            assert_eq!(circuit.state(now), state);
            assert_eq!((circuit.word().generation(), circuit.transitions(0).len()), (3, 3));
        });
    }
}

/// Trap 4, and why there is a stamp.
#[test]
fn a_probe_that_just_began_does_not_expire_in_the_place_of_another() {
    model(|now| {
        let (circuit, now) = half_open(policy(Trip::consecutive(1), 1), now);
        let old = circuit.admit(now).unwrap();
        let later = now + 10 * SECOND;
        let other = beside(&circuit, move |circuit| circuit.readiness(later));
        circuit.record(old, Signal::Ignored, later);
        let fresh = circuit.admit(later);
        let ready = other.join().unwrap();
        match fresh {
            Ok(fresh) if fresh.generation() == 2 => {
                assert!(matches!(ready, Readiness::Ready | Readiness::ProbesBusy(_)), "{ready:?}");
                assert_eq!(circuit.word().in_flight(), 1);
                circuit.record(fresh, Signal::Success, later);
                assert_eq!((circuit.state(later), circuit.stats(later).late), (State::Closed, 0));
            }
            // The lease was over before the probe was heard of.
            fresh => {
                assert!(fresh.is_err());
                assert_eq!(ready, Readiness::After(later + 5 * SECOND));
                assert_eq!(circuit.stats(later).late, 1);
            }
        }
    });
}

/// Trap 22: who sees that it is open sees until when.
#[test]
fn the_time_for_which_it_is_open_is_there_when_it_is() {
    model(|now| {
        let circuit = circuit(policy(Trip::consecutive(1), 1), now);
        let other = beside(&circuit, move |circuit| (circuit.state(now), circuit.admit(now)));
        call(&circuit, Signal::Failure, now);
        let (state, admitted) = other.join().unwrap();
        assert_ne!(state, State::HalfOpen, "its time was over as soon as it was open");
        match admitted {
            Ok(ticket) => assert!(!ticket.is_probe() && state == State::Closed),
            Err(refused) => assert_eq!(refused.retry_after(), Some(5 * SECOND)),
        }
    });
}

/// The last word on a rate: whoever comes second sees both.
#[test]
fn the_success_and_the_failure_that_open_it_together_do() {
    model(|now| {
        let circuit = circuit(policy(Trip::rate(0.5).min(2), 1), now);
        let [mine, yours] = [circuit.admit(now).unwrap(), circuit.admit(now).unwrap()];
        let other = beside(&circuit, move |circuit| circuit.record(yours, Signal::Success, now));
        circuit.record(mine, Signal::Failure, now);
        other.join().unwrap();
        assert_eq!(circuit.state(now), State::Open);
    });
}

#[test]
fn two_failures_that_open_it_together_open_it_once() {
    for trip in [Trip::rate(1.0).min(2), Trip::consecutive(2), Trip::consecutive(1)] {
        model(move |now| {
            let circuit = circuit(policy(trip, 1), now);
            let [mine, yours] = [circuit.admit(now).unwrap(), circuit.admit(now).unwrap()];
            let other =
                beside(&circuit, move |circuit| circuit.record(yours, Signal::Failure, now));
            circuit.record(mine, Signal::Failure, now);
            other.join().unwrap();
            let stats = circuit.stats(now);
            assert_eq!((stats.state, stats.opened), (State::Open, 1));
            assert_eq!(stats.total_failures + stats.late, 2);
        });
    }
}

#[test]
fn no_outcome_is_lost_when_a_bucket_is_used_anew() {
    model(|now| {
        let circuit = circuit(policy(Trip::rate(1.0), 1), now);
        call(&circuit, Signal::Success, now);
        let later = now + 10 * SECOND;
        let other = beside(&circuit, move |circuit| {
            call(circuit, Signal::Success, later);
            call(circuit, Signal::Failure, later)
        });
        call(&circuit, Signal::Success, later);
        assert!(other.join().unwrap());
        let stats = circuit.stats(later);
        assert_eq!((stats.calls, stats.failures), (3, 1));
        assert_eq!((stats.total_calls, stats.total_failures), (4, 1));
    });
}

#[test]
fn an_operator_and_a_probe_in_one_moment_leave_it_in_one_state() {
    for mode in [Mode::ForcedOpen, Mode::ForcedClosed, Mode::ObserveOnly] {
        model(move |now| {
            let (circuit, now) = half_open(policy(Trip::consecutive(1), 1), now);
            let probe = circuit.admit(now).unwrap();
            let other = beside(&circuit, move |circuit| circuit.set_mode(mode, now));
            circuit.record(probe, Signal::Success, now);
            other.join().unwrap();
            let stats = circuit.stats(now);
            assert_eq!(stats.mode, mode);
            circuit.set_mode(Mode::Automatic, now);
            // Heard of in time or late, and in the second case probed anew if it was forced open.
            let expected = match mode {
                Mode::ForcedOpen if stats.late == 1 => State::HalfOpen,
                _ => State::Closed,
            };
            assert_eq!(circuit.state(now), expected);
            let sequences = circuit.transitions(0).into_iter().map(|seen| seen.sequence);
            assert!(sequences.eq(1..=circuit.transitions(0).len() as u64));
        });
    }
}

/// Whoever is woken reads all that there was to be woken for.
#[test]
fn who_is_woken_sees_the_change() {
    model(|now| {
        let seen = Arc::new(AtomicUsize::new(0));
        let circuit = Circuit::seeded(policy(Trip::consecutive(1), 1), now, 1);
        let wake = {
            let seen = Arc::clone(&seen);
            move || _ = seen.fetch_add(1, AcqRel)
        };
        let circuit = Arc::new(circuit.with_wake(wake));
        let other = beside(&circuit, move |circuit| _ = call(circuit, Signal::Failure, now));
        let before = seen.load(Acquire);
        assert!(circuit.transitions(0).len() >= before);
        call(&circuit, Signal::Failure, now);
        other.join().unwrap();
        assert_eq!(seen.load(Acquire), circuit.transitions(0).len());
    });
}

#[test]
fn who_answers_late_does_not_unsay_that_another_probe_was_answered() {
    model(|now| {
        let (circuit, now) = half_open(policy(Trip::consecutive(1), 1), now);
        let mut old = circuit.admit(now).unwrap();
        let other = beside(&circuit, move |circuit| circuit.answered(&mut old, now));
        circuit.set_mode(Mode::ForcedOpen, now);
        circuit.set_mode(Mode::Automatic, now);
        let mut probe = circuit.admit(now).unwrap();
        circuit.answered(&mut probe, now);
        other.join().unwrap();
        assert_eq!(circuit.answered_in(circuit.word().generation()), 1);
    });
}

#[test]
fn an_answered_probe_that_ends_well_as_its_lease_does_has_passed() {
    model(|now| {
        let (circuit, now) = half_open(policy(Trip::consecutive(1), 1), now);
        let mut probe = circuit.admit(now).unwrap();
        circuit.answered(&mut probe, now);
        let later = now + 10 * SECOND;
        let other = beside(&circuit, move |circuit| circuit.record(probe, Signal::Success, later));
        let _ = circuit.readiness(later);
        other.join().unwrap();
        assert_eq!(circuit.state(later), State::Closed);
    });
}
