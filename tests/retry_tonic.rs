//! A retry around tonic's channel, and a real tonic server that fails for a while.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod retries;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::future::join_all;
use palisade::retry::{Eligible, Idempotent, Peek, Retries, RetryLayer, RetryPolicy};
use palisade_testkit::{
    grpc::{CountRequest, EchoClient, SayRequest},
    sockets::{deaf, eventually},
};
use retries::{
    Upstream,
    broken::{
        Break, CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Then, goaway,
        head, reset, trailers,
    },
    grpc::{Told, channel, echo, named, say, served},
    quick,
};
use tonic::{Code, Request, Status, body::Body, metadata::MetadataMap};
use tower::{Layer, ServiceExt};

fn is_idle(retries: &Retries) -> bool {
    (retries.buffered(), retries.budget().in_use()) == (0, 0)
}

fn down() -> Status {
    Status::unavailable("as told")
}

#[tokio::test]
async fn a_method_that_is_named_is_called_until_it_is_there() {
    let (server, told) = served();
    let (mut client, retries) = echo(server.address(), named());
    told.say([down(), down()]);
    assert_eq!(client.say(say()).await.unwrap().into_inner().text, "hello");
    let said = told.previous();
    assert_eq!(said, [None, Some("1".to_owned()), Some("2".to_owned())]);
    assert_eq!((retries.retried(), retries.recovered()), (2, 1));
    assert!(is_idle(&retries));

    told.say([down(), down(), down()]);
    let status = client.say(say()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "as told"));
    assert_eq!((told.calls(), retries.exhausted()), (6, 1));
    assert!(is_idle(&retries));
}

#[tokio::test]
async fn what_is_not_named_is_called_once_unless_the_call_is_marked() {
    let (server, told) = served();
    let (mut client, retries) = echo(server.address(), RetryPolicy::grpc());
    told.say([down()]);
    assert_eq!(client.say(say()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!((told.calls(), retries.retried()), (1, 0));

    told.say([down()]);
    let mut marked = Request::new(say());
    marked.extensions_mut().insert(Idempotent);
    client.say(marked).await.unwrap();
    assert_eq!((told.calls(), retries.retried()), (3, 1));

    let (mut client, retries) =
        echo(server.address(), RetryPolicy::grpc().eligible(|_| Eligible::Never));
    told.say([down()]);
    client.say(say()).await.unwrap_err();
    assert_eq!((told.calls(), retries.retried()), (4, 0));
}

#[tokio::test]
async fn only_what_is_unavailable_or_says_when_to_come_back_is_called_again() {
    let pushed = |code, pushback: &'static str| {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-retry-pushback-ms", pushback.parse().unwrap());
        Status::with_metadata(code, "as told", metadata)
    };
    let plain = |code| Status::new(code, "as told");
    for (status, calls) in [
        (plain(Code::ResourceExhausted), 1),
        (pushed(Code::ResourceExhausted, "1"), 2),
        (pushed(Code::Unavailable, "1"), 2),
        (pushed(Code::Unavailable, "-1"), 1),
        (pushed(Code::Unavailable, "soon"), 1),
        // An hour.
        (pushed(Code::Unavailable, "3600000"), 1),
        (plain(Code::DeadlineExceeded), 1),
        (plain(Code::Internal), 1),
        (plain(Code::Unknown), 1),
        (plain(Code::NotFound), 1),
        (plain(Code::Cancelled), 1),
    ] {
        let (server, told) = served();
        let (mut client, retries) = echo(server.address(), named());
        told.say([status.clone()]);
        let said = client.say(say()).await;
        assert_eq!(said.is_ok(), calls == 2, "{status:?}");
        assert_eq!((told.calls(), is_idle(&retries)), (calls, true), "{status:?}");
    }
}

/// Whatever the method: nothing was sent.
#[tokio::test]
async fn where_nobody_listens_a_call_is_made_when_somebody_does() {
    let dead = deaf();
    let policy = RetryPolicy::grpc().max_attempts(u32::MAX);
    let (mut client, retries) = echo(dead.local_addr().unwrap(), policy);
    let told = Told::default();
    let (said, ()) = tokio::join!(client.say(say()), async {
        eventually(|| retries.retried() > 2).await;
        drop(tokio::spawn(told.clone().serve(dead.listen(8).unwrap())));
    });
    assert_eq!(said.unwrap().into_inner().text, "hello");
    assert_eq!((told.calls(), retries.recovered(), is_idle(&retries)), (1, 1, true));
    assert_eq!(told.previous(), [Some(retries.retried().to_string())]);
}

/// How often a call was made to an upstream whose first connection breaks.
async fn called(policy: RetryPolicy, frames: &[u8], then: Then) -> usize {
    let upstream = Upstream::breaking([Break::Frames(frames.to_vec(), then)]);
    let (mut client, retries) = echo(upstream.address(), policy);
    // What answers the second call is no gRPC service.
    client.say(say()).await.unwrap_err();
    assert_eq!(upstream.told.requests(), usize::try_from(retries.retried()).unwrap() + 1);
    let bodies: Vec<_> = upstream.told.arrived().into_iter().map(|one| one.body.unwrap()).collect();
    assert!(bodies.iter().all(|body| body.ends_with(b"hello")), "{bodies:?}");
    eventually(|| is_idle(&retries)).await;
    upstream.told.requests()
}

#[tokio::test]
async fn a_call_that_the_server_did_not_look_at_is_made_again() {
    for (frames, then, again) in [
        (reset(REFUSED_STREAM), Then::Hold, true),
        (reset(INTERNAL_ERROR), Then::Hold, false),
        (reset(CANCEL), Then::Hold, false),
        (goaway(0, NO_ERROR), Then::Close, true),
        (goaway(1, NO_ERROR), Then::Close, false),
        (goaway(0, INTERNAL_ERROR), Then::Close, false),
        (goaway(0, ENHANCE_YOUR_CALM), Then::Close, false),
        (Vec::new(), Then::Close, false),
        (Vec::new(), Then::Reset, false),
    ] {
        let expected = if again { 2 } else { 1 };
        let got = called(RetryPolicy::grpc(), &frames, then).await;
        assert_eq!(got, expected, "{frames:?} {then:?}");
        assert_eq!(called(named(), &frames, then).await, 2, "{frames:?} {then:?}");
    }
}

/// A status behind the head, in one piece with it, is there at once.
#[tokio::test]
async fn a_status_in_trailers_that_come_with_the_head_is_seen() {
    for (status, calls) in [("14", 2), ("13", 1), ("8", 1)] {
        let frames = [head(), trailers(status)].concat();
        for peek in [Peek::Ready, Peek::FirstFrame] {
            let got = called(named().peek(peek), &frames, Then::Hold).await;
            assert_eq!(got, calls, "{status} {peek:?}");
            assert_eq!(called(RetryPolicy::grpc().peek(peek), &frames, Then::Hold).await, 1);
        }
    }
}

/// One that comes later is waited for only by those who said so.
#[tokio::test]
async fn a_status_in_trailers_that_come_later_is_waited_for_or_final() {
    for (peek, waits) in [(Peek::Ready, false), (Peek::FirstFrame, true)] {
        let (server, told) = served();
        let heads = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&heads);
        let channel = channel(server.address()).map_response(move |answer| {
            seen.fetch_add(1, SeqCst);
            answer
        });
        let layer = RetryLayer::new(quick(named().peek(peek))).with_body(Body::new);
        let (mut client, retries) = (EchoClient::new(layer.layer(channel)), layer.handle());
        told.say([down()]);
        let silent = CountRequest { to: 0, held: true };
        let asked = tokio::spawn(async move { client.count(silent).await });
        // In the poll in which its head is seen, the call is over or is not.
        eventually(|| heads.load(SeqCst) == 1).await;
        assert_eq!(asked.is_finished(), !waits, "{peek:?}");
        told.gate().open();
        let mut numbers = asked.await.unwrap().unwrap().into_inner();
        let code = numbers.message().await.map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code, if waits { Code::Ok } else { Code::Unavailable });
        assert_eq!((told.calls(), retries.recovered()), if waits { (2, 1) } else { (1, 0) });
        drop(numbers);
        assert!(is_idle(&retries));
    }
}

