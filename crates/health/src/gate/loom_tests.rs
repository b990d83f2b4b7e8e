//! Every interleaving of the machine's atomics:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-health --release --lib`

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use loom::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::*;

/// Who is inside, counted by themselves, and how many were ever let in.
#[derive(Default)]
struct Inside {
    now: AtomicUsize,
    ever: AtomicUsize,
}

fn visit(gate: &'static Gate, inside: &Inside, now: u64) {
    if let Some(exchange) = gate.enter(|| now) {
        inside.ever.fetch_add(1, SeqCst);
        inside.now.fetch_add(1, SeqCst);
        inside.now.fetch_sub(1, SeqCst);
        drop(exchange);
    }
}

fn visitor(gate: &'static Gate, inside: &Arc<Inside>, now: u64) -> thread::JoinHandle<()> {
    let inside = Arc::clone(inside);
    thread::spawn(move || visit(gate, &inside, now))
}

/// With three switches of one thread to another at any places, which are known to show most of what there is
/// (M. Musuvathi, S. Qadeer, PLDI 2007). All would take minutes.
#[test]
fn when_it_has_drained_nobody_is_inside_or_comes_in() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let (gate, inside) = (Gate::take(), Arc::new(Inside::default()));
        let visitors = [visitor(gate, &inside, 5), visitor(gate, &inside, 5)];
        gate.drain(0, 5);
        if gate.phase(5) == Phase::Drained {
            // Of all who are ever let in, each has come in and gone.
            assert_eq!(inside.now.load(SeqCst), 0);
            let ever = inside.ever.load(SeqCst);
            for visitor in visitors {
                visitor.join().unwrap();
            }
            assert_eq!(inside.ever.load(SeqCst), ever, "somebody came in afterwards");
        } else {
            for visitor in visitors {
                visitor.join().unwrap();
            }
        }
        assert_eq!((gate.phase(5), gate.in_flight()), (Phase::Drained, 0));
        gate.orphan();
    });
}

/// What one does who waits: is there before it looks, and looks again when it is woken.
#[test]
fn whoever_waits_for_the_last_is_woken() {
    loom::model(|| {
        let gate = Gate::take();
        let exchange = gate.enter(|| 0).unwrap();
        let leaver = thread::spawn(move || drop(exchange));
        gate.drain(0, 0);
        // Refuses from here on, so that nothing is left to be told of but the last to leave.
        gate.phase(0);
        let mut changed = pin!(gate.changed.notified());
        changed.as_mut().enable();
        let drained = gate.phase(0) == Phase::Drained;
        leaver.join().unwrap();
        let woken = changed.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(());
        assert!(drained || woken);
        assert_eq!(gate.phase(0), Phase::Drained);
        gate.orphan();
    });
}

#[test]
fn who_is_refused_hides_no_end_from_those_who_wait() {
    loom::model(|| {
        let (gate, inside) = (Gate::take(), Arc::new(Inside::default()));
        gate.drain(0, 0);
        let late = visitor(gate, &inside, 0);
        let mut changed = pin!(gate.changed.notified());
        changed.as_mut().enable();
        let drained = gate.phase(0) == Phase::Drained;
        late.join().unwrap();
        let woken = changed.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(());
        assert!(drained || woken);
        gate.orphan();
    });
}

#[test]
fn what_has_drained_stays_so_while_others_are_refused() {
    loom::model(|| {
        let (gate, inside) = (Gate::take(), Arc::new(Inside::default()));
        let exchange = gate.enter(|| 0).unwrap();
        gate.drain(0, 0);
        let late = visitor(gate, &inside, 0);
        drop(exchange);
        if gate.phase(0) == Phase::Drained {
            assert_eq!((gate.phase(0), gate.left_behind()), (Phase::Drained, 0));
        }
        late.join().unwrap();
        assert_eq!((gate.phase(0), gate.left_behind()), (Phase::Drained, 0));
        gate.orphan();
    });
}

/// The last one leaves a drain that is taken back meanwhile, and must not end the next.
#[test]
fn who_leaves_one_drain_does_not_end_the_next() {
    loom::model(|| {
        let gate = Gate::take();
        let exchange = gate.enter(|| 0).unwrap();
        gate.drain(0, 0);
        gate.phase(0);
        let leaver = thread::spawn(move || drop(exchange));
        gate.resume();
        let held = gate.enter(|| 0).unwrap();
        gate.drain(0, 0);
        assert_eq!(gate.phase(0), Phase::Refusing);
        leaver.join().unwrap();
        assert_eq!((gate.phase(0), gate.left_behind()), (Phase::Refusing, 1));
        drop(held);
        assert_eq!(gate.phase(0), Phase::Drained);
        gate.orphan();
    });
}

#[test]
fn what_is_taken_back_leaves_nothing_behind() {
    loom::model(|| {
        let (gate, inside) = (Gate::take(), Arc::new(Inside::default()));
        gate.drain(0, 5);
        // Sees that it is time to refuse, while that is being taken back.
        let late = visitor(gate, &inside, 5);
        let begun = gate.begun().unwrap();
        let closer = thread::spawn(move || drop(gate.close(begun)));
        gate.resume();
        late.join().unwrap();
        closer.join().unwrap();
        assert_eq!(gate.phase(9), Phase::Serving);
        assert!(gate.enter(|| 9).is_some());
        assert_eq!(gate.in_flight(), 0);
        gate.drain(0, 20);
        assert_eq!(gate.phase(9), Phase::Draining, "the next one begins anew");
        gate.orphan();
    });
}

#[test]
fn what_was_done_inside_has_happened_before_it_has_drained() {
    loom::model(|| {
        let gate = Gate::take();
        let written = Arc::new(loom::cell::UnsafeCell::new(0));
        let exchange = gate.enter(|| 0).unwrap();
        let other = {
            let written = Arc::clone(&written);
            thread::spawn(move || {
                // Loom fails here if the two accesses can race.
                written.with_mut(|_| ());
                drop(exchange);
            })
        };
        gate.drain(0, 0);
        if gate.phase(0) == Phase::Drained {
            written.with(|_| ());
        }
        other.join().unwrap();
        gate.orphan();
    });
}

#[test]
fn gates_pass_to_the_next_owner_only_when_nothing_refers_to_them() {
    loom::model(|| {
        let gate = Gate::take();
        let exchange = gate.enter(|| 0).unwrap();
        gate.drain(0, 0);
        let leaver = thread::spawn(move || drop(exchange));
        let owner = thread::spawn(move || gate.orphan());
        let next = Gate::take();
        let reused = std::ptr::eq(next, gate);
        let held = next.enter(|| 9).expect("a new gate lets in");
        leaver.join().unwrap();
        owner.join().unwrap();
        assert_eq!((next.in_flight(), next.phase(9)), (1, Phase::Serving));
        next.orphan();
        drop(held);
        assert_eq!(unused::len(), if reused { 1 } else { 2 }, "a gate was lost");
    });
}
