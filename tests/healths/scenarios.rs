//! What health must do in front of a real HTTP server, whichever it is.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::join, stream};
use http::{Method, Request, Response, Version};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use palisade::health::{Check, Phase};
use palisade_testkit::{Gate, sockets::eventually};
use tokio::time::timeout;

use super::{HOUR, NOT_SERVING, SERVING, Served, call, call_with};

const PATIENCE: Duration = Duration::from_secs(10);

fn text(answer: &Response<Bytes>) -> (u16, &str) {
    (answer.status().as_u16(), std::str::from_utf8(answer.body()).unwrap())
}

pub(crate) async fn probes_are_answered_and_all_else_goes_through(served: Served) {
    let latch = served.health.startup().latch("migrations");
    for (path, expected) in [
        ("/livez", (200, "pass\n")),
        ("/readyz", (503, "unknown\n")),
        ("/startupz", (503, "unknown\n")),
        ("/readyz?verbose", (503, "unknown\n")),
    ] {
        let answer = served.get(path).await;
        assert_eq!(text(&answer), expected, "{path}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["content-length"], *answer.body().len().to_string());
    }
    latch.set();
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(text(&served.get(path).await), (200, "pass\n"), "{path}");
    }
    for (method, path) in [
        (Method::POST, "/livez"),
        (Method::DELETE, "/readyz"),
        (Method::OPTIONS, "/startupz"),
        (Method::GET, "/livez/"),
        (Method::GET, "/Livez"),
        (Method::GET, "/x/livez"),
        (Method::GET, "/grpc.health.v1.Health/Check"),
        (Method::POST, "/grpc.health.v1.Health/Check"),
    ] {
        let answer = served.ask(method.clone(), path).await;
        assert_eq!(text(&answer), (200, &*format!("inside: {method} {path}")));
    }
    eventually(|| served.health.in_flight() == 0).await;
}

pub(crate) async fn head_has_the_length_of_get_and_no_body(served: Served) {
    let client = served.client().await;
    // On one connection: what came too much would be taken for the next answer.
    for (method, path) in
        [("HEAD", "/livez"), ("GET", "/livez"), ("HEAD", "/readyz"), ("GET", "/hello")]
    {
        let request = Request::builder().method(method).uri(path);
        let answer = client.send(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-length"]),
            (200, &"5".parse().unwrap())
        );
        if method == "HEAD" && served.version == Version::HTTP_2 {
            assert!(answer.body().is_end_stream(), "the head is all there is");
        }
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.len(), if method == "HEAD" { 0 } else { 5 });
    }
}

/// The next piece of a stream, or its trailers' status.
async fn next(body: &mut Incoming) -> Result<Bytes, String> {
    let frame = timeout(PATIENCE, body.frame()).await.expect("something is told");
    let frame = frame.expect("it ends with trailers").unwrap();
    frame.into_data().map_err(|frame| {
        let trailers = frame.into_trailers().unwrap();
        trailers["grpc-status"].to_str().unwrap().to_owned()
    })
}

fn is_refused(answer: &Response<Bytes>) {
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"5".parse().unwrap())
    );
    let problem: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(problem["type"], "urn:palisade:shutting-down");
}

