//! What other bodies of this kind got wrong.

use std::{
    marker::PhantomPinned,
    sync::{OnceLock, mpsc},
    time::Duration,
};

use super::{
    script::{Hint, Ledger, Seen, Step, content, rest, script, see},
    *,
};
use Step::{Data, Fail, Pending, Trailers};

const LARGE: usize = 1500;

fn within(
    steps: impl IntoIterator<Item = Step>,
    allowance: &Arc<Allowance>,
) -> (ReplayBody<script::Script>, Backup<script::Script>, Ledger) {
    let original = script(steps);
    let ledger = original.ledger.clone();
    let (copy, backup) = ReplayBody::within(original, 1 << 16, allowance);
    (copy, backup, ledger)
}

/// A server that answers early over HTTP/2 leaves the transport with the body, which goes on reading it.
#[test]
fn an_early_answer_makes_no_second_reader_and_nobody_panics() {
    let (mut first, mut backup) = ReplayBody::new(script([Data(3), Data(4)]), 100);
    assert_eq!(see(&mut first), Seen::Frame(Data(3)));
    assert!(backup.next().is_none());
    assert!(!backup.is_lost(), "there will be one, but not yet");
    assert_eq!(see(&mut first), Seen::Frame(Data(4)));
    drop(first);
    let mut second = backup.next().unwrap();
    assert!(backup.next().is_none());
    assert_eq!(rest(&mut second), [Seen::Frame(Data(3)), Seen::Frame(Data(4)), Seen::End]);
}

#[test]
fn what_is_kept_is_freed_with_the_backup_also_while_the_upload_stalls() {
    let allowance = Allowance::new(1 << 20);
    let (mut copy, backup, ledger) = within([Data(LARGE), Data(LARGE), Pending], &allowance);
    for _ in 0..3 {
        see(&mut copy);
    }
    assert_eq!(ledger.bytes(), 2 * LARGE);
    assert!(allowance.in_use() > 2 * LARGE);
    drop(backup);
    assert_eq!((ledger.bytes(), allowance.in_use()), (0, 0));
    assert_eq!(rest(&mut copy), [Seen::End]);
}

#[test]
fn once_there_is_no_backup_nothing_is_kept() {
    let allowance = Allowance::new(1 << 20);
    let (mut copy, backup, ledger) = within([Data(LARGE), Data(LARGE)], &allowance);
    drop(backup);
    assert_eq!(see(&mut copy), Seen::Frame(Data(LARGE)));
    assert_eq!((ledger.bytes(), allowance.in_use()), (0, 0));
    drop(copy);
    assert_eq!(ledger.bodies(), 0);
}

/// As when the last attempt is the one that succeeds: its body may still be on its way.
#[test]
fn a_copy_that_repeats_without_a_backup_frees_each_frame_as_it_passes() {
    let allowance = Allowance::new(1 << 20);
    let (mut first, mut backup, ledger) =
        within([Data(LARGE), Data(LARGE), Data(LARGE), Data(7)], &allowance);
    for _ in 0..3 {
        see(&mut first);
    }
    drop(first);
    let mut second = backup.next().unwrap();
    assert_eq!(see(&mut second), Seen::Frame(Data(LARGE)));
    assert_eq!(ledger.bytes(), 3 * LARGE);
    drop(backup);
    assert_eq!(ledger.bytes(), 2 * LARGE, "what it has passed is freed at once");
    see(&mut second);
    assert_eq!(ledger.bytes(), LARGE);
    see(&mut second);
    assert_eq!((ledger.bytes(), allowance.in_use()), (0, 0));
    assert_eq!(rest(&mut second), [Seen::Frame(Data(7)), Seen::End]);
}

#[test]
fn a_body_that_failed_is_not_polled_again() {
    let allowance = Allowance::new(1 << 20);
    let (mut first, mut backup, ledger) = within([Data(LARGE), Fail, Data(1)], &allowance);
    see(&mut first);
    assert_eq!(see(&mut first), Seen::Error);
    assert!(backup.is_lost(), "before the copy is dropped");
    assert_eq!((ledger.bytes(), ledger.bodies(), allowance.in_use()), (0, 0, 0));
    assert_eq!(see(&mut first), Seen::End);
    drop(first);
    assert!(backup.next().is_none());
    assert_eq!(ledger.polls(), 2);
}

#[test]
fn frames_are_not_merged() {
    let frames = [Data(1), Data(0), Data(LARGE), Data(1), Trailers];
    let (mut first, mut backup) = ReplayBody::new(script(frames), 1 << 16);
    let whole = rest(&mut first);
    drop(first);
    let mut second = backup.next().unwrap();
    assert_eq!(rest(&mut second), whole);
    assert_eq!(whole.len(), frames.len() + 1);
}

#[test]
fn every_copy_says_the_same_length_whenever_it_was_cut() {
    for cut in 0..4 {
        let original = script([Data(3), Data(4), Data(5)]).that_says(Hint::Exact, true);
        let (mut copy, mut backup) = ReplayBody::new(original, 100);
        assert_eq!(copy.size_hint().exact(), Some(12));
        for _ in 0..cut {
            see(&mut copy);
        }
        drop(copy);
        let second = backup.next().unwrap();
        assert_eq!(second.size_hint().exact(), Some(12), "cut after {cut} frames");
        assert!(!second.is_end_stream());
    }
}

