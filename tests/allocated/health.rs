//! What health allocates: nothing for a request that is no probe.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::measure;
use bytes::Bytes;
use http::Request;
use http_body::Body;
use http_body_util::Full;
use palisade::health::{Check, Health, HealthLayer, Heartbeat, Probe, Status};
use tower::{Layer, Service};

use crate::{Answers, allocates, allocates_nothing, exchange, requests};

const HOUR: Duration = Duration::from_secs(3600);

/// With everything registered that there is.
fn health() -> Health {
    let health = Health::new();
    health.readiness().check(Check::reading("queue", || Status::Warn));
    health.readiness().check(Check::new("disk", async || ()).critical());
    health.startup().latch("migrations").set();
    let _menu = health.service("menu.Menu");
    health
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_no_probe_allocates_nothing() {
    let health = health();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let layer = HealthLayer::new(&health);
    allocates_nothing(&layer);
    allocates_nothing(&layer.clone().with_path(Probe::Liveness, "/alive").with_details(|_| true));
    // For the header that asks the client to close its connection.
    health.drain(HOUR);
    allocates(&layer, [2; 3]);
    health.resume();
    allocates_nothing(&layer);
}

/// What was registered waits for one all the while.
#[test]
fn nor_does_it_where_there_is_no_runtime() {
    allocates_nothing(&HealthLayer::new(&health()));
}

#[tokio::test(start_paused = true)]
async fn a_beat_and_a_status_allocate_nothing() {
    let health = health();
    let pulse = health.liveness().pulse(Heartbeat::every("loop", HOUR));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let asked = measure(|| {
        pulse.beat();
        assert_eq!(Probe::ALL.map(|probe| health.status(probe).is_up()), [true; 3]);
        drop(health.enter());
    });
    assert_eq!(asked.count_total, 0);
    pulse.retire();
}

#[test]
fn what_a_refusal_allocates_is_freed_with_its_response() {
    let health = Health::new();
    let mut service = HealthLayer::new(&health).layer(Answers);
    health.drain(Duration::ZERO);
    for request in requests() {
        exchange(&mut service, request);
    }
    for request in requests() {
        let refusal = measure(|| exchange(&mut service, request));
        assert!(refusal.count_total > 0, "nothing was measured");
        // The request itself was allocated before and is freed within.
        assert!(refusal.count_current <= 0 && refusal.bytes_current <= 0, "{refusal:?}");
    }
}

/// Of a watch when it is given up.
#[tokio::test(start_paused = true)]
async fn what_an_answer_to_a_probe_allocates_is_freed_with_it() {
    let health = health();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut service = HealthLayer::new(&health).layer(Answers);
    let mut ask = |path: &'static str| {
        let call = Request::post(path).header("content-type", "application/grpc");
        let menu = Bytes::from_static(b"\0\0\0\0\x0b\x0a\x09menu.Menu");
        let call = call.body(Full::new(menu)).expect("a path");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Service::<Request<Full<Bytes>>>::poll_ready(&mut service, &mut cx).is_ready());
        let Poll::Ready(Ok(answer)) = pin!(service.call(call)).poll(&mut cx) else {
            panic!("no answer")
        };
        let mut body = pin!(answer.into_body());
        while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(&mut cx) {}
    };
    for path in [
        "/livez",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.health.v1.Health/List",
        "/grpc.health.v1.Health/Stop",
    ] {
        ask(path);
        let asked = measure(|| ask(path));
        assert!(asked.count_total > 0, "nothing was measured");
        assert_eq!((asked.count_current, asked.bytes_current), (0, 0), "{path}: {asked:?}");
    }
}
