//! What other breakers get wrong, by the numbers of a survey of ten: traps 1 to 22, and defects D1 to D14
//! of the one next to ours. Those that are not here are the layers' business.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use palisade_core::Backoff;

use super::{
    tests::{MILLI, SECOND, call, calls, closed, half_open, open, policy},
    *,
};
use crate::{Cause, Probes, Readiness, Signal, Trip};

/// Traps 1 and 10, defect D3.
#[test]
fn a_late_result_moves_no_newer_state() {
    for late in [Signal::Success, Signal::Failure, Signal::Throttled, Signal::Ignored] {
        let (circuit, now) = closed(policy(Trip::consecutive(3)));
        let early: [_; 3] = std::array::from_fn(|_| circuit.admit(now).unwrap());
        calls(&circuit, Signal::Failure, 3, now);
        let [first, second, third] = early;
        // Open: neither closed nor open for longer.
        circuit.record(first, late, now + SECOND);
        assert_eq!(circuit.stats(now + SECOND).retry_after, Some(4 * SECOND));
        // Half-open, with the probe still out: no verdict.
        let later = now + 5 * SECOND;
        let probe = circuit.admit(later).unwrap();
        circuit.record(second, late, later);
        assert_eq!(circuit.state(later), State::HalfOpen);
        circuit.record(probe, Signal::Success, later);
        // Closed again, in a newer generation.
        circuit.record(third, late, later);
        let stats = circuit.stats(later);
        assert_eq!((stats.state, stats.late), (State::Closed, 3));
        assert_eq!((stats.calls, stats.consecutive, stats.total_calls), (0, 0, 4));
    }
}

/// Trap 2.
#[test]
fn a_late_release_gives_no_place_back() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)).with_probes(Probes::new(2)));
    let probes = [circuit.admit(now).unwrap(), circuit.admit(now).unwrap()];
    let later = now + 30 * SECOND;
    // Their leases are over, and the circuit opens and is half-open again.
    assert_eq!(circuit.readiness(later), Readiness::After(later + 5 * SECOND));
    let later = later + 5 * SECOND;
    let again = [circuit.admit(later).unwrap(), circuit.admit(later).unwrap()];
    assert!(circuit.admit(later).is_err());
    for probe in probes {
        circuit.record(probe, Signal::Ignored, later);
        assert!(circuit.admit(later).is_err(), "a place too many");
    }
    assert_eq!(circuit.stats(later).probes_in_flight, 2);
    for probe in again {
        circuit.record(probe, Signal::Success, later);
    }
    assert_eq!(circuit.state(later), State::Closed);
}

/// Trap 3.
#[test]
fn a_dropped_probe_gives_its_place_back() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    for _ in 0..1000 {
        let probe = circuit.admit(now).expect("its place is back");
        assert!(circuit.admit(now).is_err());
        circuit.abandon(probe, now + SECOND);
    }
    assert_eq!(circuit.state(now), State::HalfOpen);
}

/// Traps 3 and 4.
#[test]
fn a_probe_that_is_never_heard_of_ends_with_its_lease() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    let lost = circuit.admit(now).unwrap();
    let refused = circuit.admit(now + 29 * SECOND).unwrap_err();
    assert_eq!((refused.state(), refused.retry_after()), (State::HalfOpen, Some(SECOND)));
    let refused = circuit.admit(now + 30 * SECOND).unwrap_err();
    assert_eq!((refused.state(), refused.retry_after()), (State::Open, Some(5 * SECOND)));
    let causes = circuit.transitions(0).into_iter().map(|transition| transition.cause);
    assert!(causes.eq([Cause::Consecutive, Cause::OpenTimeOver, Cause::LeaseOver]));
    let later = now + 35 * SECOND;
    call(&circuit, Signal::Success, later);
    assert_eq!(circuit.state(later), State::Closed);
    circuit.record(lost, Signal::Failure, later);
    assert_eq!((circuit.state(later), circuit.stats(later).late), (State::Closed, 1));
}

/// Trap 4.
#[test]
fn who_comes_long_after_a_lease_was_over_finds_the_circuit_half_open() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    let _lost = circuit.admit(now).unwrap();
    assert!(circuit.admit(now + 35 * SECOND).unwrap().is_probe());
    assert_eq!(circuit.stats(now).opened, 2);
}

