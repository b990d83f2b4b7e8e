//! An hour of failures, latencies, panics and callers who go away at every await, in paused time.
//!
//! Afterwards the books balance, nothing is held, and what is well is called again.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod soaks;

use std::sync::{Arc, Mutex};

use palisade::{
    Backoff, Jitter,
    breaker::{
        BreakerLayer, KeyedBreakerLayer, Mode, Policy, Probes, State, Stats, Switch, Switches, Trip,
    },
    key::HeaderKey,
};
use soaks::{Crowd, Dice, HOUR, SECOND, UPSTREAM, Upstream, Watch};
use tokio::time::{Instant, sleep};
use tower::Layer;

/// Of which each may be what opens it; with leases that outlast any call. Nothing is left to chance but by
/// a seed.
fn policy() -> Policy {
    let trip = Trip::rate(0.5).min(10).or(Trip::consecutive(5));
    Policy::new(trip.or(Trip::slow(3 * SECOND, 0.3)))
        .with_open(Backoff::new(2 * SECOND, 20 * SECOND).with_jitter(Jitter::None))
        .with_probes(Probes::new(3).lease(30 * SECOND))
}

/// Whatever happens, a circuit that is not closed soon changes: it is open for 20 seconds at most, and each
/// of its probes is over in 14.
fn never_stuck(switch: &Switch) -> Watch {
    let seen = Mutex::new((switch.subscribe(), Instant::now()));
    let switch = switch.clone();
    Arc::new(move || {
        let (transitions, changed) = &mut *seen.lock().unwrap();
        let is_quiet = switch.mode() == Mode::Automatic && switch.state() != State::Closed;
        if std::iter::from_fn(|| transitions.try_next()).count() > 0 || !is_quiet {
            *changed = Instant::now();
        }
        assert!(changed.elapsed() < 120 * SECOND, "stuck: {:?}", switch.stats());
    })
}

/// Each call that was let through came to something, once.
fn booked(stats: &Stats) -> u64 {
    stats.total_calls + stats.ignored + stats.late + stats.observed
}

fn is_over(switch: &Switch) -> bool {
    switch.state() == State::Closed && switch.stats().probes_in_flight == 0
}

/// That enough of everything has happened.
fn was_eventful(upstream: &Upstream, stats: &Stats, (called, ended, given_up): (u64, u64, u64)) {
    assert!(called > 10_000 && ended > 5_000 && given_up > 2_000, "{called} {ended} {given_up}");
    assert!(upstream.panics() > 100, "{}", upstream.panics());
    assert!(stats.opened > 20 && stats.late > 20, "{stats:?}");
    assert!(stats.total_calls > 2_000 && stats.ignored > 1_000, "{stats:?}");
}

/// Forces it, watches it and resets it for an hour, and leaves it to itself.
async fn operates(switch: Switch, seed: u64) {
    const MODES: [Mode; 4] =
        [Mode::Automatic, Mode::ForcedOpen, Mode::ForcedClosed, Mode::ObserveOnly];
    let (mut dice, until) = (Dice::new(seed), Instant::now() + HOUR);
    while Instant::now() < until {
        sleep(dice.up_to(60 * SECOND)).await;
        if dice.percent(20) {
            switch.reset();
        }
        switch.set_mode(dice.one_of(&MODES));
    }
    switch.automatic();
}

#[tokio::test(start_paused = true)]
async fn a_breaker_survives_an_hour_of_everything() {
    for seed in 1..=2 {
        let (upstream, layer) = (Upstream::new(seed), BreakerLayer::new(policy()));
        let switch = layer.handle();
        let crowd = Crowd::new(layer.layer(upstream.clone()), seed, never_stuck(&switch));
        crowd.asks_for_an_hour().await;
        upstream.recover();
        crowd.asks_until(|| is_over(&switch)).await;
        let stats = switch.stats();
        assert_eq!(booked(&stats), upstream.calls(), "{stats:?}");
        assert_eq!(stats.refused + upstream.calls(), crowd.done().0, "{stats:?}");
        was_eventful(&upstream, &stats, crowd.done());
        assert!(stats.refused > 1_000);
    }
}

/// Those of which nothing is heard in time count as failed, and once more when they are over.
#[tokio::test(start_paused = true)]
async fn so_does_one_whose_probes_outlive_their_leases() {
    let probes = Probes::new(5).need(2).lease(SECOND);
    let (upstream, layer) = (Upstream::new(3), BreakerLayer::new(policy().with_probes(probes)));
    let switch = layer.handle();
    let crowd = Crowd::new(layer.layer(upstream.clone()), 3, never_stuck(&switch));
    crowd.asks_for_an_hour().await;
    upstream.recover();
    crowd.asks_until(|| is_over(&switch)).await;
    let stats = switch.stats();
    assert!(booked(&stats) > upstream.calls(), "{stats:?}");
    assert_eq!(stats.refused + upstream.calls(), crowd.done().0, "{stats:?}");
    was_eventful(&upstream, &stats, crowd.done());
}

