//! Those who ask as one should, though not always to the end.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, Request, StatusCode, Version, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use tokio::time::{sleep, timeout};

use super::{
    crowd::{Asks, Crowd, grpc_call, upload},
    handlers::{FRAME, STREAM},
    headers::{CLIENT, ID, IDEMPOTENCY_KEY, ONCE, TOOK},
    rude,
    stack::MAX_BODY,
};
use crate::soaks::Dice;

const MS: Duration = Duration::from_millis(1);

/// The next request of a client.
type Next<'a> = (&'a Crowd, &'a mut Dice, &'a str);

/// One thing of all that there are to do.
pub(crate) async fn does(crowd: &Crowd, dice: &mut Dice, name: &str) -> &'static str {
    let version = dice.one_of(&[Version::HTTP_11, Version::HTTP_2]);
    match dice.below(22) {
        0 | 1 => reads((crowd, dice, name), version).await,
        2..=5 => calls((crowd, dice, name), version).await,
        6..=8 => calls_grpc((crowd, dice, name)).await,
        9 | 10 => gives_up((crowd, dice, name), version).await,
        11 => is_patient((crowd, dice, name), version).await,
        12 => asks_much_at_once((crowd, dice, name)).await,
        13 => meets_a_panic((crowd, dice, name), version).await,
        _ => rude::does(crowd, dice, name).await,
    }
}

/// What a well-behaved client of something that works may be told instead.
fn is_expected(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 429 | 503)
}

/// Over a machine that is slow a stream may come so late that it is cut off at once, and with it the head
/// that has not left yet. Nobody else who asks for what works, and waits, goes without an answer.
fn may_be_cut_off(path: &str) -> bool {
    !matches!(path, "/hello" | "/free" | "/hang")
}

async fn reads((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    for _ in 0..=dice.below(3) {
        let path = dice.one_of(&["/hello", "/stream", "/free"]);
        let Some((head, body)) = crowd.takes(client.get_as(path, name).await).await else {
            assert!(may_be_cut_off(path), "{path}: no answer");
            break;
        };
        assert!(is_expected(head.status), "{path}: {head:?}");
        if head.status == 200 && path == "/stream" {
            // A body may be cut off, and then it is not whole.
            assert!(body.is_none_or(|body| body.len() == STREAM * FRAME));
        } else {
            assert!(body.is_some(), "{path}: {head:?}");
        }
        if head.headers.get("connection").is_some_and(|value| value == "close") {
            break;
        }
    }
    "reads"
}

/// Calls the upstream, with or without a body, by all kinds of methods.
async fn calls((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    let (method, length) = match dice.below(4) {
        0 => (Method::GET, 0),
        1 => (Method::PUT, dice.below(MAX_BODY as u64)),
        // Half of them more than is kept.
        _ => (Method::POST, dice.below(2 * MAX_BODY as u64)),
    };
    let mut request = Request::builder().method(&method).uri("/call").header(CLIENT, name);
    let id = crowd.id();
    if method == Method::POST {
        let key = if dice.percent(50) { IDEMPOTENCY_KEY } else { ONCE };
        request = request.header(key, &id);
    }
    let length = usize::try_from(length).unwrap();
    let request = request.header(ID, id).body(upload(length)).unwrap();
    if let Some((head, _)) = crowd.takes(client.send(request).await).await
        && let Some(took) = head.headers.get(TOOK)
    {
        assert_eq!(took, &length.to_string(), "{method}: what arrives is what was sent");
    }
    "calls"
}

async fn calls_grpc((crowd, dice, name): Next<'_>) -> &'static str {
    let client = crowd.connects(Version::HTTP_2).await;
    let mut request = grpc_call(name).header(ID, crowd.id());
    if dice.percent(50) {
        request = request.header(IDEMPOTENCY_KEY, "yes");
    }
    if dice.percent(60) {
        let time = dice.one_of(&["0n", "1n", "1m", "20m", "60m", "200m", "5S", "1H"]);
        request = request.header("grpc-timeout", time);
    }
    let request = request.body(upload(5)).unwrap();
    if let Some((head, _)) = crowd.takes(client.send(request).await).await {
        let is_grpc = head.headers.get(CONTENT_TYPE).is_some_and(|it| it == "application/grpc");
        let is_the_upstreams = !head.headers.contains_key("grpc-status-details-bin");
        assert!(is_the_upstreams || (is_grpc && head.status == 200), "{head:?}");
    }
    "calls over gRPC"
}

const PATHS: [&str; 7] = ["/hang", "/stream", "/endless", "/huge", "/call", "/call", "/hello"];

/// Goes away while it waits for the head, or in the middle of the body; over HTTP/2 without the connection,
/// which goes on.
async fn gives_up((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    for _ in 0..3 {
        let (path, patience) = (dice.one_of(&PATHS), dice.up_to(40 * MS));
        let answer = timeout(patience, client.get_as(path, name)).await;
        if let Ok(Ok(answer)) = answer {
            let mut body = answer.into_body();
            // Some of it.
            let _ = timeout(dice.up_to(20 * MS), body.frame()).await;
        }
        if version == Version::HTTP_11 {
            break;
        }
    }
    "gives up"
}

/// Waits for what takes for ever, until it is told that it does, or cut off; or reads slowly, for a while.
async fn is_patient((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    let path = dice.one_of(&["/hang", "/endless", "/huge"]);
    let Ok(answer) = client.get_as(path, name).await else {
        assert!(may_be_cut_off(path), "{path}: no answer");
        return "is patient";
    };
    if path == "/huge" {
        let (head, mut body) = answer.into_parts();
        assert!(is_expected(head.status));
        for _ in 0..dice.below(40) {
            sleep(dice.up_to(20 * MS)).await;
            if !matches!(body.frame().await, Some(Ok(_))) {
                break;
            }
        }
    } else {
        let (head, body) = crowd.takes(Ok(answer)).await.expect("it has a head");
        assert!(
            is_expected(head.status) && head.status != 200 || body.is_none(),
            "{path}: {head:?}"
        );
    }
    "is patient"
}

/// More than are let in at once, and than are let through to the upstream.
async fn asks_much_at_once((crowd, dice, name): Next<'_>) -> &'static str {
    let client = crowd.connects(Version::HTTP_2).await;
    let paths: Vec<_> = (0..24).map(|_| dice.one_of(&["/stream", "/call", "/hello"])).collect();
    let client = &client;
    let asks = paths.into_iter().map(|path| async move {
        let answer = client.get_as(path, name).await;
        let answer = crowd.takes(answer).await;
        assert!(answer.is_some() || may_be_cut_off(path), "{path}: no answer");
    });
    join_all(asks).await;
    "asks much at once"
}

/// Goes without an answer, or with half of one.
async fn meets_a_panic((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    let path = dice.one_of(&["/panic", "/panic/late"]);
    if let Some((head, body)) = crowd.takes(client.get_as(path, name).await).await {
        assert!(head.status != 200 || body.is_none(), "{head:?}");
    }
    "meets a panic"
}