/// Trap 4.
#[test]
fn one_lost_probe_of_three_is_one_that_failed() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)).with_probes(Probes::new(3)));
    let lost = circuit.admit(now).unwrap();
    let later = now + 30 * SECOND;
    calls(&circuit, Signal::Success, 1, later);
    assert_eq!(circuit.state(later), State::HalfOpen);
    circuit.record(lost, Signal::Success, later);
    assert_eq!(circuit.stats(later).late, 1);
    assert_eq!(circuit.state(later), State::HalfOpen);
    call(&circuit, Signal::Success, later);
    assert_eq!(circuit.state(later), State::Closed);
}

/// Trap 5.
#[test]
fn an_ignored_probe_gives_its_place_back_and_no_verdict() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    calls(&circuit, Signal::Ignored, 100, now);
    assert_eq!((circuit.state(now), circuit.stats(now).ignored), (State::HalfOpen, 100));
    call(&circuit, Signal::Success, now);
    assert_eq!(circuit.state(now), State::Closed);
}

/// Trap 6, defect D4: what a timeout outside of the breaker makes of calls.
#[test]
fn calls_that_are_dropped_after_long_have_failed_and_others_say_nothing() {
    let slow = Trip::slow(2 * SECOND, 1.0).min(5);
    for (trip, patience) in [(Trip::consecutive(5), 30), (slow, 2), (Trip::rate(1.0).min(5), 30)] {
        let patience = patience * SECOND;
        let (circuit, mut now) = closed(policy(trip));
        for _ in 0..20 {
            let ticket = circuit.admit(now).unwrap();
            circuit.abandon(ticket, now + patience.checked_sub(MILLI).unwrap());
        }
        assert_eq!((circuit.state(now), circuit.stats(now).ignored), (State::Closed, 20));
        let tickets: [_; 5] = std::array::from_fn(|_| circuit.admit(now).unwrap());
        now += patience;
        for ticket in tickets {
            circuit.abandon(ticket, now);
        }
        assert_eq!(circuit.state(now), State::Open, "{trip:?}");
    }
}

/// Trap 6.
#[test]
fn a_dropped_call_of_which_nobody_knows_when_it_began_says_nothing() {
    let (circuit, now) = closed(policy(Trip::consecutive(1)));
    let ticket = circuit.admit_with(|| unreachable!("the time is not needed")).unwrap();
    assert!(!ticket.is_timed());
    circuit.abandon(ticket, now + 60 * SECOND);
    assert_eq!(circuit.state(now), State::Closed);
    let ticket = circuit.admit(now).unwrap();
    circuit.abandon(ticket, now + 60 * SECOND);
    assert_eq!(circuit.state(now + 60 * SECOND), State::Open);
}

/// Trap 6.
#[test]
fn a_dropped_probe_that_took_too_long_has_failed() {
    let trip = Trip::consecutive(1).or(Trip::slow(SECOND, 0.5));
    let (circuit, now) = half_open(policy(trip));
    let probe = circuit.admit(now).unwrap();
    circuit.abandon(probe, now + SECOND);
    assert_eq!(circuit.state(now + SECOND), State::Open);
}

/// Trap 7.
#[test]
fn a_clock_that_steps_back_loses_no_count_and_adds_none() {
    let trip = Trip::rate(0.5).min(100).window(60 * SECOND);
    let (circuit, begin) = closed(policy(trip));
    let mut now = begin + 100 * SECOND;
    for _ in 0..50 {
        call(&circuit, Signal::Success, now);
        now += SECOND / 10;
    }
    // To where the ring has the same places.
    now = now.checked_sub(60 * SECOND).unwrap();
    for at in 0..49 {
        call(&circuit, if at < 10 { Signal::Success } else { Signal::Failure }, now);
        now += SECOND / 10;
    }
    assert_eq!(circuit.stats(now).calls, 99);
    now += 60 * SECOND;
    assert_eq!(circuit.stats(now).total_calls, 99);
    call(&circuit, Signal::Success, begin);
    // And goes on: the window is full again, where it would hold but one call a step.
    now += 61 * SECOND;
    calls(&circuit, Signal::Success, 50, now);
    calls(&circuit, Signal::Failure, 49, now);
    assert_eq!((circuit.state(now), circuit.stats(now).calls), (State::Closed, 99));
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
}