/// Whatever an operator does meanwhile.
#[tokio::test(start_paused = true)]
async fn so_does_one_that_is_forced_watched_and_reset() {
    let (upstream, layer) = (Upstream::new(4), BreakerLayer::new(policy()));
    let switch = layer.handle();
    let crowd = Crowd::new(layer.layer(upstream.clone()), 4, never_stuck(&switch));
    let operator = tokio::spawn(operates(switch.clone(), 4));
    crowd.asks_for_an_hour().await;
    operator.await.unwrap();
    upstream.recover();
    crowd.asks_until(|| is_over(&switch)).await;
    let stats = switch.stats();
    assert_eq!(booked(&stats), upstream.calls(), "{stats:?}");
    assert_eq!(stats.refused + upstream.calls(), crowd.done().0, "{stats:?}");
    was_eventful(&upstream, &stats, crowd.done());
    assert!(stats.observed > 100, "{stats:?}");
}

/// Those who wait at it are woken, by the time and by an operator: nobody is there when the hour is long
/// over.
#[tokio::test(start_paused = true)]
async fn a_gate_survives_an_hour_of_everything() {
    for seed in 5..=6 {
        let (upstream, layer) = (Upstream::new(seed), BreakerLayer::new(policy()).gate());
        let switch = layer.handle();
        let crowd = Crowd::new(layer.layer(upstream.clone()), seed, never_stuck(&switch));
        let operator = (seed == 6).then(|| tokio::spawn(operates(switch.clone(), seed)));
        crowd.asks_for_an_hour().await;
        if let Some(operator) = operator {
            operator.await.unwrap();
        }
        upstream.recover();
        crowd.asks_until(|| is_over(&switch)).await;
        let stats = switch.stats();
        assert_eq!(booked(&stats), upstream.calls(), "{stats:?}");
        assert_eq!(stats.refused + upstream.calls(), crowd.done().0, "{stats:?}");
        was_eventful(&upstream, &stats, crowd.done());
        assert!(stats.refused > 20, "who lost the race for a probe");
    }
}

type Keyed = (KeyedBreakerLayer<HeaderKey>, Switches<[u8]>);

fn keyed(max: usize) -> Keyed {
    let layer = KeyedBreakerLayer::new(policy(), HeaderKey::new(UPSTREAM)).with_max(max);
    let switches = layer.handle();
    (layer, switches)
}

fn all(switches: &Switches<[u8]>) -> Vec<Switch> {
    let keyed = switches.all().into_iter().map(|(_, switch)| switch);
    keyed.chain([switches.shared()]).collect()
}

#[tokio::test(start_paused = true)]
async fn circuits_by_key_survive_an_hour_of_everything() {
    let (upstream, (layer, switches)) = (Upstream::new(7), keyed(64));
    let watched = switches.clone();
    let watch = Arc::new(move || assert!(watched.len() <= 8));
    let service = layer.layer(upstream.clone());
    let crowd = Crowd::new(service, 7, watch).of_upstreams(8);
    crowd.asks_for_an_hour().await;
    upstream.recover();
    crowd.asks_until(|| all(&switches).iter().all(is_over)).await;
    assert_eq!((switches.len(), switches.crowded()), (8, 0));
    let stats: Vec<_> = all(&switches).iter().map(Switch::stats).collect();
    assert_eq!(stats.iter().map(booked).sum::<u64>(), upstream.calls());
    let refused: u64 = stats.iter().map(|stats| stats.refused).sum();
    assert_eq!(refused + upstream.calls(), crowd.done().0);
    assert!(stats[..8].iter().all(|stats| stats.opened > 5), "{stats:?}");
}

/// With fewer circuits than upstreams.
#[tokio::test(start_paused = true)]
async fn circuits_by_key_are_never_more_than_they_may_be() {
    let (upstream, (layer, switches)) = (Upstream::new(8), keyed(10));
    let watched = switches.clone();
    let watch = Arc::new(move || assert!(watched.len() <= 10));
    let service = layer.layer(upstream.clone());
    let crowd = Crowd::new(service, 8, watch).of_upstreams(40);
    crowd.asks_for_an_hour().await;
    assert!(switches.crowded() > 1_000, "{}", switches.crowded());
    upstream.recover();
    crowd.asks_until(|| all(&switches).iter().all(is_over)).await;
    assert!(switches.len() <= 10);
}
