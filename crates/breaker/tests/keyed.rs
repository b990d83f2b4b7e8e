//! A circuit for each upstream, in paused time.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{
    convert::Infallible,
    future::ready,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::Full;
use palisade_breaker::{KeyedBreakerLayer, Policy, Probes, State, Trip};
use palisade_core::{Backoff, Head, Rejection};
use palisade_key::{HeaderKey, KEY_MISSING, Missing};
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

type Keyed = KeyedBreakerLayer<HeaderKey>;

fn layer() -> Keyed {
    of(Trip::consecutive(2).or(Trip::rate(0.5)))
}

fn of(trip: Trip) -> Keyed {
    let policy =
        Policy::new(trip).with_open(Backoff::constant(5 * SECOND)).with_probes(Probes::new(1));
    KeyedBreakerLayer::new(policy, HeaderKey::new(HeaderName::from_static("x-upstream")))
}

fn to(upstream: &str) -> Request<()> {
    Request::get("/").header("x-upstream", upstream).body(()).unwrap()
}

async fn send(layer: &Keyed, request: Request<()>, status: u16) -> Response<()> {
    let inner = service_fn(move |_| {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        ready(Ok::<_, Infallible>(response))
    });
    layer.layer(inner).oneshot(request).await.unwrap().map(drop)
}

