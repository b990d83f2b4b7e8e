//! Every interleaving of the machine's atomics:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-limit-concurrency --release --test loom`
#![cfg(palisade_loom)]
#![allow(missing_docs, reason = "a test")]

use std::sync::Arc;

use loom::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};
use palisade_limit_concurrency::Limit;

/// What is held at once, counted by the holders themselves.
#[derive(Default)]
struct Held {
    now: AtomicUsize,
    refused: AtomicUsize,
}

fn acquire_and_release(limit: &Arc<Limit>, held: &Held, max: usize) {
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
        let (limit, held) = (Arc::new(Limit::new(1)), Arc::new(Held::default()));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (limit, held) = (Arc::clone(&limit), Arc::clone(&held));
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
        let (limit, held) = (Arc::new(Limit::new(2)), Arc::new(Held::default()));
        let other = {
            let (limit, held) = (Arc::clone(&limit), Arc::clone(&held));
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
        let limit = Arc::new(Limit::new(1));
        let permit = limit.try_acquire().unwrap();
        let written = Arc::new(loom::cell::UnsafeCell::new(0));
        let other = {
            let (limit, written) = (Arc::clone(&limit), Arc::clone(&written));
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
        let (limit, held) = (Arc::new(Limit::new(1)), Arc::new(Held::default()));
        let other = {
            let (limit, held) = (Arc::clone(&limit), Arc::clone(&held));
            thread::spawn(move || acquire_and_release(&limit, &held, 2))
        };
        let setter = {
            let limit = Arc::clone(&limit);
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
