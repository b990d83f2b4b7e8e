#![allow(clippy::unwrap_used, reason = "a test")]

use std::task::Waker;

use palisade_testkit::{Act, Pace, Probe, ProbeBody};
use tower::ServiceExt;

use super::*;

fn body(change: impl FnOnce(&mut palisade_testkit::BodyPlan)) -> (Probe, Kept<ProbeBody>) {
    let probe = Probe::new();
    probe.replan(|plan| change(&mut plan.body));
    let response = tokio_test::block_on(probe.clone().oneshot(http::Request::new(()))).unwrap();
    (probe, Kept::new(response.into_body()))
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What comes of it: data, trailers and errors, until the end or a wait.
fn rest(kept: &mut Kept<ProbeBody>) -> String {
    let mut seen = String::new();
    while let Poll::Ready(frame) = kept.poll_frame(&mut cx()) {
        let Some(frame) = frame else { return seen + "end" };
        seen += match frame {
            Ok(frame) if frame.is_data() => ".",
            Ok(_) => "trailers ",
            Err(_) => "error ",
        };
    }
    seen + "wait"
}

#[test]
fn what_is_small_and_there_is_read_and_whoever_waits_for_its_end_is_told() {
    for (trailers, end, then) in [
        (false, Act::Succeed, "...end"),
        (true, Act::Succeed, "...trailers end"),
        (false, Act::Fail, "...error end"),
    ] {
        let (probe, mut kept) = body(|plan| {
            plan.frames = 3;
            plan.trailers = trailers;
            plan.end = end;
        });
        assert!(!kept.is_end_stream());
        kept.read_ahead(&mut cx());
        assert_eq!(probe.tally().in_flight, 0);
        // A probe's body knows its length if nothing comes after that.
        assert_eq!(kept.size_hint().exact(), (then == "...end").then_some(3));
        assert_eq!(kept.size_hint().lower(), 3);
        assert_eq!(rest(&mut kept), then);
        assert!(kept.is_end_stream());
        assert_eq!(kept.size_hint().exact(), Some(0));
    }
}

/// Of nine bytes, three: whoever passes it on must not say that three are all.
#[test]
fn an_answer_that_broke_off_is_not_made_a_whole_one() {
    use futures_util::stream;
    use http_body_util::StreamBody;

    /// As of a response with a content-length.
    struct Announced<B>(B);

    impl<B: Body + Unpin> Body for Announced<B> {
        type Data = B::Data;
        type Error = B::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(9)
        }
    }

    let frames = [Ok(Frame::data(Bytes::from_static(b"sou"))), Err("cut off")];
    let mut kept = Kept::new(Announced(StreamBody::new(stream::iter(frames))));
    kept.read_ahead(&mut cx());
    assert_eq!(kept.size_hint().exact(), Some(9));
    assert!(matches!(kept.poll_frame(&mut cx()), Poll::Ready(Some(Ok(_)))));
    assert_eq!(kept.size_hint().exact(), Some(6));
    assert!(matches!(kept.poll_frame(&mut cx()), Poll::Ready(Some(Err("cut off")))));
}

#[test]
fn what_is_large_or_not_there_is_held_as_it_is() {
    let large = u32::try_from(SMALL).unwrap() + 1;
    for (frames, pace, read) in
        [(large, Pace::AtOnce, 0), (3, Pace::Never, 0), (3, Pace::Polls(1), 0)]
    {
        let (probe, mut kept) = body(|plan| {
            plan.frames = frames;
            plan.pace = pace;
        });
        kept.read_ahead(&mut cx());
        assert_eq!((kept.read.len(), probe.tally().in_flight), (read, 1), "{pace:?}");
        drop(kept);
        assert_eq!(probe.tally().in_flight, 0);
    }
    // Of one that does not say how long it is, no more is read than is small.
    let (probe, mut kept) = body(|plan| {
        plan.frames = 1_000;
        plan.trailers = true;
    });
    kept.read_ahead(&mut cx());
    assert_eq!((kept.read.len(), probe.tally().in_flight), (FEW, 1));
    assert_eq!(rest(&mut kept), ".".repeat(1_000) + "trailers end");
}

#[test]
fn the_first_look_tells_and_takes_nothing_away() {
    let first = |frames, trailers, end, pace| {
        let (_, mut kept) = body(|plan| {
            plan.frames = frames;
            plan.trailers = trailers;
            plan.end = end;
            plan.pace = pace;
        });
        let first = match kept.poll_first(&mut cx()) {
            Poll::Pending => "wait",
            Poll::Ready(First::Data) => "data",
            Poll::Ready(First::End(None)) => "end",
            Poll::Ready(First::End(Some(_))) => "trailers",
            Poll::Ready(First::Failed) => "error",
        };
        (first, rest(&mut kept))
    };
    let told = |first, rest: &str| (first, rest.to_owned());
    assert_eq!(first(2, true, Act::Succeed, Pace::AtOnce), told("data", "..trailers end"));
    assert_eq!(first(0, true, Act::Succeed, Pace::AtOnce), told("trailers", "trailers end"));
    assert_eq!(first(0, false, Act::Succeed, Pace::AtOnce), told("end", "end"));
    assert_eq!(first(0, false, Act::Fail, Pace::AtOnce), told("error", "error end"));
    assert_eq!(first(1, false, Act::Succeed, Pace::Never), told("wait", "wait"));
}
