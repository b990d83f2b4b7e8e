//! Copies of a body, one case at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Wake, Waker},
};

use http_body_util::channel::Channel;

use super::{
    kept::{COPIED, FREE_PIECES, PIECE},
    script::{Hint, Script, Seen, Step, rest, script, see},
    *,
};
use Step::{Data, Panic, Trailers};

#[test]
fn an_upload_is_resumed_and_not_begun_again() {
    let original = script([Data(3), Data(4), Data(5)]);
    let ledger = original.ledger.clone();
    let (mut first, mut backup) = ReplayBody::new(original, 100);
    see(&mut first);
    see(&mut first);
    drop(first);
    let mut second = backup.next().unwrap();
    assert_eq!((see(&mut second), see(&mut second)), (Seen::Frame(Data(3)), Seen::Frame(Data(4))));
    assert_eq!(ledger.polls(), 2);
    assert_eq!(rest(&mut second), [Seen::Frame(Data(5)), Seen::End]);
}

#[test]
fn dropped_after_any_poll_the_next_copy_is_whole() {
    let frames = [Data(3), Step::Pending, Data(0), Data(2000), Trailers];
    for polls in 0..8 {
        let allowance = Allowance::new(1 << 20);
        let (mut first, mut backup) = ReplayBody::within(script(frames), 1 << 16, &allowance);
        for _ in 0..polls {
            see(&mut first);
        }
        drop(first);
        let mut second = backup.next().unwrap();
        let seen = rest(&mut second);
        assert_eq!(seen.len(), 5, "after {polls} polls: {seen:?}");
        drop(second);
        drop(backup);
        assert_eq!(allowance.in_use(), 0);
    }
}

#[test]
fn a_body_of_just_the_bound_is_kept_and_one_byte_more_is_not() {
    for (last, kept) in [(4, true), (5, false)] {
        let (mut copy, mut backup) = ReplayBody::new(script([Data(6), Data(last)]), 10);
        assert_eq!(rest(&mut copy).len(), 3, "the copy yields all of it");
        drop(copy);
        assert_eq!((backup.is_lost(), backup.next().is_some()), (!kept, kept));
    }
}

#[test]
fn a_body_that_says_it_is_too_long_is_not_kept_from_the_start() {
    let original = script([Data(2000), Data(2000)]).that_says(Hint::Exact, true);
    let ledger = original.ledger.clone();
    let (mut copy, backup) = ReplayBody::new(original, 3999);
    assert!(backup.is_lost());
    see(&mut copy);
    assert_eq!(ledger.bytes(), 0);
    drop(copy);
    assert_eq!(ledger.bodies(), 0, "the original is not held for nothing");
}

#[test]
fn trailers_count_as_what_they_are() {
    let length = "grpc-status0".len();
    for (max, kept) in [(3 + length, true), (2 + length, false)] {
        let (mut copy, backup) = ReplayBody::new(script([Data(3), Trailers]), max);
        rest(&mut copy);
        assert_eq!(backup.is_lost(), !kept);
    }
}

#[test]
fn a_flood_of_empty_frames_is_bounded() {
    let allowance = Allowance::new(1 << 20);
    let max = 10 * PIECE;
    let most = FREE_PIECES + 10;
    let (mut copy, backup) = ReplayBody::within(script([Data(0); 1000]), max, &allowance);
    for _ in 0..most {
        see(&mut copy);
    }
    assert!(!backup.is_lost());
    assert_eq!(allowance.in_use(), most * PIECE);
    see(&mut copy);
    assert!(backup.is_lost());
    assert_eq!(allowance.in_use(), 0);
    assert_eq!(rest(&mut copy).len(), 1000 - most - 1 + 1);
}

#[test]
fn a_few_bytes_do_not_keep_the_buffer_they_were_cut_out_of() {
    for (length, held) in [(COPIED, 0), (COPIED + 1, COPIED + 1)] {
        let original = script([Data(length)]);
        let ledger = original.ledger.clone();
        let (mut copy, _backup) = ReplayBody::new(original, 1 << 16);
        see(&mut copy);
        assert_eq!(ledger.bytes(), held);
    }
}

