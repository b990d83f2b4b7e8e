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
                    gate.drain(now + delay);
                    naive.drains.push(now + delay);
                }
                Event::Resume => {
                    gate.resume();
                    naive = Naive::default();
                }
                Event::Close => {
                    gate.close();
                    naive.closed |= !naive.drains.is_empty();
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
    gate.drain(0);
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
fn a_used_gate_lets_in_again() {
    let gate = Gate::take();
    let exchange = gate.enter(|| 0).unwrap();
    gate.drain(0);
    gate.close();
    gate.orphan();
    drop(exchange);
    // This one, or what another test has put there since.
    let next = Gate::take();
    assert_eq!((next.phase(u64::MAX), next.in_flight()), (Phase::Serving, 0));
    next.orphan();
}
