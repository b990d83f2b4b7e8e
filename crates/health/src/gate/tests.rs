use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, task};

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Time(u64),
    Enter,
    Leave(prop::sample::Index),
    Drain(u64),
    Resume,
    Close,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0..20_u64).prop_map(Event::Time),
        6 => Just(Event::Enter),
        5 => any::<prop::sample::Index>().prop_map(Event::Leave),
        2 => (0..60_u64).prop_map(Event::Drain),
        1 => Just(Event::Resume),
        1 => Just(Event::Close),
    ];
    proptest::collection::vec(event, 0..80)
}

/// Says how it must be from what was done, with nothing in one word.
#[derive(Default)]
struct Naive {
    /// From when on it refuses, of each drain since it was last taken back.
    drains: Vec<u64>,
    closed: bool,
}

impl Naive {
    fn phase(&self, in_flight: usize, now: u64) -> Phase {
        match self.drains.iter().min() {
            None => Phase::Serving,
            Some(&from) if from > now && !self.closed => Phase::Draining,
            Some(_) if in_flight > 0 && !self.closed => Phase::Refusing,
            Some(_) => Phase::Drained,
        }
    }
}

proptest! {
    #[test]
    fn lets_in_and_tells_as_a_list_of_exchanges_would(events in events()) {
        let (gate, mut naive, mut now) = (Gate::take(), Naive::default(), 0);
        let mut inside = Vec::new();
        for event in events {
            match event {
                Event::Time(passed) => now += passed,
                Event::Enter => {
                    let serves = matches!(naive.phase(1, now), Phase::Serving | Phase::Draining);
                    let entered = gate.enter(|| now);
                    prop_assert_eq!(entered.is_some(), serves);
                    inside.extend(entered);
                }
                Event::Leave(which) if !inside.is_empty() => {
                    drop(inside.swap_remove(which.index(inside.len())));
                }
                Event::Leave(_) => {}
                Event::Drain(delay) => {
                    gate.drain(now, now + delay);
                    naive.drains.push(now + delay);
                }
                Event::Resume => {
                    gate.resume();
                    naive = Naive::default();
                }
                Event::Close => {
                    let goes_on = gate.begun().is_some_and(|begun| gate.close(begun));
                    prop_assert_eq!(goes_on, !naive.drains.is_empty());
                    naive.closed |= goes_on;
                }
            }
            let expected = naive.phase(inside.len(), now);
            prop_assert_eq!(gate.phase(now), expected);
            prop_assert_eq!(gate.in_flight(), inside.len() as u64);
            prop_assert_eq!(gate.is_draining(), expected != Phase::Serving);
            let waits = naive.drains.iter().min().copied().filter(|_| expected == Phase::Draining);
            prop_assert_eq!(gate.refuses_from(), waits);
        }
        drop(inside);
        gate.orphan();
    }
}

#[test]
fn the_clock_is_not_asked_while_it_serves() {
    let gate = Gate::take();
    let exchange = gate.enter(|| unreachable!("it serves"));
    assert!(exchange.is_some());
    drop(exchange);
    gate.orphan();
}

#[test]
fn the_last_to_leave_wakes_and_no_other_does() {
    let gate = Gate::take();
    let [one, other] = [gate.enter(|| 0).unwrap(), gate.enter(|| 0).unwrap()];
    gate.drain(0, 0);
    assert_eq!(gate.phase(0), Phase::Refusing);
    let mut changed = task::spawn(gate.changed.notified());
    assert_pending!(changed.poll());
    drop(one);
    assert_pending!(changed.poll());
    drop(other);
    assert_ready!(changed.poll());
    drop(changed);
    gate.orphan();
}

#[test]
fn nobody_is_woken_while_it_serves() {
    let gate = Gate::take();
    let mut changed = task::spawn(gate.changed.notified());
    assert_pending!(changed.poll());
    drop(gate.enter(|| 0));
    assert_pending!(changed.poll());
    drop(changed);
    gate.orphan();
}

#[test]
fn who_comes_while_it_drains_wakes_nobody_before_it_refuses_nor_when_it_has_drained() {
    let gate = Gate::take();
    gate.drain(0, 9);
    let mut changed = task::spawn(gate.changed.notified());
    assert_pending!(changed.poll());
    drop(gate.enter(|| 8).unwrap());
    assert_pending!(changed.poll());
    drop(changed);
    assert_eq!(gate.phase(9), Phase::Drained);
    let mut changed = task::spawn(gate.changed.notified());
    assert_pending!(changed.poll());
    assert!(gate.enter(|| 9).is_none());
    assert_pending!(changed.poll());
    drop(changed);
    gate.orphan();
}

/// As one that is being refused on another thread at this moment.
#[test]
fn what_has_drained_stays_so_until_it_is_taken_back() {
    let gate = Gate::take();
    gate.drain(0, 0);
    assert_eq!(gate.phase(0), Phase::Drained);
    gate.word.fetch_add(ONE, Relaxed);
    assert_eq!((gate.phase(0), gate.left_behind(), gate.in_flight()), (Phase::Drained, 0, 1));
    gate.leave();
    gate.resume();
    let exchange = gate.enter(|| 0).unwrap();
    gate.drain(0, 0);
    assert_eq!((gate.phase(0), gate.left_behind()), (Phase::Refusing, 1));
    drop(exchange);
    gate.orphan();
}

#[test]
fn a_bound_of_a_drain_that_was_taken_back_does_not_end_the_next() {
    let gate = Gate::take();
    gate.drain(3, 9);
    let first = gate.begun().unwrap();
    assert_eq!(first.at, 3);
    gate.resume();
    assert_eq!((gate.begun(), gate.close(first)), (None, false));
    gate.drain(3, 9);
    assert!(!gate.close(first));
    assert_eq!(gate.phase(3), Phase::Draining);
    assert!(gate.close(gate.begun().unwrap()));
    assert_eq!(gate.phase(3), Phase::Drained);
    gate.orphan();
}

#[test]
fn a_used_gate_lets_in_again() {
    let gate = Gate::take();
    let exchange = gate.enter(|| 0).unwrap();
    gate.drain(0, 0);
    assert!(gate.close(gate.begun().unwrap()));
    gate.orphan();
    drop(exchange);
    // This one, or what another test has put there since.
    let next = Gate::take();
    assert_eq!((next.phase(u64::MAX), next.in_flight()), (Phase::Serving, 0));
    next.orphan();
}
