//! Every interleaving of a copy and its backup on two threads:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-retry --release --lib`

use std::{collections::VecDeque, task::Waker};

use loom::thread;

use super::*;

/// Two frames. Loom is told of each use by the cell, so that two at once are found.
struct Frames {
    left: VecDeque<&'static str>,
    used: loom::cell::UnsafeCell<()>,
    dropped: Arc<loom::sync::atomic::AtomicUsize>,
}

impl Frames {
    fn new() -> (Self, Arc<loom::sync::atomic::AtomicUsize>) {
        let dropped = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let used = loom::cell::UnsafeCell::new(());
        let left = ["a", "b"].into();
        (Self { left, used, dropped: Arc::clone(&dropped) }, dropped)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.used.with_mut(|_| ());
        self.dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.used.with_mut(|_| ());
        Poll::Ready(self.left.pop_front().map(|data| Ok(Frame::data(Bytes::from(data)))))
    }
}

fn frame(body: &mut ReplayBody<Frames>) -> Option<Bytes> {
    match Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(frame) => Some(frame?.unwrap().into_data().unwrap()),
        Poll::Pending => None,
    }
}

fn all(mut body: ReplayBody<Frames>) -> Vec<Bytes> {
    std::iter::from_fn(|| frame(&mut body)).collect()
}

#[test]
fn the_next_copy_is_there_when_the_one_before_is_gone_and_never_sooner() {
    loom::model(|| {
        let (frames, dropped) = Frames::new();
        let allowance = Allowance::new(1 << 20);
        let (mut first, mut backup) = ReplayBody::within(frames, 100, &allowance);
        let reader = thread::spawn(move || assert_eq!(frame(&mut first).unwrap(), "a"));
        let early = backup.next();
        assert!(!backup.is_lost());
        if let Some(second) = early {
            assert_eq!(all(second), ["a", "b"]);
        }
        reader.join().unwrap();
        assert_eq!(all(backup.next().unwrap()), ["a", "b"]);
        drop(backup);
        assert_eq!(allowance.in_use(), 0);
        assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
}

#[test]
fn when_the_backup_goes_while_the_copy_reads_nothing_stays_kept() {
    loom::model(|| {
        let (frames, _) = Frames::new();
        let allowance = Allowance::new(1 << 20);
        let (mut copy, backup) = ReplayBody::within(frames, 100, &allowance);
        let reader = thread::spawn(move || {
            frame(&mut copy);
            frame(&mut copy);
            copy
        });
        drop(backup);
        let copy = reader.join().unwrap();
        assert_eq!(allowance.in_use(), 0, "before the copy is dropped");
        drop(copy);
    });
}

#[test]
fn when_the_backup_goes_while_a_copy_repeats_it_still_repeats_all() {
    loom::model(|| {
        let (frames, _) = Frames::new();
        let allowance = Allowance::new(1 << 20);
        let (mut first, mut backup) = ReplayBody::within(frames, 100, &allowance);
        frame(&mut first);
        drop(first);
        let second = backup.next().unwrap();
        let reader = thread::spawn(move || assert_eq!(all(second), ["a", "b"]));
        drop(backup);
        reader.join().unwrap();
        assert_eq!(allowance.in_use(), 0);
    });
}

#[test]
fn both_ends_dropped_at_once_leave_nothing() {
    loom::model(|| {
        let (frames, dropped) = Frames::new();
        let allowance = Allowance::new(1 << 20);
        let (mut copy, backup) = ReplayBody::within(frames, 100, &allowance);
        frame(&mut copy);
        let other = thread::spawn(move || drop(copy));
        drop(backup);
        other.join().unwrap();
        assert_eq!(allowance.in_use(), 0);
        assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
}

/// The bound is passed on one thread while the other asks for a copy.
#[test]
fn a_copy_that_passes_the_bound_is_the_last_whenever_it_does() {
    loom::model(|| {
        let (frames, dropped) = Frames::new();
        let allowance = Allowance::new(1 << 20);
        let (first, mut backup) = ReplayBody::within(frames, 1, &allowance);
        let reader = thread::spawn(move || assert_eq!(all(first), ["a", "b"]));
        let early = backup.next();
        assert!(early.is_none(), "the first has not been dropped before it was over the bound");
        reader.join().unwrap();
        assert!(backup.is_lost());
        assert!(backup.next().is_none());
        assert_eq!(allowance.in_use(), 0);
        assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
    });
}
