//! What the layer answers by itself, what it lets through, and what it holds.

#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, reason = "a test")]

mod bounds;

use std::{convert::Infallible, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use palisade_core::Rejection;
use palisade_health::{
    Check, Health, HealthLayer, HealthService, Phase, Probe, ResponseBody, SHUTTING_DOWN,
    ServingStatus, Status,
};
use palisade_testkit::{Act, Pace, Probe as Inner, ProbeBody};
use tower::{Layer, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

/// A gRPC call with one message, of one field: the name of a service.
fn call(method: &str, service: &str) -> Request<Full<Bytes>> {
    let length = u8::try_from(service.len()).unwrap();
    let mut message = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    message.extend_from_slice(service.as_bytes());
    let call = Request::post(format!("/grpc.health.v1.Health/{method}"));
    call.header("content-type", "application/grpc").body(Full::from(message)).unwrap()
}

async fn send(
    service: &HealthService<Inner>,
    request: Request<Full<Bytes>>,
) -> Response<ResponseBody<ProbeBody>> {
    service.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response<ResponseBody<ProbeBody>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The status of a gRPC answer, wherever it is, and the messages before.
async fn told(response: Response<ResponseBody<ProbeBody>>) -> (String, Bytes) {
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    let in_head = response.headers().get("grpc-status").cloned();
    let body = response.into_body().collect().await.unwrap();
    let status = in_head.or_else(|| body.trailers()?.get("grpc-status").cloned()).unwrap();
    (status.to_str().unwrap().to_owned(), body.to_bytes())
}

const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 2];
const SERVICE_UNKNOWN: &[u8] = &[0, 0, 0, 0, 2, 8, 3];

#[tokio::test(start_paused = true)]
async fn probes_are_answered_and_nothing_inside_sees_them() {
    let health = Health::new();
    let inner = Inner::new();
    let service = HealthLayer::new(&health).layer(inner.clone());
    let latch = health.startup().latch("migrations");
    for (path, status, word) in
        [("/livez", 200, "pass\n"), ("/readyz", 503, "unknown\n"), ("/startupz", 503, "unknown\n")]
    {
        let response = send(&service, get(path)).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["cache-control"]),
            (status, &"no-store".parse().unwrap())
        );
        assert_eq!(text(response).await, word);
    }
    latch.set();
    assert_eq!(send(&service, get("/readyz")).await.status(), 200);
    assert_eq!((inner.tally().calls, health.in_flight()), (0, 0));
    send(&service, get("/")).await;
    assert_eq!(inner.tally().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn head_has_the_length_and_no_body() {
    let service = HealthLayer::new(&Health::new()).layer(Inner::new());
    let mut request = get("/livez");
    *request.method_mut() = Method::HEAD;
    let response = send(&service, request).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-length"]),
        (200, &"5".parse().unwrap())
    );
    assert_eq!(text(response).await, "");
}

#[tokio::test(start_paused = true)]
async fn what_is_inside_is_shown_only_to_those_who_may_see_it() {
    let health = Health::new();
    let failing = Check::new("database", async || Err::<(), _>("no route to\nhost")).failures(1);
    health.readiness().check(failing);
    tokio::time::sleep(SECOND).await;
    let layer = HealthLayer::new(&health);
    let hidden = send(&layer.layer(Inner::new()), get("/readyz?verbose")).await;
    assert_eq!(text(hidden).await, "warn\n");
    let layer = layer.with_details(|head| head.header("x-operator").is_some());
    let hidden = send(&layer.layer(Inner::new()), get("/readyz?verbose")).await;
    assert_eq!(text(hidden).await, "warn\n");
    let mut request = get("/readyz?verbose");
    request.headers_mut().insert("x-operator", "yes".parse().unwrap());
    let shown = text(send(&layer.layer(Inner::new()), request).await).await;
    assert_eq!(shown, "[-] database fail for 1 s: no route to host\nwarn\n");
}

#[test]
fn paths_can_be_changed_and_are_checked() {
    let layer = || HealthLayer::new(&Health::new());
    let service = layer().with_path(Probe::Readiness, "/health/ready").layer(Inner::new());
    let answer = |path| send(&service, get(path)).now_or_never().unwrap();
    assert_eq!(answer("/health/ready").headers()["cache-control"], "no-store");
    assert!(!answer("/readyz").headers().contains_key("cache-control"));
    for path in ["readyz", "", "/ready?x", "/livez"] {
        let refused = std::panic::catch_unwind(|| layer().with_path(Probe::Readiness, path));
        let message = *refused.unwrap_err().downcast::<String>().unwrap();
        assert!(
            message.contains("readiness") && message.contains(&format!("{path:?}")),
            "{message}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_wait_for_a_service_that_is_not_ready_and_others_do() {
    let health = Health::new();
    let inner = Inner::new().with_ready(Pace::After(SECOND), Act::Succeed);
    let service = HealthLayer::new(&health).layer(inner.clone());
    let answer = send(&service, get("/readyz")).now_or_never().unwrap();
    assert_eq!(answer.status(), 200);

    let mut other = pin!(service.clone().oneshot(get("/")));
    assert!(other.as_mut().now_or_never().is_none());
    assert_eq!((inner.tally().calls, health.in_flight()), (0, 1));
    assert_eq!(other.await.unwrap().status(), 200);
    assert_eq!((inner.tally().calls, health.in_flight()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_error_of_readiness_is_passed_on_wherever_it_comes() {
    let health = Health::new();
    let inner = Inner::new().with_ready(Pace::AtOnce, Act::Fail);
    assert!(HealthLayer::new(&health).layer(inner).oneshot(get("/")).await.is_err());
    let late = Inner::new().with_ready(Pace::Polls(1), Act::Fail);
    assert!(HealthLayer::new(&health).layer(late).oneshot(get("/")).await.is_err());
    assert_eq!(health.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_in_flight_until_its_body_is_over() {
    let health = Health::new();
    let service = HealthLayer::new(&health).layer(Inner::new().with_body(2, Pace::AtOnce));
    let response = send(&service, get("/")).await;
    assert_eq!(health.in_flight(), 1);
    response.into_body().collect().await.unwrap();
    assert_eq!(health.in_flight(), 0);
    drop(send(&service, get("/")).await);
    drop(service.clone().oneshot(get("/")));
    assert_eq!(health.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_goes_step_by_step() {
    let health = Health::new();
    let service = HealthLayer::new(&health).layer(Inner::new().with_body(2, Pace::AtOnce));
    let long = send(&service, get("/")).await;
    health.drain(5 * SECOND);
    assert_eq!(send(&service, get("/readyz")).await.status(), 503);
    assert_eq!(send(&service, get("/livez")).await.status(), 200);
    assert_eq!(send(&service, get("/")).await.status(), 200, "it serves on");
    tokio::time::sleep(5 * SECOND).await;

    let refused = send(&service, get("/")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(Rejection::of(&refused).unwrap().reason(), SHUTTING_DOWN);
    assert_eq!(
        (&refused.headers()["retry-after"], &refused.headers()["connection"]),
        (&"5".parse().unwrap(), &"close".parse().unwrap())
    );
    let mut second = get("/");
    *second.version_mut() = Version::HTTP_2;
    assert!(!send(&service, second).await.headers().contains_key("connection"));
    let (status, _) = told(send(&service, grpc_of_somebody()).await).await;
    assert_eq!(status, "14");
    assert_eq!(send(&service, get("/livez")).await.status(), 200);

    assert_eq!(health.phase(), Phase::Refusing);
    assert!(health.drained().now_or_never().is_none());
    drop(long);
    health.drained().now_or_never().unwrap();
    health.resume();
    assert_eq!(send(&service, get("/")).await.status(), 200);
    assert_eq!(send(&service, get("/readyz")).await.status(), 200);
}

fn grpc_of_somebody() -> Request<Full<Bytes>> {
    let call = Request::post("/menu.Menu/Today").header("content-type", "application/grpc");
    call.body(Full::default()).unwrap()
}

/// Else clients that keep their connections stay with an instance that is no longer sent any, until it
/// refuses them.
#[tokio::test(start_paused = true)]
async fn while_it_leaves_clients_over_http1_are_asked_to_close_their_connections() {
    let health = Health::new();
    let inner = Inner::new().with_head(Pace::After(2 * SECOND), Act::Succeed);
    let service = HealthLayer::new(&health).layer(inner);
    let asked = async |version, method: Method| {
        let mut request = get("/");
        (*request.version_mut(), *request.method_mut()) = (version, method);
        send(&service, request).await.headers().contains_key("connection")
    };
    assert!(!asked(Version::HTTP_11, Method::GET).await);
    // One that was let in before.
    let (before, ()) = tokio::join!(asked(Version::HTTP_11, Method::GET), async {
        tokio::time::sleep(SECOND).await;
        health.drain(3600 * SECOND);
    });
    assert!(before);
    for (version, method, expected) in [
        (Version::HTTP_10, Method::GET, true),
        (Version::HTTP_11, Method::POST, true),
        (Version::HTTP_11, Method::CONNECT, false),
        (Version::HTTP_2, Method::GET, false),
    ] {
        assert_eq!(asked(version, method.clone()).await, expected, "{version:?} {method}");
    }
    health.resume();
    assert!(!asked(Version::HTTP_11, Method::GET).await);
}

/// An answer that says what becomes of the connection is left as it is.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_upgraded_is_not_asked_to_close() {
    let health = Health::new();
    health.drain(SECOND);
    let upgrades = tower::service_fn(async |_: Request<Full<Bytes>>| {
        let answer = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        answer.header("connection", "upgrade").body(Full::<Bytes>::default())
    });
    let answer = HealthLayer::new(&health).layer(upgrades).oneshot(get("/chat")).await.unwrap();
    assert_eq!(answer.headers()["connection"], "upgrade");
}

#[tokio::test(start_paused = true)]
async fn grpc_health_is_answered_as_the_protocol_says() {
    let health = Health::new();
    let service = HealthLayer::new(&health).layer(Inner::new());
    let menu = health.service("menu.Menu");
    let ok = |message: &'static [u8]| ("0".to_owned(), Bytes::from_static(message));
    for name in ["", "menu.Menu"] {
        assert_eq!(told(send(&service, call("Check", name)).await).await, ok(SERVING), "{name:?}");
    }
    assert_eq!(told(send(&service, call("Check", "menu.Other")).await).await.0, "5");
    assert_eq!(told(send(&service, call("Stop", "")).await).await.0, "12");
    menu.set(ServingStatus::NotServing);
    assert_eq!(told(send(&service, call("Check", "menu.Menu")).await).await, ok(NOT_SERVING));
    let (status, list) = told(send(&service, call("List", "")).await).await;
    assert_eq!((&*status, list.len()), ("0", 5 + 8 + 17));
    for many in 0..100 {
        let _ = health.service(format!("a.S{many}"));
    }
    assert_eq!(told(send(&service, call("List", "")).await).await.0, "8");
}

#[tokio::test(start_paused = true)]
async fn bad_messages_are_told_what_is_wrong() {
    let service = HealthLayer::new(&Health::new()).layer(Inner::new());
    let with = |bytes: &'static [u8]| {
        let mut request = call("Check", "");
        *request.body_mut() = Full::from(bytes);
        request
    };
    for (bytes, expected) in [
        (&[][..], "3"),
        (&[0, 0, 0][..], "3"),
        (&[0, 0, 0, 0, 9, 1][..], "3"),
        (&[1, 0, 0, 0, 0][..], "12"),
        (&[0, 255, 255, 255, 255, 0][..], "8"),
        (&[0, 0, 0, 0, 2, 0x0a, 9][..], "3"),
        (&[0, 0, 0, 0, 3, 0x0a, 1, 0xff][..], "3"),
    ] {
        let response = send(&service, with(bytes)).await;
        assert!(response.headers().contains_key("grpc-message"), "{bytes:?}");
        assert_eq!(told(response).await.0, expected, "{bytes:?}");
    }
}

/// A server that shuts down would wait for it for ever. Meanwhile it is answered as any other, also when
/// all else is refused: over a socket, a message comes after its head.
#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_come_is_not_waited_for_for_ever() {
    let health = Health::new();
    let service = HealthLayer::new(&health).layer(Inner::new());
    health.drain(Duration::ZERO);
    let slow = |pause: Duration| {
        let parts = [&[0; 3][..], &[0; 2][..]].map(Bytes::from_static);
        StreamBody::new(futures_util::stream::iter(parts).then(move |part| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Frame::data(part))
        }))
    };
    for (method, answered) in
        [("Check", NOT_SERVING.len()), ("Watch", NOT_SERVING.len()), ("List", 5 + 8)]
    {
        let ask = |pause| service.clone().oneshot(call(method, "").map(|_| slow(pause)));
        let in_time = told(ask(4 * SECOND).await.unwrap()).await;
        assert_eq!((&*in_time.0, in_time.1.len()), ("0", answered), "{method}");
        let late = tokio::time::timeout(11 * SECOND, ask(6 * SECOND)).await.unwrap();
        assert_eq!(told(late.unwrap()).await.0, "4", "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_watches_is_told_of_each_change_and_of_the_end() {
    let health = Health::new();
    let service = HealthLayer::new(&health).layer(Inner::new());
    let mut unknown = send(&service, call("Watch", "menu.Menu")).await.into_body();
    let mut whole = send(&service, call("Watch", "")).await.into_body();
    let next = async |body: &mut ResponseBody<ProbeBody>| {
        body.frame().await.unwrap().unwrap().into_data().unwrap()
    };
    assert_eq!(next(&mut unknown).await, SERVICE_UNKNOWN);
    assert_eq!(next(&mut whole).await, SERVING);
    assert!(unknown.frame().now_or_never().is_none(), "it stays open");
    let _menu = health.service("menu.Menu");
    assert_eq!(next(&mut unknown).await, SERVING);
    health.drain(SECOND);
    for body in [&mut unknown, &mut whole] {
        assert_eq!(next(body).await, NOT_SERVING);
        let last = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(last["grpc-status"], "0");
        assert!(body.frame().await.is_none());
    }
    assert_eq!(health.phase(), Phase::Drained);
    assert_eq!(health.status(Probe::Liveness), Status::Pass);
}

#[tokio::test]
async fn on_a_port_of_its_own_all_else_is_not_found() {
    let service = HealthLayer::new(&Health::new()).into_service();
    for (path, status) in [("/livez", 200), ("/", 404), ("/metrics", 404)] {
        assert_eq!(service.clone().oneshot(get(path)).await.unwrap().status(), status, "{path}");
    }
}

/// tower's limit and its buffer panic otherwise.
#[tokio::test(start_paused = true)]
async fn the_instance_that_was_asked_is_the_one_that_is_called() {
    let health = Health::new();
    let inner = ServiceBuilder::new()
        .concurrency_limit(1)
        .service(Inner::new().with_head(Pace::After(SECOND), Act::Succeed));
    let service = HealthLayer::new(&health).layer(inner);
    let calls = (0..5).map(|_| service.clone().oneshot(get("/")));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(health.in_flight(), 0);
}
