//! With what waits, sheds and limits above and below it, nothing wedges.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use http::Request;
use palisade_breaker::{BreakerLayer, Policy, Probes, State, Switch, Trip};
use palisade_core::{Backoff, Rejection};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::{advance, timeout};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, limit::GlobalConcurrencyLimitLayer,
    load_shed::error::Overloaded,
};

const SECOND: Duration = Duration::from_secs(1);

fn layer() -> (BreakerLayer, Switch) {
    let policy = Policy::new(Trip::consecutive(2))
        .with_open(Backoff::constant(5 * SECOND))
        .with_probes(Probes::new(1));
    let layer = BreakerLayer::new(policy);
    let switch = layer.handle();
    (layer, switch)
}

fn get() -> Request<()> {
    Request::new(())
}

async fn open(layer: &BreakerLayer) {
    let failing = Probe::new().with_head(Pace::AtOnce, Act::Fail);
    for _ in 0..2 {
        layer.layer(failing.clone()).oneshot(get()).await.unwrap_err();
    }
    assert_eq!(layer.handle().state(), State::Open);
}

/// Its worker waits at the gate with the first of them, and goes on with all.
#[tokio::test(start_paused = true)]
async fn a_buffer_over_a_gate_keeps_its_requests_until_the_circuit_lets_them_through() {
    let (probe, (layer, switch)) = (Probe::new(), layer());
    let service =
        ServiceBuilder::new().buffer(8).layer(layer.clone().gate()).service(probe.clone());
    for round in 1..=20 {
        open(&layer).await;
        let asked = join_all((0..8).map(|_| service.clone().oneshot(get())));
        let asked = tokio::spawn(asked);
        advance(4 * SECOND).await;
        assert_eq!(probe.tally().calls, (round - 1) * 8, "the inner service is left alone");
        for answer in timeout(2 * SECOND, asked).await.unwrap().unwrap() {
            let answer = answer.unwrap();
            assert!(answer.status() == 200 && Rejection::of(&answer).is_none());
        }
        assert_eq!(switch.state(), State::Closed);
    }
}

/// Also those that waited when the gate was shut for good, and opened by hand.
#[tokio::test(start_paused = true)]
async fn a_buffer_over_a_gate_loses_none_of_those_who_gave_up() {
    let (probe, (layer, switch)) = (Probe::new(), layer());
    let service = ServiceBuilder::new().buffer(8).layer(layer.gate()).service(probe.clone());
    switch.force_open();
    for _ in 0..20 {
        assert!(timeout(SECOND, service.clone().oneshot(get())).await.is_err());
    }
    let last = tokio::spawn(service.oneshot(get()));
    advance(SECOND).await;
    assert_eq!(probe.tally().calls, 0);
    switch.automatic();
    assert_eq!(timeout(SECOND, last).await.unwrap().unwrap().unwrap().status(), 200);
    assert_eq!(probe.tally().in_flight, 0);
}

/// What sheds where it is not ready has nothing to shed: refusals are answers.
#[tokio::test(start_paused = true)]
async fn load_shed_over_a_breaker_sheds_for_the_inner_service_only() {
    let (probe, (layer, switch)) = (Probe::new().with_ready(Pace::Never, Act::Succeed), layer());
    let service = ServiceBuilder::new().load_shed().layer(layer.clone()).service(probe.clone());
    let shed = service.clone().oneshot(get()).await.unwrap_err();
    assert!(shed.is::<Overloaded>());
    open(&layer).await;
    let polls = probe.tally().readiness_polls;
    for _ in 0..3 {
        let refused = service.clone().oneshot(get()).await.unwrap();
        assert!(Rejection::of(&refused).is_some());
    }
    assert_eq!(probe.tally().readiness_polls, polls);
    // A probe needs the service to be ready, and it is not: that takes no place.
    advance(5 * SECOND).await;
    assert!(service.clone().oneshot(get()).await.unwrap_err().is::<Overloaded>());
    assert_eq!((switch.state(), switch.stats().probes_in_flight), (State::HalfOpen, 0));
    probe.replan(|plan| plan.ready.0 = Pace::AtOnce);
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(switch.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn load_shed_over_a_gate_sheds_while_it_is_open() {
    let (layer, _) = layer();
    let service = ServiceBuilder::new().load_shed().layer(layer.clone().gate());
    let service = service.service(Probe::new());
    open(&layer).await;
    for _ in 0..3 {
        assert!(service.clone().oneshot(get()).await.unwrap_err().is::<Overloaded>());
    }
    advance(5 * SECOND).await;
    assert_eq!(service.oneshot(get()).await.unwrap().status(), 200);
}

/// Those who were ready and lost the race for a probe have each a reservation of a limit inside. It comes
/// back with the instance's next call, or with the instance.
#[tokio::test(start_paused = true)]
async fn a_reservation_inside_is_kept_by_who_lost_the_race_and_not_lost() {
    let (probe, (layer, switch)) = (Probe::new(), layer());
    let limit = GlobalConcurrencyLimitLayer::new(2);
    let service = ServiceBuilder::new().layer(layer.clone()).layer(limit).service(probe.clone());
    open(&layer).await;
    advance(5 * SECOND).await;
    let (mut first, mut second) = (service.clone(), service.clone());
    ServiceExt::<Request<()>>::ready(&mut first).await.unwrap();
    ServiceExt::<Request<()>>::ready(&mut second).await.unwrap();
    let probing = first.call(get());
    let refused = second.call(get()).await.unwrap();
    assert!(Rejection::of(&refused).is_some());
    assert_eq!(probing.await.unwrap().status(), 200);
    assert_eq!(switch.state(), State::Closed);

    // It has one of the two; whoever it is, is called with it, or gives it back.
    let mut third = service.clone();
    ServiceExt::<Request<()>>::ready(&mut third).await.unwrap();
    let mut fourth = service.clone();
    assert!(ServiceExt::<Request<()>>::ready(&mut fourth).now_or_never().is_none());
    drop(second);
    ServiceExt::<Request<()>>::ready(&mut fourth).await.unwrap();
    for mut ready in [third, fourth] {
        assert_eq!(ready.call(get()).await.unwrap().status(), 200);
    }
    assert_eq!((probe.tally().calls, probe.tally().in_flight), (3, 0));
}

/// A limit outside has its place back from a refusal, and from what waited at the gate and gave up.
#[tokio::test(start_paused = true)]
async fn a_limit_over_a_gate_has_its_place_back_from_who_gave_up_waiting() {
    let (probe, (layer, _)) = (Probe::new(), layer());
    let limit = GlobalConcurrencyLimitLayer::new(1);
    let service = ServiceBuilder::new().layer(limit).layer(layer.clone().gate());
    let service = service.service(probe.clone());
    open(&layer).await;
    for _ in 0..4 {
        assert!(timeout(SECOND, service.clone().oneshot(get())).await.is_err());
    }
    assert_eq!(timeout(2 * SECOND, service.oneshot(get())).await.unwrap().unwrap().status(), 200);
    assert_eq!(probe.tally().calls, 1);
}
