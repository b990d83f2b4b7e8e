//! The circuit as a gate: in front of an endpoint, inside a load balancer, and with tower's own layers.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake},
    time::Duration,
};

use http::Request;
use palisade_breaker::{BreakerLayer, Gate, Policy, Probes, State, Trip};
use palisade_core::{Backoff, BoxError, Rejection};
use palisade_testkit::{Act, Pace, Probe, ProbeError};
use tokio::time::advance;
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, balance::p2c::Balance, discover::ServiceList,
    load::Constant,
};

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy::new(Trip::consecutive(2))
        .with_open(Backoff::constant(5 * SECOND))
        .with_probes(Probes::new(1))
}

fn get() -> Request<()> {
    Request::new(())
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn poll<S: Service<Request<()>>>(
    service: &mut S,
    woken: &Arc<Woken>,
) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(&Arc::clone(woken).into()))
}

async fn ready(service: &mut Gate<Probe>) -> &mut Gate<Probe> {
    ServiceExt::<Request<()>>::ready(service).await.unwrap()
}

async fn fail(service: &mut Gate<Probe>, probe: &Probe) {
    probe.replan(|plan| plan.head.1 = Act::Fail);
    for _ in 0..2 {
        let error = ready(service).await.call(get()).await.unwrap_err();
        assert_eq!(error, ProbeError);
    }
    probe.replan(|plan| plan.head.1 = Act::Succeed);
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ready_while_open_and_woken_by_time_once() {
    let (probe, layer) = (Probe::new(), BreakerLayer::new(policy()).gate());
    let (mut service, woken) = (layer.layer(probe.clone()), Arc::new(Woken::default()));
    fail(&mut service, &probe).await;
    let polls = probe.tally().readiness_polls;
    assert!(poll(&mut service, &woken).is_pending());
    advance(4999 * SECOND / 1000).await;
    assert_eq!(woken.0.load(Relaxed), 0, "nobody spins");
    assert_eq!(probe.tally().readiness_polls, polls, "the inner service is not asked");
    advance(2 * SECOND / 1000).await;
    assert_eq!(woken.0.load(Relaxed), 1);
    assert!(poll(&mut service, &woken).is_ready());
    assert_eq!(service.call(get()).await.unwrap().status(), 200);
    assert_eq!(layer.handle().state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_operator_wakes_those_who_wait() {
    let (probe, layer) = (Probe::new(), BreakerLayer::new(policy()).gate());
    let (mut service, woken) = (layer.layer(probe.clone()), Arc::new(Woken::default()));
    layer.handle().force_open();
    assert!(poll(&mut service, &woken).is_pending());
    advance(3600 * SECOND).await;
    assert!(poll(&mut service, &woken).is_pending());
    assert_eq!(woken.0.load(Relaxed), 0);
    layer.handle().automatic();
    assert_eq!(woken.0.load(Relaxed), 1);
    assert!(poll(&mut service, &woken).is_ready());

    fail(&mut service, &probe).await;
    assert!(poll(&mut service, &woken).is_pending());
    layer.handle().reset();
    assert_eq!(woken.0.load(Relaxed), 2);
    assert!(poll(&mut service, &woken).is_ready());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_probe_is_woken_when_it_comes_back() {
    let (probe, layer) = (Probe::new(), BreakerLayer::new(policy()).gate());
    let (mut service, woken) = (layer.layer(probe.clone()), Arc::new(Woken::default()));
    fail(&mut service, &probe).await;
    advance(5 * SECOND).await;
    probe.replan(|plan| plan.head.0 = Pace::Never);
    let first = ready(&mut service).await.call(get());
    let mut second = service.clone();
    assert!(poll(&mut second, &woken).is_pending());
    drop(first);
    assert_eq!(woken.0.load(Relaxed), 1);
    assert!(poll(&mut second, &woken).is_ready(), "its place is free");

    // And when its lease is over.
    let _hanging = second.call(get());
    assert!(poll(&mut service, &woken).is_pending());
    advance(30 * SECOND).await;
    tokio::task::yield_now().await;
    assert!(woken.0.load(Relaxed) >= 2);
    assert!(poll(&mut service, &woken).is_pending());
    assert_eq!(layer.handle().state(), State::Open);
}

/// It reserves nothing: of two that were ready for one probe, the other is refused.
#[tokio::test(start_paused = true)]
async fn who_loses_the_race_for_a_probe_is_refused() {
    let (probe, layer) = (Probe::new(), BreakerLayer::new(policy()).gate());
    let mut service = layer.layer(probe.clone());
    fail(&mut service, &probe).await;
    advance(5 * SECOND).await;
    let mut second = service.clone();
    ready(&mut service).await;
    ready(&mut second).await;
    let probing = service.call(get());
    let refused = second.call(get()).await.unwrap();
    assert!(Rejection::of(&refused).is_some());
    assert_eq!(probing.await.unwrap().status(), 200);
}

/// And the order is the same in each run of a test.
#[tokio::test(start_paused = true)]
async fn who_has_waited_longest_is_woken_first() {
    let (layer, order) = (BreakerLayer::new(policy()).gate(), Arc::new(Mutex::new(Vec::new())));
    layer.handle().force_open();
    let waiting = (0..20).map(|number| {
        let (mut service, order) = (layer.layer(Probe::new()), Arc::clone(&order));
        tokio::spawn(async move {
            ready(&mut service).await;
            order.lock().unwrap().push(number);
        })
    });
    let waiting: Vec<_> = waiting.collect();
    tokio::task::yield_now().await;
    layer.handle().automatic();
    for one in waiting {
        one.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
}

/// Nobody is left behind who waited and went away.
#[tokio::test(start_paused = true)]
async fn who_no_longer_waits_is_not_woken() {
    let layer = BreakerLayer::new(policy()).gate();
    let woken = Arc::new(Woken::default());
    layer.handle().force_open();
    for _ in 0..100 {
        let mut service = layer.layer(Probe::new());
        assert!(poll(&mut service, &woken).is_pending());
        assert!(poll(&mut service, &woken).is_pending());
    }
    layer.handle().automatic();
    assert_eq!(woken.0.load(Relaxed), 0);
}

/// Of three endpoints one dies: it is taken out, its fast failures attract nothing, and it comes back.
#[tokio::test(start_paused = true)]
async fn a_balancer_takes_a_broken_endpoint_out_and_brings_it_back() {
    let probes = [Probe::new(), Probe::new(), Probe::new()];
    let layers = [0; 3].map(|_| BreakerLayer::new(policy()).gate());
    let endpoints = probes.iter().zip(&layers);
    let endpoints = endpoints.map(|(probe, layer)| Constant::new(layer.layer(probe.clone()), 1));
    let endpoints = ServiceList::new::<Request<()>>(endpoints.collect::<Vec<_>>());
    let mut balance = Balance::new(endpoints);
    probes[0].replan(|plan| plan.head.1 = Act::Fail);

    let mut failures = 0;
    for _ in 0..200 {
        let answer = balance.ready().await.unwrap().call(get()).await;
        failures += u32::from(answer.is_err());
    }
    assert_eq!((failures, probes[0].tally().calls), (2, 2));
    assert_eq!(layers[0].handle().state(), State::Open);

    // Its probes fail as well, until it is well again.
    advance(5 * SECOND).await;
    for _ in 0..50 {
        let _ = balance.ready().await.unwrap().call(get()).await;
    }
    assert_eq!(probes[0].tally().calls, 3);
    probes[0].replan(|plan| plan.head.1 = Act::Succeed);
    advance(5 * SECOND).await;
    for _ in 0..200 {
        assert_eq!(balance.ready().await.unwrap().call(get()).await.unwrap().status(), 200);
    }
    assert!(probes[0].tally().calls > 30, "{}", probes[0].tally().calls);
    assert_eq!(layers[0].handle().state(), State::Closed);
}

fn boxed(error: impl Into<BoxError>) -> BoxError {
    error.into()
}

/// With what waits, sheds and limits above and below, a circuit that has opened closes again.
#[tokio::test(start_paused = true)]
async fn beside_towers_own_layers_nothing_wedges() {
    let probe = Probe::new();
    let layer = BreakerLayer::new(policy());
    let mut service = ServiceBuilder::new()
        .buffer(8)
        .load_shed()
        .concurrency_limit(2)
        .layer(layer.clone())
        .map_err(boxed)
        .buffer(8)
        .load_shed()
        .concurrency_limit(2)
        .service(probe.clone());
    for round in 0..20 {
        probe.replan(|plan| plan.head.1 = Act::Fail);
        for _ in 0..4 {
            let _ = service.ready().await.unwrap().call(get()).await;
        }
        assert_eq!(layer.handle().state(), State::Open, "round {round}");
        probe.replan(|plan| plan.head = (Pace::Never, Act::Succeed));
        advance(61 * SECOND).await;
        // Given up.
        let hanging = service.ready().await.unwrap().call(get());
        assert!(tokio::time::timeout(SECOND, hanging).await.is_err());
        probe.replan(|plan| plan.head = (Pace::AtOnce, Act::Succeed));
        let answer = service.ready().await.unwrap().call(get()).await.unwrap();
        assert_eq!(answer.status(), 200, "round {round}");
        assert_eq!(layer.handle().state(), State::Closed);
    }
    assert_eq!(probe.tally().in_flight, 0);
}