/// What was answered in part is final, and comes as it is sent.
#[tokio::test]
async fn a_stream_is_not_begun_again_once_it_has_a_message() {
    for peek in [Peek::Ready, Peek::FirstFrame] {
        let (server, told) = served();
        let (mut client, retries) = echo(server.address(), named().peek(peek));
        told.say([down()]);
        let held = CountRequest { to: 3, held: true };
        let mut numbers = client.count(held).await.unwrap().into_inner();
        for number in 1..=3 {
            assert_eq!(numbers.message().await.unwrap().unwrap().number, number);
        }
        told.gate().let_pass(1);
        assert_eq!(numbers.message().await.unwrap_err().message(), "as told");
        assert_eq!((told.calls(), retries.retried()), (1, 0));
        assert!(is_idle(&retries));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing_behind() {
    let (server, told) = served();
    let (client, retries) = echo(server.address(), named());
    told.say([down()]);
    for attempt in 1..=2 {
        let mut client = client.clone();
        let before = told.calls();
        let asked =
            tokio::spawn(
                async move { client.say(SayRequest { held: true, ..say() }).await.map(drop) },
            );
        eventually(|| told.calls() == before + 1).await;
        if attempt == 1 {
            // It goes on to its second, which is held too.
            told.gate().let_pass(1);
            eventually(|| told.calls() == before + 2).await;
            assert_eq!(retries.budget().in_use(), 1);
        }
        assert!(retries.buffered() > 0);
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        eventually(|| is_idle(&retries)).await;
    }
    assert_eq!((retries.retried(), retries.recovered()), (1, 0));
}

/// Every second call fails, whoever makes it.
#[tokio::test]
async fn under_load_all_that_is_counted_adds_up() {
    const CLIENTS: usize = 8;
    const EACH: usize = 40;
    let (server, told) = served();
    let (client, retries) = echo(server.address(), named());
    told.say((0..3 * CLIENTS * EACH).flat_map(|_| [down(), Status::ok("")]));
    let well = join_all((0..CLIENTS).map(async |_| {
        let (mut client, mut well) = (client.clone(), 0);
        for _ in 0..EACH {
            well += usize::from(client.say(say()).await.is_ok());
        }
        well
    }));
    let well: usize = well.await.into_iter().sum();
    let count = |count: u64| usize::try_from(count).unwrap();
    let (again, exhausted) = (count(retries.retried()), count(retries.exhausted()));
    assert_eq!(told.calls(), CLIENTS * EACH + again);
    assert_eq!(well + exhausted, CLIENTS * EACH);
    assert_eq!(told.calls().div_ceil(2), again + exhausted, "failures");
    let stamped = told.previous().iter().filter(|previous| previous.is_some()).count();
    assert_eq!((stamped, is_idle(&retries)), (again, true));
    assert!(again > 0);
}