#[test]
fn a_body_that_panics_is_gone_and_says_so() {
    let allowance = Allowance::new(1 << 20);
    let original = script([Data(3), Panic]);
    let ledger = original.ledger.clone();
    let (mut copy, mut backup) = ReplayBody::within(original, 100, &allowance);
    see(&mut copy);
    assert!(catch_unwind(AssertUnwindSafe(|| see(&mut copy))).is_err());
    assert_eq!(ledger.bodies(), 0);
    assert!(!copy.is_end_stream(), "it is no end that a transport may take for success");
    assert_eq!((see(&mut copy), see(&mut copy)), (Seen::Error, Seen::End));
    drop(copy);
    assert!(backup.is_lost() && backup.next().is_none());
    assert_eq!(allowance.in_use(), 0);
}

#[test]
fn a_body_that_panics_when_it_is_dropped_leaves_nothing_reserved() {
    struct Bomb(Script);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "scripted");
        }
    }
    impl Body for Bomb {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
    }
    let allowance = Allowance::new(1 << 20);
    let explodes = |f: &mut dyn FnMut()| assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
    let new = |steps: &[Step]| {
        let original = Bomb(script(steps.iter().copied()));
        let (mut copy, backup) = ReplayBody::within(original, 1 << 16, &allowance);
        see(&mut copy);
        assert_ne!(allowance.in_use(), 0);
        (copy, backup)
    };
    // At its end, when it fails, with the backup, with the copy, and with both by an unwinding thread.
    let (mut copy, backup) = new(&[Data(2000)]);
    explodes(&mut || assert_eq!(see(&mut copy), Seen::Pending, "it explodes"));
    drop((copy, backup));
    let (mut copy, backup) = new(&[Data(2000), Step::Fail]);
    explodes(&mut || assert_eq!(see(&mut copy), Seen::Pending, "it explodes"));
    drop((copy, backup));
    let (copy, backup) = new(&[Data(2000)]);
    drop(copy);
    let mut backup = Some(backup);
    explodes(&mut || backup = None);
    let (copy, backup) = new(&[Data(2000)]);
    drop(backup);
    let mut copy = Some(copy);
    explodes(&mut || copy = None);
    let mut both = Some(new(&[Data(2000)]));
    explodes(&mut || {
        let _both = both.take();
        panic!("scripted");
    });
    assert_eq!(allowance.in_use(), 0);
}

/// How often it was woken.
struct Woken(std::sync::atomic::AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn who_reads_on_is_woken_and_not_who_read_before() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(4);
    let (mut first, mut backup) = ReplayBody::new(body, 100);
    let woken = [(); 2].map(|()| Arc::new(Woken(0.into())));
    let poll = |body: &mut ReplayBody<_>, who: usize| {
        let waker = Waker::from(Arc::clone(&woken[who]));
        Pin::new(body).poll_frame(&mut Context::from_waker(&waker)).map(Option::unwrap)
    };
    assert!(poll(&mut first, 0).is_pending());
    drop(first);
    let mut second = backup.next().unwrap();
    assert!(poll(&mut second, 1).is_pending());
    assert!(sender.try_send(Frame::data(Bytes::from("soup"))).is_ok());
    let wakes = |who: usize| woken[who].0.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((wakes(0), wakes(1)), (0, 1));
    assert!(matches!(poll(&mut second, 1), Poll::Ready(Ok(frame)) if frame.is_data()));
}

#[test]
fn copies_and_backups_go_where_the_body_may_go() {
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    fn is_unpin<T: Unpin>() {}
    type Unsync = http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>;
    is_send::<ReplayBody<Unsync>>();
    is_send::<Backup<Unsync>>();
    is_sync::<Backup<Unsync>>();
    is_sync::<ReplayBody<http_body_util::Full<Bytes>>>();
    is_unpin::<ReplayBody<std::marker::PhantomPinned>>();
    is_unpin::<Backup<std::marker::PhantomPinned>>();
}
