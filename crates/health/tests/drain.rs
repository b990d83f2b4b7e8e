//! Leaving in good order, and what gRPC clients are told. Time is paused.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{future::poll_fn, pin::Pin, time::Duration};

use palisade_health::{
    Check, Exchange, Health, Heartbeat, Phase, Probe, ServingStatus, ServingWatch, Status,
};
use tokio::{
    runtime::Builder,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tokio_test::{assert_pending, assert_ready, task};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(100_000);

fn enter(health: &Health) -> Exchange {
    health.enter().expect("it serves")
}

async fn next(watch: &mut Pin<Box<ServingWatch>>) -> Option<ServingStatus> {
    // Time is paused: what would wait for ever fails at once.
    let next = timeout(LONG, poll_fn(|cx| watch.as_mut().poll_next(cx)));
    next.await.expect("it is told of something")
}

#[tokio::test(start_paused = true)]
async fn readiness_fails_at_once_and_requests_are_served_for_the_delay() {
    let health = Health::new();
    let mut news = health.subscribe();
    health.drain(5 * SECOND);
    assert!(news.has_changed().unwrap());
    let report = news.borrow_and_update();
    assert!(report.is_draining());
    assert_eq!(
        Probe::ALL.map(|probe| report.status(probe)),
        [Status::Pass, Status::Fail, Status::Pass]
    );
    sleep(4 * SECOND).await;
    assert_eq!(health.phase(), Phase::Draining);
    let exchange = enter(&health);
    sleep(SECOND).await;
    assert!(health.enter().is_none());
    assert_eq!((health.phase(), health.in_flight()), (Phase::Refusing, 1));
    drop(exchange);
    assert_eq!((health.phase(), health.in_flight()), (Phase::Drained, 0));
    assert_eq!(health.status(Probe::Liveness), Status::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_told_to_subscribers_though_it_was_not_ready_before() {
    let health = Health::new();
    let dead = health.liveness().pulse(Heartbeat::every("loop", SECOND));
    sleep(2 * SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Fail);
    let mut news = health.subscribe();
    news.mark_unchanged();
    health.drain(5 * SECOND);
    assert!(news.has_changed().unwrap() && news.borrow_and_update().is_draining());
    health.resume();
    assert!(news.has_changed().unwrap() && !news.borrow_and_update().is_draining());
    dead.retire();
}

#[tokio::test(start_paused = true)]
async fn it_has_drained_with_the_last_exchange() {
    let health = Health::new();
    let exchanges = [enter(&health), enter(&health), enter(&health)];
    let began = Instant::now();
    health.drain(5 * SECOND);
    let leaving = tokio::spawn(async move {
        for exchange in exchanges {
            sleep(3 * SECOND).await;
            drop(exchange);
        }
    });
    timeout(LONG, health.drained()).await.unwrap();
    assert_eq!(began.elapsed(), 9 * SECOND);
    leaving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn with_nothing_in_flight_it_has_drained_when_it_refuses() {
    let health = Health::new();
    let began = Instant::now();
    health.drain(5 * SECOND);
    assert_eq!(health.drained_within(20 * SECOND).await, 0);
    assert_eq!(began.elapsed(), 5 * SECOND);
    // For who asks afterwards too.
    health.drained().await;
}

#[tokio::test(start_paused = true)]
async fn a_bound_ends_it_for_everybody() {
    let health = Health::new();
    let stuck = [enter(&health), enter(&health)];
    let mut watch = Box::pin(health.watch_serving(""));
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    health.drain(5 * SECOND);
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    let mut beside = task::spawn(health.drained());
    assert_pending!(beside.poll());
    let began = Instant::now();
    assert_eq!(health.drained_within(20 * SECOND).await, 2);
    assert_eq!(began.elapsed(), 20 * SECOND);
    assert!(beside.is_woken());
    assert_ready!(beside.poll());
    assert_eq!(next(&mut watch).await, None);
    assert_eq!(health.phase(), Phase::Drained);
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn what_waits_may_wait_in_a_task_of_its_own() {
    let health = Health::new();
    let waiting = health.clone();
    let task = tokio::spawn(async move { waiting.drained_within(20 * SECOND).await });
    let watch = health.watch_serving("");
    let watching = tokio::spawn(async move { next(&mut Box::pin(watch)).await });
    assert_eq!(watching.await.unwrap(), Some(ServingStatus::Serving));
    health.drain(SECOND);
    assert_eq!(task.await.unwrap(), 0);
}

/// As it is given to a server that is to shut down gracefully, long before it does.
#[tokio::test(start_paused = true)]
async fn a_bound_begins_with_the_drain_however_early_or_late_it_is_asked_for() {
    for (before, after) in [(1000 * SECOND, Duration::ZERO), (Duration::ZERO, 7 * SECOND)] {
        let health = Health::new();
        let stuck = enter(&health);
        let begins = health.clone();
        let drain = tokio::spawn(async move {
            sleep(before).await;
            begins.drain(5 * SECOND);
            Instant::now()
        });
        sleep(after).await;
        assert_eq!(health.drained_within(20 * SECOND).await, 1);
        assert_eq!(drain.await.unwrap().elapsed(), 20 * SECOND);
        assert_eq!(health.phase(), Phase::Drained);
        drop(stuck);
    }
}

#[tokio::test(start_paused = true)]
async fn the_bound_of_a_drain_that_was_taken_back_does_not_end_the_next() {
    let health = Health::new();
    let _stuck = enter(&health);
    health.drain(5 * SECOND);
    let mut over = task::spawn(health.drained_within(10 * SECOND));
    assert_pending!(over.poll());
    sleep(9 * SECOND).await;
    health.resume();
    assert_pending!(over.poll());
    sleep(2 * SECOND).await;
    health.drain(5 * SECOND);
    assert_pending!(over.poll());
    sleep(9 * SECOND).await;
    assert_eq!(health.phase(), Phase::Refusing);
    assert_pending!(over.poll());
    sleep(SECOND).await;
    assert_eq!(assert_ready!(over.poll()), 1);
    assert_eq!(health.phase(), Phase::Drained);
}

#[tokio::test(start_paused = true)]
async fn the_nearer_of_two_drains_counts() {
    let health = Health::new();
    health.drain(60 * SECOND);
    let mut drained = task::spawn(health.drained());
    assert_pending!(drained.poll());
    health.drain(SECOND);
    health.drain(100 * SECOND);
    assert!(drained.is_woken());
    assert_pending!(drained.poll());
    sleep(SECOND).await;
    assert!(drained.is_woken());
    assert_ready!(drained.poll());
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_back_is_as_if_it_had_not_been() {
    let health = Health::new();
    let mut watch = Box::pin(health.watch_serving(""));
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    for delay in [5 * SECOND, Duration::ZERO] {
        let exchange = enter(&health);
        health.drain(delay);
        sleep(SECOND).await;
        assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
        let mut drained = task::spawn(health.drained());
        assert_pending!(drained.poll());
        health.resume();
        drop(exchange);
        assert_pending!(drained.poll());
        assert_eq!(
            (health.phase(), health.status(Probe::Readiness)),
            (Phase::Serving, Status::Pass)
        );
        assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
        sleep(10 * SECOND).await;
        let _served = enter(&health);
        assert_pending!(drained.poll());
    }
}

/// A server that waits for its streams, and nobody that waits for the drain.
#[tokio::test(start_paused = true)]
async fn streams_end_by_themselves_when_it_has_drained() {
    let health = Health::new();
    let mut exchange = Some(enter(&health));
    for name in ["", "pkg.Service", "pkg.Unknown"] {
        let mut watch = Box::pin(health.watch_serving(name));
        let known = (name != "pkg.Unknown").then(|| health.service(name));
        let before =
            if known.is_some() { ServingStatus::Serving } else { ServingStatus::ServiceUnknown };
        assert_eq!(next(&mut watch).await, Some(before));
        let began = Instant::now();
        health.drain(5 * SECOND);
        if known.is_some() {
            assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
        }
        if let Some(exchange) = exchange.take() {
            tokio::spawn(async move {
                sleep(8 * SECOND).await;
                drop(exchange);
            });
            assert_eq!(next(&mut watch).await, None);
            assert_eq!(began.elapsed(), 8 * SECOND);
        } else {
            assert_eq!(next(&mut watch).await, None);
            assert_eq!(began.elapsed(), 5 * SECOND);
        }
        health.resume();
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_may_outlive_the_registry() {
    let health = Health::new();
    let exchange = enter(&health);
    health.drain(Duration::ZERO);
    drop(health);
    drop(exchange);
    let _served = enter(&Health::new());
}

#[tokio::test(start_paused = true)]
async fn a_service_follows_readiness_until_something_else_is_set() {
    let health = Health::new();
    let latch = health.startup().latch("migrations");
    let service = health.service("pkg.Service");
    assert_eq!(health.serving("pkg.Service"), Some(ServingStatus::NotServing));
    assert_eq!(health.serving(""), Some(ServingStatus::NotServing));
    assert_eq!(health.serving("pkg.Other"), None);
    latch.set();
    assert_eq!(service.status(), ServingStatus::Serving);
    service.set(ServingStatus::Unknown);
    assert_eq!(health.service("pkg.Service").status(), ServingStatus::Unknown);
    assert_eq!(health.serving(""), Some(ServingStatus::Serving));
    let services = health.services();
    let services: Vec<_> = services.iter().map(|(name, status)| (&**name, *status)).collect();
    let expected = [("", ServingStatus::Serving), ("pkg.Service", ServingStatus::Unknown)];
    assert_eq!(services, expected);
    service.set(ServingStatus::Serving);
    health.drain(SECOND);
    assert_eq!(service.status(), ServingStatus::NotServing);
    health.resume();
    service.follow_readiness();
    assert_eq!(service.status(), ServingStatus::Serving);
}

/// All of it is registered outside a runtime, and nobody asks for anything else.
#[test]
fn a_watch_is_told_of_what_time_alone_changes() {
    let health = Health::new();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let pulse = health.readiness().pulse(Heartbeat::every("loop", 10 * SECOND).critical());
    runtime.block_on(async {
        let mut watch = Box::pin(health.watch_serving(""));
        assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
        assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    });
    pulse.retire();
}

#[tokio::test(start_paused = true)]
async fn a_degraded_service_serves() {
    let health = Health::new();
    health.readiness().check(Check::reading("upstream", || Status::Fail));
    yield_now().await;
    assert_eq!(health.status(Probe::Readiness), Status::Warn);
    assert_eq!(health.serving(""), Some(ServingStatus::Serving));
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_each_change_and_stays_open_for_the_unknown() {
    let health = Health::new();
    let mut watch = Box::pin(health.watch_serving("pkg.Service"));
    assert_eq!(next(&mut watch).await, Some(ServingStatus::ServiceUnknown));
    assert!(timeout(1000 * SECOND, next(&mut watch)).await.is_err());
    let service = health.service("pkg.Service");
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    // Time alone: a heart that stops, of which nobody asks.
    let pulse = health.readiness().pulse(Heartbeat::every("loop", 10 * SECOND).critical());
    let began = Instant::now();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
    assert!(began.elapsed() <= 11 * SECOND);
    pulse.retire();
    assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
    // There and back before it is asked for: nothing has changed.
    service.set(ServingStatus::NotServing);
    service.follow_readiness();
    assert!(timeout(1000 * SECOND, next(&mut watch)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_it_drains_and_nobody_is_left_inside() {
    for _ in 0..50 {
        let health = Health::new();
        let visitors: Vec<_> = (0..4)
            .map(|_| {
                let health = health.clone();
                tokio::spawn(async move {
                    while let Some(exchange) = health.enter() {
                        yield_now().await;
                        drop(exchange);
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            yield_now().await;
        }
        health.drain(Duration::ZERO);
        timeout(60 * SECOND, health.drained()).await.expect("it drains");
        for visitor in visitors {
            visitor.await.unwrap();
        }
        assert_eq!((health.phase(), health.in_flight()), (Phase::Drained, 0));
    }
}
