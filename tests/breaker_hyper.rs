//! A breaker around hyper's client, and a real axum server that fails on command.
//!
//! A circuit is open for an hour, so that no test is too slow to be refused; it passes by putting the
//! client's clock forward while nothing is under way.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod breakers;

use std::time::Duration;

use breakers::{Told, Upstream, VERSIONS, an_hour_later, client, get, is_refusal, policy, send};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use palisade::{
    Rejection,
    breaker::{BreakerLayer, CIRCUIT_OPEN, Cause, State, Switch, Transitions, Trip},
    timeout::{TIMED_OUT, TimeoutLayer},
};
use palisade_testkit::sockets::{deaf, eventually};
use tower::{Layer, ServiceExt};

fn causes(transitions: &mut Transitions) -> Vec<Cause> {
    std::iter::from_fn(|| transitions.try_next()).map(|one| one.cause).collect()
}

fn breaker() -> (BreakerLayer, Switch) {
    let layer = BreakerLayer::new(policy());
    let switch = layer.handle();
    (layer, switch)
}

#[tokio::test]
async fn an_upstream_that_fails_is_left_alone_until_it_is_well() {
    for version in VERSIONS {
        let (upstream, (layer, switch)) = (Upstream::new(), breaker());
        let mut transitions = switch.subscribe();
        let client = layer.layer(client(version));
        let root = || upstream.get("/");
        for status in [200, 500, 200, 500] {
            upstream.told.answer(status);
            assert_eq!(send(&client, root()).await.status(), status);
            assert_eq!(switch.state(), State::Closed);
        }
        let last = send(&client, root()).await;
        assert!(last.status() == 500 && Rejection::of(&last).is_none(), "its own answer");

        let touched = upstream.told.touched();
        for _ in 0..100 {
            let refused = send(&client, root()).await;
            assert!(is_refusal(&refused));
            assert_eq!(Rejection::of(&refused).unwrap().reason(), CIRCUIT_OPEN);
        }
        assert_eq!(upstream.told.touched(), touched, "{version:?}");

        // It is asked once, and is not well.
        an_hour_later().await;
        assert_eq!(send(&client, root()).await.status(), 500);
        assert!(is_refusal(&send(&client, root()).await));
        assert_eq!(upstream.told.requests(), touched.1 + 1);

        upstream.told.answer(200);
        an_hour_later().await;
        for _ in 0..10 {
            assert_eq!(send(&client, root()).await.status(), 200);
        }
        assert_eq!(
            causes(&mut transitions),
            [
                Cause::Consecutive,
                Cause::OpenTimeOver,
                Cause::ProbesFailed,
                Cause::OpenTimeOver,
                Cause::ProbesPassed,
            ]
        );
        let stats = switch.stats();
        assert_eq!((stats.total_calls, stats.total_failures, stats.refused), (16, 4, 101));
    }
}

#[tokio::test]
async fn half_of_the_calls_that_fail_open_it_and_not_before_there_were_enough() {
    for version in VERSIONS {
        let upstream = Upstream::new();
        let layer = BreakerLayer::new(policy().with_trip(Trip::rate(0.5).min(10)));
        let (client, switch) = (layer.layer(client(version)), layer.handle());
        for call in 0..10 {
            assert_eq!(switch.state(), State::Closed, "after {call}");
            upstream.told.answer(if call % 2 == 0 { 200 } else { 503 });
            send(&client, upstream.get("/")).await;
        }
        assert!(is_refusal(&send(&client, upstream.get("/")).await));
        assert_eq!(upstream.told.requests(), 10);
    }
}

/// However many ask at once.
#[tokio::test]
async fn a_single_probe_is_sent_while_all_others_are_refused() {
    for version in VERSIONS {
        let (upstream, (layer, switch)) = (Upstream::new(), breaker());
        let client = layer.layer(client(version));
        upstream.told.answer(500);
        join_all([(); 2].map(|()| send(&client, upstream.get("/")))).await;
        upstream.told.answer(200);
        an_hour_later().await;

        let asked = (0..50).map(|_| send(&client, upstream.get("/held")));
        let mut asked: FuturesUnordered<_> = asked.collect();
        for _ in 0..49 {
            let refused = asked.next().await.unwrap();
            assert_eq!(
                (refused.status().as_u16(), &refused.headers()["retry-after"]),
                (503, &"1".parse().unwrap())
            );
        }
        assert_eq!((switch.state(), switch.stats().probes_in_flight), (State::HalfOpen, 1));
        upstream.told.gate().let_pass(1);
        assert_eq!(asked.next().await.unwrap().status(), 200);
        assert_eq!((switch.state(), upstream.told.requests()), (State::Closed, 3));
    }
}

