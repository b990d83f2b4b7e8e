//! Checks in the background, as a probe sees them. Time is paused.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    future::{Ready, pending, ready as ready_with},
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use palisade_health::{Check, Health, Heartbeat, Item, Probe, Status};
use tokio::{
    runtime::{Builder, Handle},
    task::yield_now,
    time::{Instant, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// Lets the tasks run that can.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

fn item(health: &Health, name: &str) -> Item {
    let report = health.report();
    report.items().iter().find(|item| item.name() == name).cloned().unwrap()
}

fn ready(health: &Health) -> Status {
    health.status(Probe::Readiness)
}

/// Something to be looked at that counts how often it is.
#[derive(Clone, Default)]
struct Looked {
    times: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
}

impl Looked {
    fn at(&self) -> usize {
        self.times.load(SeqCst)
    }

    fn break_it(&self, broken: bool) {
        self.broken.store(broken, SeqCst);
    }

    fn look(&self) -> io::Result<()> {
        self.times.fetch_add(1, SeqCst);
        if self.broken.load(SeqCst) { Err(io::Error::other("it is broken")) } else { Ok(()) }
    }

    fn check(&self) -> Check<impl FnMut() -> Ready<io::Result<()>> + use<>> {
        let this = self.clone();
        Check::new("it", move || ready_with(this.look()))
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_before_the_first_look_which_is_at_once() {
    let health = Health::new();
    health.readiness().check(Looked::default().check().critical());
    assert_eq!((ready(&health), item(&health, "it").status()), (Status::Unknown, Status::Unknown));
    settle().await;
    assert_eq!((ready(&health), item(&health, "it").status()), (Status::Pass, Status::Pass));
}

#[tokio::test(start_paused = true)]
async fn it_takes_three_failures_to_fail_and_one_success_to_pass() {
    let (health, looked) = (Health::new(), Looked::default());
    health.readiness().check(looked.check().critical());
    settle().await;
    looked.break_it(true);
    let began = Instant::now();
    while ready(&health) == Status::Pass {
        sleep(SECOND / 10).await;
    }
    assert_eq!(looked.at(), 4);
    assert!(began.elapsed() >= 27 * SECOND, "three looks, up to a tenth early");
    assert_eq!(item(&health, "it").detail(), Some("it is broken"));
    looked.break_it(false);
    sleep(11 * SECOND).await;
    assert_eq!((ready(&health), looked.at()), (Status::Pass, 5));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_critical_degrades() {
    let (health, looked) = (Health::new(), Looked::default());
    looked.break_it(true);
    health.readiness().check(looked.check().failures(1));
    // Not even the unknown makes it unready.
    assert_eq!(ready(&health), Status::Warn);
    settle().await;
    assert_eq!((ready(&health), item(&health, "it").status()), (Status::Warn, Status::Fail));
    assert!(ready(&health).is_up());
    assert_eq!(health.status(Probe::Liveness), Status::Pass);
}

#[tokio::test(start_paused = true)]
async fn one_that_flaps_changes_nothing() {
    let (health, looked) = (Health::new(), Looked::default());
    let flaps = looked.clone();
    health.readiness().check(
        Check::new("it", move || {
            flaps.break_it(!flaps.at().is_multiple_of(3));
            ready_with(flaps.look())
        })
        .critical(),
    );
    settle().await;
    let transitions = health.report().transitions();
    for _ in 0..500 {
        sleep(SECOND).await;
        assert_eq!(ready(&health), Status::Pass);
    }
    assert!(looked.at() >= 50);
    assert_eq!(health.report().transitions(), transitions);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_fails_and_is_looked_at_again() {
    let (health, looked) = (Health::new(), Looked::default());
    let at_once = Arc::new(AtomicUsize::new(0));
    let (hangs, running) = (looked.clone(), Arc::clone(&at_once));
    health.readiness().check(
        Check::new("it", move || {
            let (result, running) = (hangs.look(), Arc::clone(&running));
            async move {
                assert_eq!(running.fetch_add(1, SeqCst), 0, "two looks at once");
                let _leaves = Leaves(running);
                if result.is_err() {
                    pending::<()>().await;
                }
            }
        })
        .every(5 * SECOND)
        .timeout(2 * SECOND)
        .failures(2)
        .critical(),
    );
    settle().await;
    looked.break_it(true);
    sleep(16 * SECOND).await;
    assert_eq!(ready(&health), Status::Fail);
    assert_eq!(item(&health, "it").detail(), Some("it took longer than 2s"));
    assert_eq!(at_once.load(SeqCst), 0, "what hangs is dropped");
    looked.break_it(false);
    sleep(6 * SECOND).await;
    assert_eq!(ready(&health), Status::Pass);
}

struct Leaves(Arc<AtomicUsize>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_fails_and_is_looked_at_again() {
    let (health, looked) = (Health::new(), Looked::default());
    let panics = looked.clone();
    // In the closure itself the first time, and in its future the second.
    health.readiness().check(
        Check::new("it", move || {
            let result = panics.look();
            assert!(panics.at() != 1, "at first");
            async move { result.expect("then again") }
        })
        .failures(1)
        .critical(),
    );
    settle().await;
    assert_eq!(ready(&health), Status::Fail);
    assert_eq!(item(&health, "it").detail(), Some("it panicked: at first"));
    looked.break_it(true);
    sleep(10 * SECOND).await;
    assert_eq!(looked.at(), 2);
    assert!(item(&health, "it").detail().unwrap().starts_with("it panicked: then again"));
    looked.break_it(false);
    sleep(10 * SECOND).await;
    assert_eq!((looked.at(), ready(&health)), (3, Status::Pass));
}

#[tokio::test(start_paused = true)]
async fn an_old_result_is_not_believed() {
    let (health, looked) = (Health::new(), Looked::default());
    health.readiness().check(looked.check().every(1000 * SECOND).max_age(20 * SECOND).critical());
    settle().await;
    assert_eq!(ready(&health), Status::Pass);
    sleep(21 * SECOND).await;
    assert_eq!(ready(&health), Status::Unknown);
    assert_eq!(item(&health, "it").detail(), Some("nothing was heard of it for 20s"));
    assert_eq!(looked.at(), 1);
}

#[tokio::test(start_paused = true)]
async fn time_alone_is_told_of_also_when_nobody_asks() {
    let (health, looked) = (Health::new(), Looked::default());
    health.readiness().check(looked.check().every(1000 * SECOND).max_age(20 * SECOND).critical());
    settle().await;
    let mut news = health.subscribe();
    let began = Instant::now();
    timeout(2000 * SECOND, news.changed()).await.unwrap().unwrap();
    assert_eq!(news.borrow_and_update().status(Probe::Readiness), Status::Unknown);
    let after = began.elapsed();
    assert!(after >= 20 * SECOND && after < 21 * SECOND, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn looks_are_apart_by_the_interval_less_up_to_a_tenth() {
    let health = Health::new();
    let moments = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&moments);
    health.readiness().check(
        Check::reading("it", move || told.lock().unwrap().push(Instant::now())).every(10 * SECOND),
    );
    sleep(1000 * SECOND).await;
    let moments = moments.lock().unwrap();
    let pauses: Vec<_> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() >= 99);
    // tokio's timer rounds up to a millisecond.
    let allowed = 9 * SECOND..=10 * SECOND + Duration::from_millis(1);
    assert!(pauses.iter().all(|pause| allowed.contains(pause)), "{pauses:?}");
    assert!(pauses.iter().any(|pause| *pause != pauses[0]), "without jitter");
}

#[tokio::test(start_paused = true)]
async fn a_reading_counts_at_once_and_only_warns() {
    let (health, open) = (Health::new(), Arc::new(AtomicBool::new(false)));
    let read = Arc::clone(&open);
    let status = move || if read.load(SeqCst) { Status::Fail } else { Status::Pass };
    health.readiness().check(Check::reading("upstream", status));
    settle().await;
    assert_eq!(ready(&health), Status::Pass);
    open.store(true, SeqCst);
    sleep(2 * SECOND).await;
    assert_eq!((ready(&health), item(&health, "upstream").status()), (Status::Warn, Status::Fail));
}

#[tokio::test(start_paused = true)]
async fn one_of_the_same_name_takes_the_others_place() {
    let (health, former, latter) = (Health::new(), Looked::default(), Looked::default());
    health.readiness().check(former.check());
    settle().await;
    health.readiness().check(latter.check());
    sleep(100 * SECOND).await;
    assert_eq!((former.at(), health.report().items().len()), (1, 1));
    assert!(latter.at() >= 10);
}

#[tokio::test(start_paused = true)]
async fn everything_ends_with_the_last_handle() {
    let (health, looked) = (Health::new(), Looked::default());
    health.readiness().check(looked.check());
    let hangs = health.clone();
    health.readiness().check(Check::new("hangs", pending::<()>).timeout(1000 * SECOND));
    sleep(100 * SECOND).await;
    drop(health);
    let before = looked.at();
    sleep(100 * SECOND).await;
    assert!(looked.at() > before, "a handle is left");
    drop(hangs);
    let before = looked.at();
    settle().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
    sleep(1000 * SECOND).await;
    assert_eq!(looked.at(), before);
    // The checks are gone too, and so is what they share.
    assert_eq!(Arc::strong_count(&looked.times), 1);
}

#[test]
fn outside_a_runtime_checks_wait_for_one() {
    let (health, looked) = (Health::new(), Looked::default());
    health.readiness().check(looked.check().critical());
    health.start();
    assert_eq!((ready(&health), looked.at()), (Status::Unknown, 0));
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        health.start();
        sleep(SECOND).await;
        assert_eq!((ready(&health), looked.at()), (Status::Pass, 1));
    });
}

#[test]
fn outside_a_runtime_a_check_that_is_replaced_is_let_go() {
    let (health, held) = (Health::new(), Arc::new(()));
    for _ in 0..100 {
        let held = Arc::clone(&held);
        health.readiness().check(Check::new("db", move || {
            let held = Arc::clone(&held);
            async move { drop(held) }
        }));
    }
    assert_eq!(Arc::strong_count(&held), 2, "ours, and that of the last");
}

/// The ticker is started anew; what has run in the other runtime has ended with it, and is told so by its
/// age.
#[test]
fn a_runtime_that_ends_takes_its_checks_along() {
    let (health, looked) = (Health::new(), Looked::default());
    for _ in 0..2 {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            health.readiness().check(looked.check().max_age(20 * SECOND).critical());
            settle().await;
            assert_eq!(ready(&health), Status::Pass);
        });
    }
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut news = health.subscribe();
        health.start();
        timeout(2000 * SECOND, news.changed()).await.unwrap().unwrap();
        assert_eq!(news.borrow().status(Probe::Readiness), Status::Unknown);
    });
}

/// Panics as it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "as it was dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_as_it_is_dropped_has_failed_and_is_looked_at_again() {
    for how in ["by its timeout", "with its panic", "at its end"] {
        let health = Health::new();
        let mut looks = 0;
        let look = move || {
            looks += 1;
            let first = looks == 1;
            async move {
                match how {
                    _ if !first => {}
                    "by its timeout" => {
                        let _bomb = Bomb;
                        pending::<()>().await;
                    }
                    "with its panic" => std::panic::panic_any(Bomb),
                    _ => drop(Bomb),
                }
            }
        };
        health.readiness().check(Check::new("db", look).every(5 * SECOND).failures(1).critical());
        sleep(2 * SECOND).await;
        assert_eq!(ready(&health), Status::Fail, "{how}");
        sleep(5 * SECOND).await;
        assert_eq!(ready(&health), Status::Pass, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_answers_after_its_timeout_has_failed() {
    let health = Health::new();
    // Nobody else gets on in the meantime, as when a thread is blocked.
    let blocks = async || tokio::time::advance(3 * SECOND).await;
    health.readiness().check(Check::new("x", blocks).timeout(2 * SECOND).failures(1).critical());
    settle().await;
    assert_eq!(ready(&health), Status::Fail);
    let report = health.report();
    assert_eq!(report.items()[0].detail(), Some("it took longer than 2s"));
}

/// Where there is no timer no look can be bounded, and nothing can be waited for.
#[test]
fn without_a_timer_it_says_so_and_tries_only_once() {
    let health = Health::new();
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        health.readiness().check(Check::new("db", async || ()).critical());
        let _pulse = health.readiness().pulse(Heartbeat::every("loop", 10 * SECOND));
        settle().await;
        assert_eq!(ready(&health), Status::Fail);
        assert_eq!(health.report().items()[0].detail(), Some("its task has panicked"));
        for _ in 0..10 {
            health.start();
            assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "another try");
            settle().await;
        }
    });
}
