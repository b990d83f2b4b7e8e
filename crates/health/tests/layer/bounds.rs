//! What the layer holds, gives back, and bounds.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use palisade_health::{Check, Health, HealthLayer, Held, ServingStatus, Status};
use palisade_testkit::Probe as Inner;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use crate::{SECOND, call, get};

/// tower's limit makes its permit in `poll_ready`, and keeps it with the instance.
#[tokio::test(start_paused = true)]
async fn neither_a_probe_nor_a_refusal_keeps_what_was_reserved_for_a_request() {
    let health = Health::new();
    let limit = ConcurrencyLimitLayer::new(1);
    let inner = ServiceBuilder::new().layer(limit).service(Inner::new());
    let service = HealthLayer::new(&health).layer(inner);
    let mut prober = service.clone();
    for path in ["/livez", "/"] {
        if path == "/" {
            health.drain(Duration::ZERO);
        }
        let ready = ServiceExt::<Request<Full<Bytes>>>::ready(&mut prober).await.unwrap();
        drop(ready.call(get(path)).await.unwrap());
        health.resume();
        // Whoever keeps the instance does not keep the only place.
        let other = service.clone().oneshot(get("/")).now_or_never();
        assert_eq!(other.expect("there is a place").unwrap().status(), 200, "after {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_watch_and_no_more() {
    let service = HealthLayer::new(&Health::new()).with_max_watches(2).layer(Inner::new());
    let watch = async || service.clone().oneshot(call("Watch", "")).await.unwrap();
    let (one, other) = (watch().await, watch().await);
    let refused = watch().await;
    assert_eq!(refused.headers()["grpc-status"], "8");
    drop(one);
    assert!(!watch().await.headers().contains_key("grpc-status"));
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_empty_frames_comes_to_an_end() {
    let service = HealthLayer::new(&Health::new()).layer(Inner::new());
    let frames = stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::new())));
    let endless = call("Check", "").map(|_| StreamBody::new(frames));
    let answer = service.oneshot(endless).now_or_never().expect("at once").unwrap();
    assert_eq!(answer.headers()["grpc-status"], "8");
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_is_in_flight_while_its_task_holds_it() {
    let health = Health::new();
    let (sender, mut held) = tokio::sync::mpsc::unbounded_channel();
    let upgrading = service_fn(move |mut request: Request<Full<Bytes>>| {
        let _ = sender.send(request.extensions_mut().remove::<Held>());
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    let service = HealthLayer::new(&health).layer(upgrading);
    for (request, expected) in [
        (Request::get("/").header("upgrade", "websocket"), 1),
        (Request::connect("example:443").version(Version::HTTP_2), 1),
        (Request::get("/"), 0),
    ] {
        let request = request.body(Full::default()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
        let held = held.recv().await.unwrap();
        assert_eq!(health.in_flight(), expected);
        drop(held);
        assert_eq!(health.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_shown_makes_lines_of_its_own() {
    let health = Health::new();
    let forged = "ok\n[+] all pass\u{1b}[2J\u{2028}";
    let failing = Check::new("a\nb", move || async move { Err::<(), _>(forged) }).failures(1);
    health.readiness().check(failing);
    tokio::time::sleep(SECOND).await;
    let service = HealthLayer::new(&health).with_details(|_| true).into_service();
    let answer = service.oneshot(get("/readyz?verbose")).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, "[-] a b fail for 1 s: ok [+] all pass [2J \nwarn\n");
}

#[tokio::test(start_paused = true)]
async fn asking_to_close_takes_nothing_away() {
    let health = Health::new();
    let inner = service_fn(async |_: Request<Full<Bytes>>| {
        let response = Response::builder().header("connection", "upgrade").status(426);
        Ok::<_, Infallible>(response.body(Full::<Bytes>::default()).unwrap())
    });
    let service = HealthLayer::new(&health).layer(inner);
    health.drain(SECOND);
    let response = service.oneshot(get("/")).await.unwrap();
    let said: Vec<_> = response.headers().get_all("connection").iter().collect();
    assert_eq!(said, ["upgrade", "close"]);
}

#[tokio::test(start_paused = true)]
async fn a_check_is_never_answered_that_a_service_is_unknown() {
    let health = Health::new();
    health.service("menu.Menu").set(ServingStatus::ServiceUnknown);
    let service = HealthLayer::new(&health).into_service();
    let answer = service.oneshot(call("Check", "menu.Menu")).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "5");
    assert_eq!(health.status(palisade_health::Probe::Liveness), Status::Pass);
}