/// Trap 7.
#[test]
fn a_clock_from_before_the_circuit_is_its_beginning() {
    let (circuit, now) = closed(policy(Trip::consecutive(1)));
    let before = now.checked_sub(SECOND).unwrap();
    call(&circuit, Signal::Failure, before);
    assert_eq!(circuit.admit(before).unwrap_err().retry_after(), Some(5 * SECOND));
    assert!(circuit.admit(now + 5 * SECOND).unwrap().is_probe());
}

/// Trap 8, defect D2: probes further apart than the window, and than a lease.
#[test]
fn probes_count_however_far_apart_they_are() {
    let trip = Trip::rate(0.5).min(1).window(SECOND);
    let (circuit, mut now) = half_open(policy(trip).with_probes(Probes::new(3).need(3)));
    for _ in 0..3 {
        assert_eq!(circuit.state(now), State::HalfOpen);
        call(&circuit, Signal::Success, now);
        now += 3600 * SECOND;
    }
    assert_eq!(circuit.state(now), State::Closed);
}

/// Trap 9.
#[test]
fn of_a_crowd_only_the_probes_pass() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)).with_probes(Probes::new(3)));
    let passed = thread::scope(|scope| {
        let crowd = (0..8)
            .map(|_| scope.spawn(|| (0..100).filter_map(|_| circuit.admit(now).ok()).count()))
            .collect::<Vec<_>>();
        crowd.into_iter().map(|one| one.join().unwrap()).sum::<usize>()
    });
    assert_eq!((passed, circuit.stats(now).refused), (3, 1 + 797));
}

/// Trap 11.
#[test]
fn a_refusal_is_no_failure() {
    let (circuit, now) = open(policy(Trip::rate(0.5).min(1)));
    assert!((0..1000).all(|_| circuit.admit(now).is_err()));
    let stats = circuit.stats(now);
    assert_eq!((stats.total_calls, stats.total_failures, stats.refused), (1, 1, 1001));
    assert!(circuit.admit(now + 5 * SECOND).is_ok());
}

/// Trap 12: what a guard of a layer does.
#[test]
fn a_panic_is_a_failure() {
    struct Guard<'a>(&'a Circuit, Option<Ticket>, Instant);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            let ticket = self.1.take().unwrap();
            if thread::panicking() {
                self.0.record(ticket, Signal::Failure, self.2);
            }
        }
    }
    let (circuit, now) = closed(policy(Trip::consecutive(1)));
    let called = catch_unwind(AssertUnwindSafe(|| {
        let _guard = Guard(&circuit, circuit.admit(now).ok(), now);
        std::panic::resume_unwind(Box::new("a bug of the service"));
    }));
    assert!(called.is_err());
    assert_eq!(circuit.state(now), State::Open);
}

/// Trap 13.
#[test]
fn no_outcome_of_many_threads_is_lost() {
    let (circuit, begin) = closed(policy(Trip::rate(1.0).min(1 << 24).window(SECOND)));
    let each = if cfg!(debug_assertions) { 20_000_u32 } else { 200_000 };
    thread::scope(|scope| {
        for thread in 0..4 {
            let circuit = &circuit;
            scope.spawn(move || {
                for at in 0..each {
                    let signal = if thread == 0 { Signal::Failure } else { Signal::Success };
                    // Over many turns of the ring.
                    call(circuit, signal, begin + at * MILLI);
                }
            });
        }
    });
    let stats = circuit.stats(begin);
    assert_eq!((stats.total_calls, stats.total_failures), (4 * u64::from(each), each.into()));
}

/// Trap 15, defect D1b.
#[test]
fn it_takes_the_minimum_and_no_full_window() {
    let (circuit, now) = closed(policy(Trip::rate(0.5).min(5).window(3600 * SECOND)));
    calls(&circuit, Signal::Failure, 4, now);
    assert_eq!(circuit.state(now), State::Closed);
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
}

