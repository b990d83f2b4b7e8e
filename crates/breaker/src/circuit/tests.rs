use std::sync::{Arc, Weak, atomic::AtomicUsize};

use palisade_core::{Backoff, Jitter};

use super::*;
use crate::{Cause, Probes, Readiness, Signal, Transition, Trip};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MILLI: Duration = Duration::from_millis(1);

#[allow(clippy::disallowed_methods, reason = "the machine is given its times")]
pub(super) fn start() -> Instant {
    // Far enough for what is before it.
    Instant::now() + 1000 * SECOND
}

/// Open for five seconds each time, and then probed by one call.
pub(super) fn policy(trip: Trip) -> Policy {
    Policy::new(trip).with_open(Backoff::constant(5 * SECOND)).with_probes(Probes::new(1))
}

pub(super) fn closed(policy: Policy) -> (Circuit, Instant) {
    let now = start();
    (Circuit::seeded(policy, now, 1), now)
}

/// Of policies that open after one failure. One call was refused.
pub(super) fn open(policy: Policy) -> (Circuit, Instant) {
    let (circuit, now) = closed(policy);
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.admit(now).expect_err("it is open").state(), State::Open);
    (circuit, now)
}

pub(super) fn half_open(policy: Policy) -> (Circuit, Instant) {
    let (circuit, now) = open(policy);
    let now = now + circuit.stats(now).retry_after.expect("it is open");
    assert_eq!(circuit.state(now), State::HalfOpen);
    (circuit, now)
}

pub(super) fn call(circuit: &Circuit, signal: Signal, now: Instant) {
    let ticket = circuit.admit(now).expect("it is let through");
    circuit.record(ticket, signal, now);
}

pub(super) fn calls(circuit: &Circuit, signal: Signal, calls: usize, now: Instant) {
    (0..calls).for_each(|_| call(circuit, signal, now));
}

#[test]
fn the_default_opens_at_five_in_a_row_or_at_half_of_twenty() {
    let (circuit, now) = closed(Policy::default());
    calls(&circuit, Signal::Failure, 4, now);
    call(&circuit, Signal::Success, now);
    calls(&circuit, Signal::Failure, 4, now);
    assert_eq!(circuit.state(now), State::Closed);
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.transitions(0)[0].cause, Cause::Consecutive);

    let (circuit, now) = closed(Policy::default());
    for _ in 0..9 {
        call(&circuit, Signal::Failure, now);
        call(&circuit, Signal::Success, now);
    }
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.state(now), State::Closed);
    call(&circuit, Signal::Success, now);
    assert_eq!(circuit.transitions(0)[0].cause, Cause::Rate);
}

#[test]
fn the_success_that_completes_the_minimum_opens_it() {
    for apart in [Duration::ZERO, 900 * MILLI] {
        let (circuit, mut now) = closed(policy(Trip::rate(0.5).min(10)));
        calls(&circuit, Signal::Failure, 5, now);
        for _ in 0..5 {
            assert_eq!(circuit.state(now), State::Closed);
            now += apart;
            call(&circuit, Signal::Success, now);
        }
        assert_eq!(circuit.state(now), State::Open);
    }
}

#[test]
fn failures_weigh_more_when_successes_leave_the_window() {
    let (circuit, now) = closed(policy(Trip::rate(0.5).min(4)));
    calls(&circuit, Signal::Success, 10, now);
    calls(&circuit, Signal::Failure, 4, now + 5 * SECOND);
    assert_eq!(circuit.state(now + 5 * SECOND), State::Closed);
    call(&circuit, Signal::Success, now + 11 * SECOND);
    assert_eq!(circuit.state(now + 11 * SECOND), State::Open);
}

#[test]
fn throttled_calls_fail_in_the_rate_and_not_in_a_row() {
    let (circuit, now) = closed(policy(Trip::rate(1.0).min(30).or(Trip::consecutive(3))));
    calls(&circuit, Signal::Failure, 2, now);
    calls(&circuit, Signal::Throttled, 27, now);
    assert_eq!((circuit.state(now), circuit.stats(now).consecutive), (State::Closed, 2));
    call(&circuit, Signal::Throttled, now);
    assert_eq!(circuit.transitions(0)[0].cause, Cause::Rate);

    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    call(&circuit, Signal::Throttled, now);
    assert_eq!(circuit.state(now), State::Open);
}