async fn open(layer: &Keyed, upstream: &str) {
    for _ in 0..2 {
        send(layer, to(upstream), 500).await;
    }
    assert_eq!(layer.handle().of(upstream.as_bytes()).unwrap().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_is_refused_and_all_else_is_called() {
    let layer = layer();
    open(&layer, "red").await;
    assert_eq!(send(&layer, to("red"), 200).await.status(), 503);
    assert_eq!(send(&layer, to("blue"), 200).await.status(), 200);
    advance(5 * SECOND).await;
    assert_eq!(send(&layer, to("red"), 200).await.status(), 200);
    let mut all: Vec<_> =
        layer.handle().all().into_iter().map(|(key, one)| (key, one.state())).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(all, [(b"blue".to_vec(), State::Closed), (b"red".to_vec(), State::Closed)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_closed_and_idle_is_forgotten_for_what_is_new() {
    let layer = layer().with_max(2);
    open(&layer, "red").await;
    send(&layer, to("blue"), 200).await;
    // Blue was called within the window.
    send(&layer, to("green"), 200).await;
    let switches = layer.handle();
    assert_eq!((switches.len(), switches.crowded()), (2, 1));
    assert!(switches.of(b"green").is_none());
    assert_eq!(switches.shared().stats().calls, 1);
    advance(11 * SECOND).await;
    send(&layer, to("green"), 200).await;
    assert_eq!((switches.len(), switches.crowded()), (2, 1));
    assert!(switches.of(b"blue").is_none());
    assert!(switches.of(b"red").is_some(), "it may be probed since a few seconds");
}

#[tokio::test(start_paused = true)]
async fn what_is_forced_or_in_flight_never_goes() {
    let layer = layer().with_max(1);
    layer.handle().make(b"red").unwrap().force_open();
    advance(11 * SECOND).await;
    assert_eq!(send(&layer, to("blue"), 200).await.status(), 200);
    assert_eq!(send(&layer, to("red"), 200).await.status(), 503);
    layer.handle().of(b"red").unwrap().automatic();
    let hanging = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let hanging = tokio::spawn(layer.layer(hanging).oneshot(to("red")));
    tokio::task::yield_now().await;
    send(&layer, to("blue"), 200).await;
    assert!(layer.handle().of(b"red").is_some());
    hanging.abort();
    let _ = hanging.await;
    advance(SECOND).await;
    send(&layer, to("blue"), 200).await;
    assert!(layer.handle().of(b"blue").is_some());
}

/// However many keys come by.
#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_makes_no_more_circuits_than_it_may() {
    let layer = layer().with_max(100);
    for number in 0..10_000 {
        send(&layer, to(&number.to_string()), 200).await;
    }
    assert!(layer.handle().len() <= 100);
    assert!(layer.handle().crowded() >= 9_900);
    assert_eq!(
        send(&KeyedBreakerLayer::clone(&layer).with_max(0), to("red"), 200).await.status(),
        200
    );
}

#[tokio::test(start_paused = true)]
async fn requests_without_a_key_go_by_their_policy() {
    let nobody = || Request::new(());
    let shared = layer();
    for _ in 0..2 {
        send(&shared, nobody(), 500).await;
    }
    assert_eq!(send(&shared, nobody(), 200).await.status(), 503);
    assert_eq!(shared.handle().shared().state(), State::Open);

    let skip = layer().with_missing(Missing::Skip);
    for _ in 0..5 {
        assert_eq!(send(&skip, nobody(), 500).await.status(), 500);
    }
    let reject = layer().with_missing(Missing::Reject);
    let refused = send(&reject, nobody(), 200).await;
    assert_eq!(Rejection::of(&refused).unwrap().reason(), KEY_MISSING);
}

#[tokio::test(start_paused = true)]
async fn one_failure_is_forgotten_when_its_window_is_over() {
    // No trip by calls in a row at all: nothing distinguishes these circuits from new ones after 10 s.
    let layer = of(Trip::rate(0.5)).with_max(16);
    for n in 0..16 {
        send(&layer, to(&format!("typo{n}")), 502).await;
    }
    advance(365 * 24 * 3600 * SECOND).await;
    send(&layer, to("billing"), 200).await;
    let switches = layer.handle();
    assert_eq!((switches.crowded(), switches.of(b"billing").is_some()), (0, true));
}

#[tokio::test(start_paused = true)]
async fn dead_upstreams_that_nobody_calls_do_not_keep_all_others_out_for_ever() {
    let layer = of(Trip::default()).with_max(16);
    for n in 0..16 {
        for _ in 0..5 {
            send(&layer, to(&format!("dead{n}")), 502).await;
        }
    }
    advance(365 * 24 * 3600 * SECOND).await;
    // One bad newcomer has a circuit that is open ...
    for _ in 0..5 {
        send(&layer, to("bad"), 502).await;
    }
    // ... and it is nobody else's.
    assert_eq!(send(&layer, to("billing"), 200).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_made_in_order_to_force_it_is_forced() {
    let layer = of(Trip::consecutive(2)).with_max(1);
    let billing = layer.handle().make(b"billing").unwrap();
    send(&layer, to("other"), 200).await; // meanwhile
    billing.force_open();
    assert_eq!(billing.state(), State::Open);
    assert_eq!(send(&layer, to("billing"), 200).await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn as_many_keys_as_there_may_be_have_a_circuit_each() {
    let layer = of(Trip::consecutive(2)).with_max(1024);
    for n in 0..900 {
        send(&layer, to(&format!("upstream-{n}")), 200).await;
    }
    assert_eq!((layer.handle().len(), layer.handle().crowded()), (900, 0));
}

/// A key whose copy panics, where it says so.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Brittle(bool);

impl Clone for Brittle {
    fn clone(&self) -> Self {
        assert!(!self.0, "it breaks as planned");
        Self(self.0)
    }
}

#[test]
fn a_key_that_cannot_be_copied_takes_no_room() {
    let by_key = |head: Head<'_>| head.header("x-upstream").map(|_| Brittle(true));
    let layer = KeyedBreakerLayer::new(Trip::consecutive(2), by_key).with_max(1);
    let switches = layer.handle();
    let broken = catch_unwind(AssertUnwindSafe(|| drop(switches.make(&Brittle(true)))));
    assert!(broken.is_err());
    assert_eq!(switches.len(), 0);
    assert!(switches.make(&Brittle(false)).is_some());
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_told_where_there_is_no_room() {
    let layer = layer().with_max(1);
    send(&layer, to("busy"), 200).await;
    assert!(layer.handle().make(b"billing").is_none());
    assert!(layer.handle().make(b"busy").is_some());
}