#[tokio::test]
async fn an_upstream_that_hangs_opens_it_when_a_timeout_inside_gives_it_up() {
    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(60);
    for version in VERSIONS {
        let (upstream, (layer, switch)) = (Upstream::new(), breaker());
        let timeout =
            TimeoutLayer::client(LONG).by(|head| (head.uri().path() == "/hangs").then_some(SHORT));
        let client = layer.layer(timeout.layer(client(version)));
        for _ in 0..2 {
            assert_eq!(switch.state(), State::Closed);
            let answer = send(&client, upstream.get("/hangs")).await;
            assert_eq!(answer.status(), 504);
            assert_eq!(Rejection::of(&answer).unwrap().reason(), TIMED_OUT);
        }
        assert!(is_refusal(&send(&client, upstream.get("/")).await));
        eventually(|| upstream.told.under_way() == 0).await;
        assert_eq!(timeout.handle().timed_out(), 2);

        an_hour_later().await;
        assert_eq!(send(&client, upstream.get("/hangs")).await.status(), 504);
        assert!(is_refusal(&send(&client, upstream.get("/")).await));
        an_hour_later().await;
        assert_eq!(send(&client, upstream.get("/")).await.status(), 200);
        assert_eq!(switch.state(), State::Closed);
    }
}

/// Its callers may be impatient, and it may be well.
#[tokio::test]
async fn an_upstream_that_is_not_waited_for_has_not_failed() {
    for version in VERSIONS {
        let (upstream, (layer, switch)) = (Upstream::new(), breaker());
        let client = layer.layer(client(version));
        for call in 1..=5 {
            let given_up = tokio::spawn(client.clone().oneshot(upstream.get("/hangs")));
            eventually(|| upstream.told.requests() == call).await;
            given_up.abort();
            assert!(given_up.await.unwrap_err().is_cancelled());
            eventually(|| upstream.told.under_way() == 0).await;
        }
        let stats = switch.stats();
        assert_eq!((stats.state, stats.calls, stats.ignored), (State::Closed, 0, 5));
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_opens_it_until_somebody_does() {
    for version in VERSIONS {
        let (dead, (layer, switch)) = (deaf(), breaker());
        let address = dead.local_addr().unwrap();
        let client = layer.layer(client(version));
        for _ in 0..2 {
            let error = client.clone().oneshot(get(address, "/")).await.unwrap_err();
            assert!(error.is_connect(), "the client's own error: {error}");
        }
        for _ in 0..10 {
            assert!(is_refusal(&send(&client, get(address, "/")).await));
        }
        an_hour_later().await;
        client.clone().oneshot(get(address, "/")).await.unwrap_err();
        assert!(is_refusal(&send(&client, get(address, "/")).await));

        let told = Told::default();
        let serving = tokio::spawn(told.clone().serve(dead.listen(8).unwrap()));
        an_hour_later().await;
        assert_eq!(send(&client, get(address, "/")).await.status(), 200);
        assert_eq!((switch.state(), told.requests()), (State::Closed, 1));
        assert_eq!(switch.stats().opened, 2);
        serving.abort();
    }
}

/// Nor does a flood of them hide that it fails otherwise.
#[tokio::test]
async fn what_callers_ask_wrongly_neither_opens_nor_closes_it() {
    for version in VERSIONS {
        let (upstream, (layer, switch)) = (Upstream::new(), breaker());
        let client = layer.layer(client(version));
        for status in [500, 404, 400, 401, 403, 409, 422, 501, 505] {
            upstream.told.answer(status);
            assert_eq!(send(&client, upstream.get("/")).await.status(), status);
        }
        assert_eq!((switch.state(), switch.stats().ignored), (State::Closed, 8));
        upstream.told.answer(503);
        send(&client, upstream.get("/")).await;
        assert_eq!(switch.state(), State::Open);

        upstream.told.answer(404);
        an_hour_later().await;
        for _ in 0..5 {
            assert_eq!(send(&client, upstream.get("/")).await.status(), 404);
            assert_eq!(switch.state(), State::HalfOpen);
        }
        upstream.told.answer(200);
        send(&client, upstream.get("/")).await;
        assert_eq!(switch.state(), State::Closed);
    }
}