/// A transport asks for the length once, so there are bodies that do not count what was read.
#[test]
fn every_copy_says_the_same_length_of_a_body_that_never_counts_down() {
    struct Constant(script::Script);
    impl Body for Constant {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(7)
        }
    }
    let (mut first, mut backup) = ReplayBody::new(Constant(script([Data(3), Data(4)])), 100);
    see(&mut first);
    drop(first);
    assert_eq!(backup.next().unwrap().size_hint().exact(), Some(7));
}

#[test]
fn every_copy_of_an_empty_body_is_at_its_end_before_it_is_polled() {
    let original = script([]).that_says(Hint::Exact, true);
    let (first, mut backup) = ReplayBody::new(original, 0);
    assert!(first.is_end_stream());
    drop(first);
    let mut second = backup.next().unwrap();
    assert!(second.is_end_stream());
    assert_eq!(second.size_hint().exact(), Some(0));
    assert_eq!(rest(&mut second), [Seen::End]);
}

#[test]
fn all_bodies_together_keep_within_the_allowance() {
    let allowance = Allowance::new(3 * LARGE);
    let (mut a, mut backup_of_a, _) = within([Data(LARGE)], &allowance);
    let (mut b, mut backup_of_b, ledger) = within([Data(LARGE), Data(LARGE)], &allowance);
    see(&mut a);
    see(&mut b);
    assert!(!backup_of_b.is_lost());
    assert_eq!(see(&mut b), Seen::Frame(Data(LARGE)), "it is sent nevertheless");
    assert!(backup_of_b.is_lost());
    assert_eq!(ledger.bytes(), 0);
    assert!(allowance.in_use() < 2 * LARGE, "what the other had is there for others again");
    drop((a, b));
    assert!(backup_of_b.next().is_none());
    assert!(backup_of_a.next().is_some());
}

/// As with `Expect: 100-continue`, where the server may want none of it.
#[test]
fn what_nobody_asks_for_is_not_read() {
    let original = script([Data(3)]);
    let ledger = original.ledger.clone();
    let (first, mut backup) = ReplayBody::new(original, 100);
    drop(first);
    let mut second = backup.next().unwrap();
    assert_eq!(ledger.polls(), 0);
    assert_eq!(rest(&mut second), [Seen::Frame(Data(3)), Seen::End]);
}

#[test]
fn a_body_that_may_not_be_moved_can_be_sent_again() {
    #[pin_project::pin_project]
    struct Stays(#[pin] script::Script, #[pin] PhantomPinned);
    impl Body for Stays {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.project().0.poll_frame(cx)
        }
    }
    let original = Stays(script([Data(3), Trailers]), PhantomPinned);
    let (mut first, mut backup) = ReplayBody::new(original, 100);
    see(&mut first);
    drop(first);
    let mut second = backup.next().unwrap();
    assert_eq!(rest(&mut second), [Seen::Frame(Data(3)), Seen::Frame(Trailers), Seen::End]);
}

/// Looks at what the copy and the backup share whenever it is dropped, as whoever owns a frame's memory
/// or the body may.
struct Looks(Arc<OnceLock<Arc<Shared<Frames>>>>, Vec<u8>);

impl AsRef<[u8]> for Looks {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Looks {
    fn drop(&mut self) {
        if let Some(shared) = self.0.get() {
            shared.is_given_up();
        }
    }
}

struct Frames(Vec<Bytes>, #[allow(dead_code, reason = "it is dropped")] Looks);

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    /// It fails when there is no more.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.0.pop().map(Frame::data);
        Poll::Ready(Some(frame.ok_or_else(|| "out of ink".into())))
    }
}

#[test]
fn no_code_of_others_runs_under_the_lock() {
    type Ends = (ReplayBody<Frames>, Backup<Frames>);
    let cases: [(&str, usize, fn(Ends)); 6] = [
        ("over the bound", 3, |(mut copy, backup)| {
            for _ in 0..2 {
                see(&mut copy);
            }
            assert!(backup.is_lost());
        }),
        ("failed", 2, |(mut copy, _backup)| {
            assert_eq!(see(&mut copy), Seen::Frame(Data(LARGE)));
            assert_eq!(see(&mut copy), Seen::Error);
        }),
        ("committed", 2, |(_copy, backup)| drop(backup)),
        ("cut off and committed", 2, |(copy, backup)| {
            drop(copy);
            drop(backup);
        }),
        ("committed and cut off", 2, |(copy, backup)| {
            drop(backup);
            drop(copy);
        }),
        ("repeated and committed", 2, |(copy, mut backup)| {
            drop(copy);
            let mut copy = backup.next().unwrap();
            drop(backup);
            assert_eq!(see(&mut copy), Seen::Frame(Data(LARGE)));
        }),
    ];
    for (case, frames, run) in cases {
        let (done, end) = mpsc::channel();
        std::thread::spawn(move || {
            let slot = Arc::new(OnceLock::new());
            let looks = || Looks(Arc::clone(&slot), content(LARGE));
            let frames = (0..frames).map(|_| Bytes::from_owner(looks())).collect();
            let (mut copy, backup) = ReplayBody::new(Frames(frames, looks()), 2 * LARGE);
            assert!(slot.set(Arc::clone(&copy.shared)).is_ok());
            see(&mut copy);
            run((copy, backup));
            done.send(()).unwrap();
        });
        assert!(
            end.recv_timeout(Duration::from_secs(5)).is_ok(),
            "{case}: deadlock, or it panicked"
        );
    }
}