/// Trap 16.
#[test]
fn a_burst_in_one_instant_counts_in_full() {
    let (circuit, now) = closed(policy(Trip::rate(0.5).min(2001)));
    calls(&circuit, Signal::Success, 1000, now);
    calls(&circuit, Signal::Failure, 1000, now);
    assert_eq!((circuit.stats(now).calls, circuit.state(now)), (2000, State::Closed));
    call(&circuit, Signal::Failure, now);
    assert_eq!(circuit.state(now), State::Open);
}

/// Trap 18.
#[test]
fn being_told_that_it_is_ready_reserves_nothing() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    assert!((0..1000).all(|_| circuit.readiness(now) == Readiness::Ready));
    assert_eq!(circuit.stats(now).probes_in_flight, 0);
    let probe = circuit.admit(now).unwrap();
    assert_eq!(circuit.readiness(now), Readiness::ProbesBusy(now + 30 * SECOND));
    circuit.abandon(probe, now);
    assert_eq!(circuit.readiness(now), Readiness::Ready);
}

/// Trap 20: 18 hours are 65,536 buckets of a second, 1.8 hours as many of 100 ms.
#[test]
fn what_idled_for_any_time_finds_nothing_of_old_that_looks_new() {
    let turns = [1_u64, 1 << 8, 1 << 12, 1 << 16, 1 << 20, 1 << 24, 1 << 28, (1 << 32) - 2];
    for window in [SECOND / 10, SECOND, 10 * SECOND] {
        for idle in turns {
            let (circuit, now) = closed(policy(Trip::rate(0.5).min(10).window(window)));
            calls(&circuit, Signal::Failure, 9, now);
            let Some(now) = window.checked_mul(u32::try_from(idle).unwrap()).map(|idle| now + idle)
            else {
                continue;
            };
            assert_eq!(circuit.stats(now).calls, 0, "{window:?} {idle}");
            call(&circuit, Signal::Failure, now);
            assert_eq!((circuit.state(now), circuit.stats(now).calls), (State::Closed, 1));
        }
    }
}

/// Defect D1.
#[test]
fn successes_of_long_ago_do_not_keep_it_closed() {
    let (circuit, now) = closed(policy(Trip::rate(0.5).min(5)));
    calls(&circuit, Signal::Success, 1000, now);
    let later = now + 10 * SECOND;
    calls(&circuit, Signal::Failure, 4, later);
    assert_eq!(circuit.state(later), State::Closed);
    call(&circuit, Signal::Failure, later);
    assert_eq!(circuit.state(later), State::Open);
}

/// Defect D3b.
#[test]
fn slow_probes_do_not_close_what_slow_calls_opened() {
    let (circuit, now) = closed(policy(Trip::slow(SECOND, 0.5).min(4)));
    let slow = |now: Instant| {
        let ticket = circuit.admit(now).unwrap();
        circuit.record(ticket, Signal::Success, now + SECOND);
    };
    (0..4).for_each(|_| slow(now));
    assert_eq!(circuit.transitions(0)[0].cause, Cause::Slow);
    slow(now + 6 * SECOND);
    assert_eq!(circuit.state(now + 7 * SECOND), State::Open);
    call(&circuit, Signal::Success, now + 12 * SECOND);
    assert_eq!(circuit.state(now + 12 * SECOND), State::Closed);
}

/// Defect D11: a gauge that is read has one value.
#[test]
fn after_a_cycle_it_is_in_one_state() {
    let (circuit, now) = half_open(policy(Trip::consecutive(1)));
    call(&circuit, Signal::Success, now);
    let stats = circuit.stats(now);
    assert_eq!((stats.state, stats.retry_after, stats.opened), (State::Closed, None, 1));
    assert_eq!((stats.consecutive, stats.probes_in_flight), (0, 0));
}

/// Defect D14: a circuit has no place for calls, and sums up ten buckets whatever is in them.
#[test]
fn a_circuit_is_as_large_after_a_million_calls() {
    assert!(size_of::<Circuit>() <= 768, "{}", size_of::<Circuit>());
    assert_eq!(size_of::<Ticket>(), 16);
    let (circuit, now) = closed(policy(Trip::rate(1.0)).with_open(Backoff::constant(SECOND)));
    calls(&circuit, Signal::Success, 1_000_000, now);
    assert_eq!(circuit.stats(now).calls, 1_000_000);
    assert!(circuit.transitions(0).is_empty());
}
