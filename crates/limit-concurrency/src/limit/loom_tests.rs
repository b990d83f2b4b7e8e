//! Every interleaving of the machine's atomics:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-limit-concurrency --release --lib`

use std::sync::Arc;

use loom::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use super::*;

/// What is held at once, counted by the holders themselves.
#[derive(Default)]
struct Held {
    now: AtomicUsize,
    refused: AtomicUsize,
}

fn acquire_and_release(limit: &Limit, held: &Held, max: usize) {
    match limit.try_acquire() {
        Some(permit) => {
            assert!(held.now.fetch_add(1, SeqCst) < max, "more than {max} admitted");
            held.now.fetch_sub(1, SeqCst);
            drop(permit);
        }
        None => {
            held.refused.fetch_add(1, SeqCst);
        }
    }
}

fn adds_up(limit: &Limit, held: &Held, calls: u64) {
    assert_eq!(limit.in_flight(), 0, "a permit was lost");
    let refused = held.refused.load(SeqCst) as u64;
    assert_eq!((limit.admitted(), limit.rejected()), (calls - refused, refused));
}

#[test]
fn no_interleaving_admits_too_many_or_loses_a_permit() {
    loom::model(|| {
        let (limit, held) = (Limit::new(1), Arc::new(Held::default()));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (limit, held) = (limit.clone(), Arc::clone(&held));
                thread::spawn(move || acquire_and_release(&limit, &held, 1))
            })
            .collect();
        acquire_and_release(&limit, &held, 1);
        others.into_iter().for_each(|other| other.join().unwrap());
        adds_up(&limit, &held, 3);
    });
}

#[test]
fn nobody_is_refused_while_there_is_room_for_all() {
    loom::model(|| {
        let (limit, held) = (Limit::new(2), Arc::new(Held::default()));
        let other = {
            let (limit, held) = (limit.clone(), Arc::clone(&held));
            thread::spawn(move || acquire_and_release(&limit, &held, 2))
        };
        acquire_and_release(&limit, &held, 2);
        other.join().unwrap();
        assert_eq!(limit.rejected(), 0);
        adds_up(&limit, &held, 2);
    });
}

#[test]
fn a_permit_given_back_is_there_for_whoever_learns_of_it() {
    loom::model(|| {
        let limit = Limit::new(1);
        let permit = limit.try_acquire().unwrap();
        let written = Arc::new(loom::cell::UnsafeCell::new(0));
        let other = {
            let (limit, written) = (limit.clone(), Arc::clone(&written));
            thread::spawn(move || {
                // What was done under the permit has happened before the next holder's turn: loom
                // fails here if the two accesses can race.
                if let Some(_permit) = limit.try_acquire() {
                    written.with(|_| ());
                }
            })
        };
        written.with_mut(|_| ());
        drop(permit);
        other.join().unwrap();
    });
}

#[test]
fn lowering_and_raising_while_in_flight_never_admits_beyond_the_higher() {
    loom::model(|| {
        let (limit, held) = (Limit::new(1), Arc::new(Held::default()));
        let other = {
            let (limit, held) = (limit.clone(), Arc::clone(&held));
            thread::spawn(move || acquire_and_release(&limit, &held, 2))
        };
        let setter = {
            let limit = limit.clone();
            thread::spawn(move || {
                limit.set_max(0);
                limit.set_max(2);
            })
        };
        acquire_and_release(&limit, &held, 2);
        other.join().unwrap();
        setter.join().unwrap();
        adds_up(&limit, &held, 2);
        assert!(limit.try_acquire().is_some(), "raising admits at once");
    });
}

#[test]
fn counters_pass_to_the_next_limit_only_when_nothing_refers_to_them() {
    loom::model(|| {
        let limit = Limit::new(1);
        let first = limit.counters;
        let permit = limit.try_acquire().unwrap();
        let releaser = thread::spawn(move || drop(permit));
        let handles = [limit.clone(), limit];
        let [one, other] = handles.map(|handle| thread::spawn(move || drop(handle)));
        // Made while the old one goes: on its counters or on new ones, but never on both its own
        // and somebody else's.
        let next = Limit::new(1);
        let reused_by_next = std::ptr::eq(next.counters, first);
        let held = next.try_acquire().expect("a new limit has room");
        releaser.join().unwrap();
        one.join().unwrap();
        other.join().unwrap();
        assert_eq!((next.in_flight(), next.admitted(), next.rejected()), (1, 1, 0));
        let last = Limit::new(1);
        let reused_by_last = std::ptr::eq(last.counters, first);
        assert_eq!((last.in_flight(), last.admitted()), (0, 0));
        drop((held, next));
        assert!(last.try_acquire().is_some());
        drop(last);
        let made = 3 - usize::from(reused_by_next) - usize::from(reused_by_last);
        assert_eq!(Counters::unused(), made, "counters were lost");
    });
}

#[test]
fn what_a_limit_counted_last_is_not_seen_by_the_next() {
    loom::model(|| {
        let limit = Limit::new(1);
        let permit = limit.try_acquire().unwrap();
        let other = thread::spawn(move || {
            limit.reject();
            drop(limit);
        });
        drop(permit);
        let next = Limit::new(1);
        let held = next.try_acquire().unwrap();
        assert_eq!((next.admitted(), next.rejected()), (1, 0));
        other.join().unwrap();
        let last = Limit::new(1);
        assert_eq!((last.admitted(), last.rejected()), (0, 0));
        assert_eq!((next.admitted(), next.rejected()), (1, 0));
        drop(held);
    });
}
