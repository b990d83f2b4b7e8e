//! Heartbeats and latches, as a probe sees them. Time is paused.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use palisade_health::{Check, Health, Heartbeat, Probe, Status};
use tokio::{
    runtime::{Builder, Handle},
    task::yield_now,
    time::{Instant, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

fn all(health: &Health) -> [Status; 3] {
    Probe::ALL.map(|probe| health.status(probe))
}

fn detail(health: &Health, name: &str) -> Option<String> {
    let report = health.report();
    let item = report.items().iter().find(|item| item.name() == name).unwrap();
    item.detail().map(str::to_owned)
}

#[tokio::test(start_paused = true)]
async fn a_heart_of_liveness_that_stops_takes_readiness_along() {
    let health = Health::new();
    let pulse = health.liveness().pulse(Heartbeat::every("loop", 10 * SECOND));
    for _ in 0..10 {
        sleep(5 * SECOND).await;
        pulse.beat();
        assert_eq!(all(&health), [Status::Pass; 3]);
    }
    sleep(10 * SECOND).await;
    assert_eq!(all(&health), [Status::Fail, Status::Fail, Status::Pass]);
    assert_eq!(detail(&health, "loop").as_deref(), Some("no beat for 10s"));
    pulse.beat();
    sleep(SECOND).await;
    assert_eq!(all(&health), [Status::Pass; 3]);
    pulse.retire();
}

#[tokio::test(start_paused = true)]
async fn a_heart_of_readiness_degrades_unless_it_is_critical() {
    let health = Health::new();
    let plain = health.readiness().pulse(Heartbeat::every("plain", 10 * SECOND));
    sleep(10 * SECOND).await;
    assert_eq!(all(&health), [Status::Pass, Status::Warn, Status::Pass]);
    let critical = health.readiness().pulse(Heartbeat::every("critical", 10 * SECOND).critical());
    sleep(10 * SECOND).await;
    assert_eq!(all(&health), [Status::Pass, Status::Fail, Status::Pass]);
    plain.retire();
    critical.retire();
    assert_eq!((all(&health), health.report().items().len()), ([Status::Pass; 3], 0));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_takes_too_long_fails_and_idle_is_well() {
    let health = Health::new();
    let mut pulse = health.readiness().pulse(Heartbeat::busy("mailer", 10 * SECOND));
    sleep(1000 * SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Pass);
    let unit = pulse.work();
    sleep(9 * SECOND).await;
    unit.beat();
    sleep(9 * SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Pass);
    sleep(SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Warn);
    drop(unit);
    sleep(SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Pass);
    pulse.retire();
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_behind_must_get_on() {
    let health = Health::new();
    let mut pulse = health.readiness().pulse(Heartbeat::busy("consumer", 10 * SECOND));
    pulse.progress(7, 0);
    sleep(1000 * SECOND).await;
    // What has come just now was not there before.
    pulse.progress(7, 3);
    sleep(6 * SECOND).await;
    pulse.progress(8, 2);
    sleep(6 * SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Pass);
    pulse.progress(8, 5);
    sleep(4 * SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Warn);
    assert_eq!(detail(&health, "consumer").as_deref(), Some("no progress for 10s"));
    pulse.progress(9, 4);
    sleep(SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Pass);
    pulse.progress(9, 0);
    pulse.progress(9, 1);
    sleep(10 * SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Warn);
    pulse.retire();
}

#[tokio::test(start_paused = true)]
async fn a_task_that_dies_is_a_failure_at_once_and_its_successor_takes_its_place() {
    let health = Health::new();
    let heartbeat = Heartbeat::every("worker", 1000 * SECOND).critical();
    let mut news = health.subscribe();
    for (how, told) in [("drop", "its owner is gone"), ("panic", "its owner has panicked")] {
        let pulse = health.readiness().pulse(heartbeat.clone());
        assert_eq!((all(&health), health.report().items().len()), ([Status::Pass; 3], 1));
        let task = tokio::spawn(async move {
            pulse.beat();
            assert!(how != "panic", "as it was told");
        });
        news.mark_unchanged();
        assert_eq!(task.await.is_err(), how == "panic");
        assert!(news.has_changed().unwrap());
        assert_eq!(health.status(Probe::Readiness), Status::Fail);
        assert_eq!(detail(&health, "worker").as_deref(), Some(told));
    }
    let aborted = health.readiness().pulse(heartbeat.clone());
    let task = tokio::spawn(async move {
        sleep(1000 * SECOND).await;
        drop(aborted);
    });
    yield_now().await;
    assert_eq!(health.status(Probe::Readiness), Status::Pass);
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(health.status(Probe::Readiness), Status::Fail);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_while_all_is_being_left_is_no_failure_unless_it_panics() {
    let health = Health::new();
    let [ends, panics] =
        ["ends", "panics"].map(|name| health.liveness().pulse(Heartbeat::every(name, 10 * SECOND)));
    health.drain(SECOND);
    drop(ends);
    assert_eq!(health.status(Probe::Liveness), Status::Pass);
    let task = tokio::spawn(async move {
        let _pulse = panics;
        panic!("as it was told");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(health.status(Probe::Liveness), Status::Fail);
}

/// Two hear of a signal, and the one that drains is the slower one.
#[tokio::test(start_paused = true)]
async fn a_task_that_ends_a_moment_before_the_drain_is_no_failure_and_is_missed_if_that_is_taken_back()
 {
    let health = Health::new();
    for late in [false, true] {
        let pulse = health.liveness().pulse(Heartbeat::every("loop", 10 * SECOND));
        if late {
            health.drain(SECOND);
            drop(pulse);
        } else {
            drop(pulse);
            health.drain(SECOND);
        }
        sleep(60 * SECOND).await;
        assert_eq!(health.status(Probe::Liveness), Status::Pass);
        health.resume();
        assert_eq!(health.status(Probe::Liveness), Status::Fail);
        assert_eq!(detail(&health, "loop").as_deref(), Some("its owner is gone"));
    }
}

#[tokio::test(start_paused = true)]
async fn two_workers_of_one_name_are_two() {
    let health = Health::new();
    let [one, other] = [(); 2]
        .map(|()| health.readiness().pulse(Heartbeat::every("worker", 10 * SECOND).critical()));
    sleep(6 * SECOND).await;
    one.beat();
    sleep(6 * SECOND).await;
    assert_eq!((health.status(Probe::Readiness), health.report().items().len()), (Status::Fail, 2));
    one.retire();
    other.beat();
    sleep(SECOND).await;
    assert_eq!((health.status(Probe::Readiness), health.report().items().len()), (Status::Pass, 1));
    other.retire();
}

/// As a supervisor does it: the old one is gone only after the new one has begun.
#[tokio::test(start_paused = true)]
async fn a_task_that_was_started_again_before_the_old_one_was_gone_is_not_missed() {
    let health = Health::new();
    let start = || {
        let pulse = health.liveness().pulse(Heartbeat::every("loop", 30 * SECOND));
        tokio::spawn(async move {
            loop {
                pulse.beat();
                sleep(SECOND).await;
            }
        })
    };
    let [oldest, old] = [start(), start()];
    yield_now().await;
    oldest.abort();
    old.abort();
    let newest = start();
    sleep(10 * SECOND).await;
    assert_eq!((all(&health), health.report().items().len()), ([Status::Pass; 3], 1));
    newest.abort();
    assert!(newest.await.unwrap_err().is_cancelled());
    assert_eq!((health.status(Probe::Liveness), health.report().items().len()), (Status::Fail, 1));

    let lost = health.startup().latch("migrations");
    let latch = health.startup().latch("migrations");
    drop(lost);
    latch.set();
    assert_eq!(health.status(Probe::Startup), Status::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_name_stands_for_another_thing_in_each_kind() {
    let health = Health::new();
    let broken = Check::new("disk", async || Err::<(), _>("gone")).failures(1).critical();
    health.readiness().check(broken);
    health.startup().check(Check::new("schema", async || ()));
    sleep(SECOND).await;
    assert_eq!(all(&health), [Status::Pass, Status::Fail, Status::Pass]);
    let pulse = health.readiness().pulse(Heartbeat::busy("disk", 30 * SECOND));
    let latch = health.startup().latch("schema");
    sleep(SECOND).await;
    assert_eq!(all(&health), [Status::Pass, Status::Fail, Status::Unknown]);
    assert_eq!(health.report().items().len(), 4);
    latch.set();
    pulse.retire();
}

#[test]
fn what_is_lost_is_bounded_and_a_name_that_is_known_finds_room() {
    let health = Health::new();
    for job in 0..1100 {
        drop(health.readiness().pulse(Heartbeat::busy(format!("job {job}"), SECOND)));
    }
    assert_eq!(health.report().items().len(), 1000);
    // Nobody listens to this one, and it does no harm.
    let unknown = health.readiness().pulse(Heartbeat::busy("job 1099", SECOND).critical());
    unknown.beat();
    drop(unknown);
    assert_eq!(health.status(Probe::Readiness), Status::Warn);
    let known = health.readiness().pulse(Heartbeat::busy("job 7", SECOND));
    let report = health.report();
    let item = report.items().iter().find(|item| item.name() == "job 7").unwrap();
    assert_eq!(item.status(), Status::Pass);
    known.retire();
}

/// With a lock behind the report, this one would wait for itself.
#[tokio::test(start_paused = true)]
async fn who_keeps_a_report_stops_nobody() {
    let health = Health::new();
    let pulse = health.readiness().pulse(Heartbeat::every("loop", 10 * SECOND));
    let mut news = health.subscribe();
    let kept = (news.borrow(), news.borrow_and_update());
    sleep(10 * SECOND).await;
    assert_eq!(health.status(Probe::Readiness), Status::Warn);
    assert!(news.has_changed().unwrap());
    let stopped = news.wait_for(|report| report.transitions() == 1).await.unwrap();
    assert_eq!(stopped.status(Probe::Readiness), Status::Warn);
    assert_eq!((kept.0.transitions(), kept.1.transitions()), (0, 0));
    pulse.retire();
    drop(health);
    assert!(news.changed().await.is_ok(), "the last change is told");
    assert!(news.changed().await.is_err());
    assert_eq!(news.borrow().items().len(), 0);
}

/// Registered outside a runtime, so that no task of ours looks.
#[test]
fn who_asks_sees_a_missed_beat_though_no_task_gets_on() {
    let health = Health::new();
    let pulse = health.liveness().pulse(Heartbeat::every("loop", 10 * SECOND));
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        pulse.beat();
        sleep(9 * SECOND).await;
        assert_eq!(all(&health), [Status::Pass; 3]);
        sleep(SECOND).await;
        assert_eq!(all(&health), [Status::Fail, Status::Fail, Status::Pass]);
        assert_eq!(detail(&health, "loop").as_deref(), Some("no beat for 10s"));
        pulse.beat();
        sleep(SECOND).await;
        assert_eq!(health.report().status(Probe::Liveness), Status::Pass);
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    });
    pulse.retire();
}

#[tokio::test(start_paused = true)]
async fn a_heart_that_stops_is_told_of_to_the_millisecond() {
    let health = Health::new();
    let mut news = health.subscribe();
    let slow = health.readiness().pulse(Heartbeat::every("slow loop", 1000 * SECOND));
    // By now the ticker waits for that one, and is to be told of another that is sooner.
    yield_now().await;
    let pulse = health.readiness().pulse(Heartbeat::every("loop", 10 * SECOND));
    news.mark_unchanged();
    let began = Instant::now();
    timeout(2000 * SECOND, news.changed()).await.unwrap().unwrap();
    let after = began.elapsed();
    assert!(after >= 10 * SECOND && after <= 10 * SECOND + Duration::from_millis(2), "{after:?}");
    pulse.retire();
    slow.retire();
}

/// What was made before anybody told what it takes is up, and so is one of whom nothing is asked.
#[tokio::test(start_paused = true)]
async fn who_needs_nothing_is_well() {
    assert_eq!(all(&Health::new()), [Status::Pass; 3]);
}

#[tokio::test(start_paused = true)]
async fn it_has_started_when_each_latch_is_set_and_each_check_has_passed_once() {
    let health = Health::new();
    let [migrations, cache] = ["migrations", "cache"].map(|name| health.startup().latch(name));
    let mut looks = 0;
    let passes_third = Check::new("third", move || {
        looks += 1;
        assert!(looks < 4, "it is never asked again");
        std::future::ready(if looks < 3 { Err("not yet") } else { Ok(()) })
    });
    health.startup().check(passes_third.every(5 * SECOND).failures(1));
    assert_eq!(all(&health), [Status::Pass, Status::Unknown, Status::Unknown]);
    migrations.set();
    yield_now().await;
    sleep(SECOND).await;
    assert_eq!(all(&health), [Status::Pass, Status::Fail, Status::Fail]);
    assert_eq!(detail(&health, "third").as_deref(), Some("not yet"));
    sleep(11 * SECOND).await;
    assert_eq!(all(&health), [Status::Pass, Status::Unknown, Status::Unknown]);
    assert_eq!(detail(&health, "cache").as_deref(), Some("it is not set yet"));
    cache.set();
    assert_eq!(all(&health), [Status::Pass; 3]);
    sleep(10_000 * SECOND).await;
    assert_eq!(all(&health), [Status::Pass; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_latch_that_is_dropped_keeps_it_down_until_there_is_another() {
    let health = Health::new();
    drop(health.startup().latch("migrations"));
    assert_eq!(all(&health), [Status::Pass, Status::Fail, Status::Fail]);
    let told = detail(&health, "migrations");
    assert_eq!(told.as_deref(), Some("it was dropped before it was set"));
    let again = health.startup().latch("migrations");
    assert_eq!(health.status(Probe::Startup), Status::Unknown);
    again.set();
    assert_eq!((all(&health), health.report().items().len()), ([Status::Pass; 3], 1));
}

#[tokio::test(start_paused = true)]
async fn who_outlives_the_registry_does_no_harm() {
    let health = Health::new();
    let mut pulse = health.readiness().pulse(Heartbeat::busy("worker", SECOND));
    let latch = health.startup().latch("latch");
    let service = health.service("pkg.Service");
    drop((service, health));
    drop(pulse.work());
    pulse.beat();
    latch.set();
}