/// Each step is begun by the test, and not by the time: a drain that is told of again goes by the nearer
/// moment.
pub(crate) async fn it_leaves_step_by_step(served: Served) {
    let over_http1 = served.version == Version::HTTP_11;
    let watcher = served.grpc_client().await;
    let mut watch = watcher.send(call("Watch")).await.unwrap().into_body();
    assert_eq!(next(&mut watch).await.unwrap(), SERVING);
    let (first, second) = (served.client().await, served.client().await);
    let (held, mut long) = (
        tokio::spawn(async move { first.read("/held").await }),
        second.get("/long").await.unwrap().into_body(),
    );
    eventually(|| served.health.in_flight() == 2).await;

    for resumed in [true, false] {
        served.health.drain(HOUR);
        assert_eq!(text(&served.get("/readyz").await), (503, "fail\n"));
        assert_eq!(next(&mut watch).await.unwrap(), NOT_SERVING);
        assert_eq!(text(&served.get("/livez").await), (200, "pass\n"));
        let while_leaving = served.get("/hello").await;
        assert_eq!(text(&while_leaving), (200, "hello"));
        assert_eq!(
            while_leaving
                .headers()
                .get("connection")
                .is_some_and(|connection| connection == "close"),
            over_http1
        );
        assert_eq!(served.health.phase(), Phase::Draining);

        served.health.drain(Duration::ZERO);
        let refused = served.get("/hello").await;
        is_refused(&refused);
        assert_eq!(refused.headers().contains_key("connection"), over_http1);
        let grpc = Request::post("/menu.Menu/Today").header("content-type", "application/grpc");
        let refused = served.send(grpc.body(Full::default()).unwrap()).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["grpc-status"]),
            (200, &"14".parse().unwrap())
        );
        let bare = served.ask(Method::HEAD, "/hello").await;
        assert_eq!((bare.status().as_u16(), bare.body().len()), (503, 0));
        assert_eq!(text(&served.get("/livez").await), (200, "pass\n"));
        assert_eq!(text(&served.get("/readyz").await), (503, "fail\n"));
        assert_eq!((served.health.phase(), served.health.in_flight()), (Phase::Refusing, 2));
        assert!(served.health.drained().now_or_never().is_none());
        if resumed {
            served.health.resume();
            assert_eq!(next(&mut watch).await.unwrap(), SERVING);
            assert_eq!(text(&served.get("/readyz").await), (200, "pass\n"));
            let again = served.get("/hello").await;
            assert_eq!(
                (text(&again), again.headers().contains_key("connection")),
                ((200, "hello"), false)
            );
        }
    }

    served.gate.open();
    assert_eq!(held.await.unwrap().unwrap().body(), "done");
    let mut read = Vec::new();
    while let Some(frame) = long.frame().await {
        read.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert_eq!(read, b"begun, done");
    timeout(PATIENCE, served.health.drained()).await.unwrap();
    assert_eq!(next(&mut watch).await, Err("0".to_owned()));
    served.stop();
    assert!(served.has_ended().await);
}

/// With its clients still connected, and over HTTP/1.1 keeping their connections.
pub(crate) async fn a_server_ends_though_somebody_watches(served: Served) {
    let (watcher, other) = (served.grpc_client().await, served.client().await);
    let mut watch = watcher.send(call("Watch")).await.unwrap().into_body();
    assert_eq!(next(&mut watch).await.unwrap(), SERVING);
    let mut long = other.get("/long").await.unwrap().into_body();
    let frame = long.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "begun, ");

    // The other way round as well: the server is told first.
    served.stop();
    served.health.drain(Duration::ZERO);
    assert_eq!(next(&mut watch).await.unwrap(), NOT_SERVING);
    assert!(!served.is_over());
    assert!(watch.frame().now_or_never().is_none(), "while a download goes on");
    served.gate.open();
    let rest = long.collect().await.unwrap().to_bytes();
    assert_eq!(rest, "done");
    assert_eq!(next(&mut watch).await, Err("0".to_owned()));
    assert!(served.has_ended().await);
    assert_eq!(served.health.in_flight(), 0);
}

/// When what is in flight is not waited for any longer, who watches is told; the download is the server's.
pub(crate) async fn a_bound_ends_the_watch_and_cuts_nothing_off(served: Served) {
    let (watcher, other) = (served.grpc_client().await, served.client().await);
    let mut watch = watcher.send(call("Watch")).await.unwrap().into_body();
    assert_eq!(next(&mut watch).await.unwrap(), SERVING);
    let long = other.get("/long").await.unwrap();
    served.health.drain(Duration::ZERO);
    assert_eq!(served.health.drained_within(Duration::ZERO).await, 1);
    while let Ok(told) = next(&mut watch).await {
        assert_eq!(told, NOT_SERVING);
    }
    served.stop();
    served.gate.open();
    assert_eq!(long.into_body().collect().await.unwrap().to_bytes(), "begun, done");
    assert!(served.has_ended().await);
}

