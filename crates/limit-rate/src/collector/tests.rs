use std::{num::NonZeroU32, sync::Weak, thread};

use tokio::{runtime::Builder, task::yield_now};

use crate::{Quota, Store, TableStore};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn fill(store: &TableStore) {
    let now = time::Instant::now().into_std();
    for key in 0..1000_u32 {
        store.take(&key, Quota::per_second(NonZeroU32::MIN).into(), NonZeroU32::MIN, now);
    }
    assert_eq!(store.len(), 1000);
}

fn store() -> Arc<TableStore> {
    let store = TableStore::new().with_ttl(5 * SECOND).with_sweep_interval(10 * SECOND);
    Arc::new(store)
}

/// Lets the collector's task run.
async fn settle() {
    for _ in 0..5 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn collects_what_is_full_within_an_interval() {
    let store = store();
    store.start();
    settle().await;
    fill(&store);
    // Full after a second, to be forgotten after six, and found within ten more.
    time::sleep(5 * SECOND).await;
    assert_eq!(store.len(), 1000);
    time::sleep(12 * SECOND).await;
    assert_eq!(store.len(), 0);
    assert!(store.collector().is_running());
}

#[tokio::test(start_paused = true)]
async fn ends_with_the_last_owner() {
    let store = store();
    let (weak, other) = (Arc::downgrade(&store), Arc::clone(&store));
    store.start();
    settle().await;
    drop(store);
    time::sleep(30 * SECOND).await;
    assert!(other.collector().is_running());
    drop(other);
    assert!(Weak::upgrade(&weak).is_none(), "the task holds its owner");
    time::sleep(30 * SECOND).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn ends_when_it_is_closed_and_is_not_started_again() {
    let store = store();
    store.start();
    settle().await;
    fill(&store);
    Store::<u32>::close(&*store);
    time::sleep(30 * SECOND).await;
    assert!(!store.collector().is_running());
    assert_eq!(store.len(), 1000);
    store.start();
    assert!(!store.collector().is_running());
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn starts_once() {
    let store = store();
    for _ in 0..10 {
        store.start();
        settle().await;
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 1);
}

#[test]
fn needs_no_runtime_and_outlives_one() {
    let store = store();
    store.start();
    assert!(!store.collector().is_running());
    for _ in 0..3 {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.unwrap();
        runtime.block_on(async {
            store.start();
            settle().await;
            assert!(store.collector().is_running());
        });
        drop(runtime);
        assert!(!store.collector().is_running());
    }
}

/// As with a program that catches it and starts another.
#[test]
fn outlives_a_runtime_that_ends_by_a_panic() {
    let store = store();
    let owner = Arc::clone(&store);
    let panicked = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            owner.start();
            settle().await;
            assert!(!owner.collector().is_running(), "it panics as asked");
        });
    });
    panicked.join().unwrap_err();
    assert!(!store.collector().is_running());
}

/// Each request would panic in a task of its own otherwise.
#[test]
fn a_runtime_without_a_timer_is_tried_once_and_then_left_alone() {
    let store = store();
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        store.start();
        settle().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "it panics");
        store.start();
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "and would again");
        fill(&store);
    });
}