#[test]
fn a_slow_success_ends_a_row_of_failures() {
    let (circuit, now) = closed(policy(Trip::consecutive(2).or(Trip::slow(SECOND, 1.0))));
    call(&circuit, Signal::Failure, now);
    let ticket = circuit.admit_with(|| now).unwrap();
    circuit.record(ticket, Signal::Success, now + SECOND);
    call(&circuit, Signal::Failure, now + SECOND);
    let stats = circuit.stats(now + SECOND);
    assert_eq!((stats.state, stats.consecutive, stats.slow), (State::Closed, 1, 1));
    assert!((stats.slow_rate() - 1.0 / 3.0).abs() < 1e-9);
    assert!((stats.failure_rate() - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn the_verdict_is_there_as_soon_as_it_is_sure() {
    for (signals, verdict) in [
        ("++", State::Closed),
        ("+-+", State::Closed),
        ("-++", State::Closed),
        ("--", State::Open),
        ("+--", State::Open),
        ("+-", State::HalfOpen),
        ("+", State::HalfOpen),
    ] {
        let (circuit, now) = half_open(policy(Trip::consecutive(1)).with_probes(Probes::new(3)));
        for (at, signal) in signals.chars().enumerate() {
            assert_eq!(circuit.state(now), State::HalfOpen, "{signals} {at}");
            call(&circuit, if signal == '+' { Signal::Success } else { Signal::Failure }, now);
        }
        assert_eq!(circuit.state(now), verdict, "{signals}");
    }
    let strict = Probes::new(3).need(2).allowed(0);
    let (circuit, now) = half_open(policy(Trip::consecutive(1)).with_probes(strict));
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
}

/// The lengths of the openings, each after the last's time and a failed probe.
fn lengths(circuit: &Circuit, now: &mut Instant, openings: usize) -> Vec<Duration> {
    let open = |_| {
        call(circuit, Signal::Failure, *now);
        let length = circuit.stats(*now).retry_after.expect("it is open");
        *now += length;
        length
    };
    (0..openings).map(open).collect()
}

#[test]
fn it_is_open_for_longer_each_time_and_not_so_after_health() {
    let open = Backoff::new(SECOND, 60 * SECOND).with_jitter(Jitter::None);
    let (circuit, mut now) = closed(policy(Trip::consecutive(1)).with_open(open));
    assert_eq!(lengths(&circuit, &mut now, 4), [1, 2, 4, 8].map(Duration::from_secs));
    // One success does not begin anew; each half minute takes one back.
    call(&circuit, Signal::Success, now);
    assert_eq!(lengths(&circuit, &mut now, 1), [16 * SECOND]);
    call(&circuit, Signal::Success, now);
    now += 59 * SECOND;
    assert_eq!(lengths(&circuit, &mut now, 1), [16 * SECOND]);
    call(&circuit, Signal::Success, now);
    now += 60 * SECOND;
    assert_eq!(lengths(&circuit, &mut now, 3), [8, 16, 32].map(Duration::from_secs));
    assert_eq!(lengths(&circuit, &mut now, 2), [60 * SECOND; 2]);
    call(&circuit, Signal::Success, now);
    now += 3600 * SECOND;
    assert_eq!(lengths(&circuit, &mut now, 1), [SECOND]);
    circuit.reset(now);
    assert_eq!(lengths(&circuit, &mut now, 1), [SECOND]);
}

#[test]
fn the_time_for_which_it_is_open_is_jittered() {
    let length = |seed| {
        let now = start();
        let circuit = Circuit::seeded(Trip::consecutive(1), now, seed);
        call(&circuit, Signal::Failure, now);
        circuit.stats(now).retry_after.unwrap()
    };
    let lengths: Vec<_> = (0..50).map(length).collect();
    assert!(lengths.iter().all(|length| (5 * SECOND..=7500 * MILLI).contains(length)));
    assert!(*lengths.iter().max().unwrap() > *lengths.iter().min().unwrap() + SECOND);
    assert_eq!(length(7), length(7));
    // Full jitter would open it for next to no time.
    let full = Policy::default().with_open(Backoff::new(4 * SECOND, 60 * SECOND));
    assert_eq!(full.open().jitter(), Jitter::Equal);
}

#[test]
fn forced_open_refuses_until_it_is_taken_away() {
    let (circuit, now) = closed(policy(Trip::consecutive(2)));
    let in_flight = circuit.admit(now).unwrap();
    circuit.set_mode(Mode::ForcedOpen, now);
    let later = now + 3600 * SECOND;
    let refused = circuit.admit(later).unwrap_err();
    assert_eq!((refused.state(), refused.retry_after()), (State::Open, None));
    assert_eq!((circuit.state(later), circuit.mode()), (State::Open, Mode::ForcedOpen));
    assert_eq!(circuit.readiness(later), Readiness::Forced);
    assert_eq!(circuit.stats(later).retry_after, None);
    circuit.record(in_flight, Signal::Failure, later);
    circuit.set_mode(Mode::Automatic, later);
    assert_eq!((circuit.state(later), circuit.stats(later).consecutive), (State::Closed, 1));
}

#[test]
fn forced_open_while_half_open_it_probes_anew_afterwards() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    let probe = circuit.admit(now).unwrap();
    circuit.set_mode(Mode::ForcedOpen, now);
    circuit.record(probe, Signal::Success, now);
    assert_eq!((circuit.state(now), circuit.stats(now).late), (State::Open, 1));
    circuit.set_mode(Mode::Automatic, now);
    assert_eq!(circuit.state(now), State::HalfOpen);
    assert!(circuit.admit(now).unwrap().is_probe() && circuit.admit(now).is_err());
}

#[test]
fn forced_closed_passes_and_counts_and_is_judged_afterwards() {
    let (circuit, now) = open(policy(Trip::rate(0.5).min(1)));
    circuit.set_mode(Mode::ForcedClosed, now);
    assert_eq!((circuit.state(now), circuit.stats(now).calls), (State::Closed, 0));
    calls(&circuit, Signal::Failure, 100, now);
    assert_eq!((circuit.state(now), circuit.stats(now).failures), (State::Closed, 100));
    circuit.set_mode(Mode::Automatic, now);
    assert_eq!(circuit.state(now), State::Closed);
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
}

#[test]
fn observed_only_it_does_all_but_refuse() {
    let (circuit, now) = closed(policy(Trip::consecutive(2)));
    circuit.set_mode(Mode::ObserveOnly, now);
    calls(&circuit, Signal::Failure, 2, now);
    assert_eq!(circuit.state(now), State::Open);
    assert_eq!(circuit.readiness(now), Readiness::Ready);
    calls(&circuit, Signal::Success, 10, now);
    assert_eq!((circuit.stats(now).observed, circuit.stats(now).refused), (10, 0));
    let later = now + 5 * SECOND;
    let probe = circuit.admit(later).unwrap();
    assert!(probe.is_probe());
    call(&circuit, Signal::Failure, later);
    assert_eq!((circuit.state(later), circuit.stats(later).observed), (State::HalfOpen, 11));
    circuit.record(probe, Signal::Success, later);
    assert_eq!((circuit.state(later), circuit.mode()), (State::Closed, Mode::ObserveOnly));
}

#[test]
fn reset_begins_anew() {
    for mode in [Mode::Automatic, Mode::ForcedOpen, Mode::ForcedClosed, Mode::ObserveOnly] {
        let (circuit, now) = closed(policy(Trip::rate(0.5).min(4)));
        let in_flight = circuit.admit(now).unwrap();
        calls(&circuit, Signal::Failure, 3, now);
        circuit.set_mode(mode, now);
        circuit.reset(now);
        circuit.record(in_flight, Signal::Failure, now);
        let stats = circuit.stats(now);
        assert_eq!((stats.state, stats.mode), (State::Closed, Mode::Automatic));
        assert_eq!((stats.calls, stats.consecutive, stats.late), (0, 0, 1));
        assert_eq!((stats.total_calls, stats.total_failures), (3, 3));
    }
}

#[test]
fn transitions_are_told_in_order_and_without_gaps() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    call(&circuit, Signal::Failure, now);
    circuit.set_mode(Mode::ForcedClosed, now);
    circuit.set_mode(Mode::ForcedClosed, now);
    circuit.set_mode(Mode::ObserveOnly, now);
    let seen = circuit.transitions(0);
    let tell = |transition: &Transition| (transition.from, transition.to, transition.cause);
    assert_eq!(
        seen.iter().map(tell).collect::<Vec<_>>(),
        [
            (State::Closed, State::Open, Cause::Consecutive),
            (State::Open, State::HalfOpen, Cause::OpenTimeOver),
            (State::HalfOpen, State::Open, Cause::ProbesFailed),
            (State::Open, State::Closed, Cause::Operator),
            (State::Closed, State::Closed, Cause::Operator),
        ]
    );
    assert!(seen.iter().map(|transition| transition.sequence).eq(1..=5));
    assert_eq!((seen[1].at, seen[4].mode), (now, Mode::ObserveOnly));
    assert_eq!(circuit.transitions(3), seen[3..]);
    assert_eq!(circuit.transitions(5), []);
}

#[test]
fn who_was_away_for_long_sees_what_was_missed() {
    let (circuit, now) = closed(policy(Trip::consecutive(1)));
    (0..100).for_each(|_| circuit.reset(now));
    let seen = circuit.transitions(1);
    assert!(seen.iter().map(|transition| transition.sequence).eq(69..=100));
}

#[test]
fn it_wakes_after_each_change_and_without_a_lock() {
    let woken = Arc::new(AtomicUsize::new(0));
    let now = start();
    let shared: Arc<Circuit> = Arc::new_cyclic(|circuit: &Weak<Circuit>| {
        let (woken, circuit) = (Arc::clone(&woken), Weak::clone(circuit));
        let wake = move || {
            // Would wait for itself if a lock were held.
            let seen = circuit.upgrade().map_or(0, |circuit| circuit.transitions(0).len());
            assert!(seen > 0);
            woken.fetch_add(1, Relaxed);
        };
        Circuit::new(policy(Trip::consecutive(1)), now).with_wake(wake)
    });
    let woken = || woken.load(Relaxed);
    calls(&shared, Signal::Success, 10, now);
    assert_eq!(woken(), 0);
    call(&shared, Signal::Failure, now);
    assert_eq!(woken(), 1);
    let later = now + 5 * SECOND;
    let probe = shared.admit(later).unwrap();
    assert_eq!(woken(), 2);
    shared.abandon(probe, later);
    assert_eq!(woken(), 3, "a place is free");
    call(&shared, Signal::Success, later);
    assert_eq!(woken(), 4);
    shared.set_mode(Mode::ForcedOpen, later);
    shared.set_mode(Mode::ForcedOpen, later);
    assert_eq!(woken(), 5);
    shared.reset(later);
    assert_eq!(woken(), 6);
}

#[test]
fn an_open_circuit_says_until_when() {
    let (circuit, now) = open(policy(Trip::consecutive(1)));
    assert_eq!(circuit.readiness(now), Readiness::After(now + 5 * SECOND));
    assert_eq!(circuit.readiness(now + 5 * SECOND), Readiness::Ready);
    let stats = circuit.stats(now + 2 * SECOND);
    assert_eq!((stats.state, stats.retry_after), (State::Open, Some(3 * SECOND)));
    let stats = circuit.stats(now + 6 * SECOND);
    assert_eq!((stats.state, stats.retry_after), (State::HalfOpen, None));
    assert_eq!(stats.opened, 1);
}

#[test]
fn a_refusal_says_why_in_a_line() {
    let (circuit, now) = open(policy(Trip::consecutive(1)));
    let line = |now| circuit.admit(now).unwrap_err().to_string();
    assert_eq!(line(now), "the circuit is open");
    let probe = circuit.admit(now + 5 * SECOND).unwrap();
    assert_eq!(line(now + 5 * SECOND), "the circuit is half-open, and all its probes are out");
    circuit.set_mode(Mode::ForcedOpen, now);
    assert_eq!(line(now), "the circuit is held open by an operator");
    circuit.abandon(probe, now);
    assert!(format!("{circuit:?}").contains("mode: ForcedOpen"));
}

#[test]
fn a_ticket_of_another_circuit_does_no_harm() {
    let (other, later) = half_open(policy(Trip::consecutive(1)).with_probes(Probes::new(2)));
    let probes = [other.admit(later).unwrap(), other.admit(later).unwrap()];
    let (circuit, now) = closed(policy(Trip::consecutive(1)));
    circuit.reset(now);
    circuit.reset(now);
    for probe in probes {
        circuit.record(probe, Signal::Ignored, now);
    }
    assert_eq!((circuit.state(now), circuit.stats(now).late), (State::Closed, 2));
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
}