/// Whoever is on the way in waits for what is not ready inside, and probes do not.
pub(crate) async fn a_probe_is_answered_while_all_else_waits(served: Served) {
    let (first, second) = (served.client().await, served.client().await);
    let (answers, ()) = join(join(first.read("/held"), second.read("/held")), async {
        eventually(|| served.health.in_flight() == 2).await;
        assert_eq!(text(&served.get("/livez").await), (200, "pass\n"));
        assert_eq!(served.call("Check").await, SERVING);
        served.gate.open();
    })
    .await;
    let (first, second) = answers;
    assert_eq!((first.unwrap().body(), second.unwrap().body()), (&"done".into(), &"done".into()));
    eventually(|| served.health.in_flight() == 0).await;
}

/// How an answer ends that is not to have a message.
async fn status(answer: Response<Incoming>) -> String {
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    let in_head = answer.headers().get("grpc-status").cloned();
    let body = answer.into_body().collect().await.unwrap();
    let status = in_head.or_else(|| body.trailers()?.get("grpc-status").cloned()).unwrap();
    status.to_str().unwrap().to_owned()
}

pub(crate) async fn garbage_is_told_so_and_harms_nobody_beside_it(served: Served) {
    static LONG: [u8; 1 << 20] = [0xff; 1 << 20];
    let client = served.grpc_client().await;
    for (message, expected) in [
        (&b""[..], "3"),
        (b"\0", "3"),
        (b"\0\0\0\0", "3"),
        (b"\0\0\0\0\x09\x0a", "3"),
        (b"\x01\0\0\0\0", "12"),
        (b"\x02\0\0\0\0", "3"),
        (b"\0\xff\xff\xff\xff", "8"),
        (b"\0\0\0\x10\x01", "8"),
        (b"\0\0\0\0\x03\x0a\x01\xff", "3"),
        (b"\0\0\0\0\0\0\0\0\0\0", "3"),
        (&LONG, "3"),
        (b"\0\0\0\0\0", "0"),
    ] {
        for method in ["Check", "List"] {
            // List has no text to be garbage.
            if (method, message.len()) == ("List", 8) {
                continue;
            }
            let answer = client.send(call_with(method, message)).await.unwrap();
            let short = &message[..message.len().min(16)];
            assert_eq!(status(answer).await, expected, "{method} {short:?}");
        }
    }
    let answer = client.send(call("Stop")).await.unwrap();
    assert_eq!(status(answer).await, "12");
    assert_eq!(client.read("/hello").await.unwrap().body(), "hello");
}

/// Byte by byte, each only when the server has had time for the last one; and one that never ends.
pub(crate) async fn a_slow_message_holds_nobody_up(served: Served) {
    let (slow, beside) = (served.grpc_client().await, served.client().await);
    let gate = Gate::new();
    let body = |gate: Gate, message: &'static [u8]| {
        StreamBody::new(stream::iter(message).then(move |byte| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                Ok::<_, hyper::Error>(Frame::data(Bytes::from_static(std::slice::from_ref(byte))))
            }
        }))
    };
    let call = |gate: &Gate, message| call("Check").map(|_| body(gate.clone(), message));
    let steps = async {
        for _ in 0..5 {
            assert_eq!(text(&served.get("/readyz").await), (200, "pass\n"));
            assert_eq!(beside.read("/hello").await.unwrap().body(), "hello");
            gate.let_pass(1);
        }
    };
    let (answer, ()) = join(slow.send(call(&gate, b"\0\0\0\0\0")), steps).await;
    assert_eq!(status(answer.unwrap()).await, "0");
}

/// Whose end is seen by what a check of the registry's holds.
pub(crate) async fn nothing_is_left_of_who_watched_and_went_away(served: Served) {
    let (token, held) = (std::sync::Arc::new(()), std::sync::Arc::default());
    let seen = std::sync::Arc::downgrade(&token);
    let _: &std::sync::Arc<()> = &held;
    served.health.readiness().check(Check::new("token", move || {
        let token = std::sync::Arc::clone(&token);
        async move { drop(token) }
    }));
    for name in [&[0; 5][..], b"\0\0\0\0\x04\x0a\x02ab"] {
        for _ in 0..5 {
            let watcher = served.grpc_client().await;
            let mut watch = watcher.send(call_with("Watch", name)).await.unwrap().into_body();
            next(&mut watch).await.unwrap();
            drop(watcher);
        }
    }
    served.stop();
    // Though nobody told those who watched: they are gone.
    assert!(served.has_ended().await);
    let Served { health, .. } = served;
    drop(health);
    eventually(|| seen.strong_count() == 0).await;
}
