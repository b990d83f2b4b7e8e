//! What a round must not leave behind.

use std::{
    alloc::System,
    fs, panic,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{StatusCode, Version};
use palisade_testkit::sockets::eventually_none;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::{runtime::Handle, time::sleep};

use super::World;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How many bytes are allocated.
fn live() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// How many sockets and other files are open, where the kernel tells.
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// What there is while nothing is asked.
pub(crate) struct Leaks {
    runtimes: [Handle; 2],
    tasks: [usize; 2],
    files: usize,
    bytes: Option<usize>,
}

/// By so much may two rounds differ: in how full the runtimes' queues and the pools of hyper's clients were.
/// It is less than a hundred bytes for each request of one round.
const SLACK: usize = 64 << 10;

impl Leaks {
    /// Asks once, since some tasks start with the first request.
    pub(crate) async fn none_yet(world: &World) -> Self {
        let (runtimes, files) = (world.runtimes(), open_files());
        let client = world.crowd.connects(Version::HTTP_11).await;
        assert_eq!(world.crowd.asks_over(&client, "/hello").await, StatusCode::OK);
        let mut leaks = Self { runtimes, tasks: [0; 2], files, bytes: None };
        // Each end of this connection has one.
        leaks.tasks = leaks.settled().await.map(|tasks| tasks - 1);
        drop(client);
        leaks
    }

    /// As many as there are for a while: when health looks at the upstream there is one more for a moment.
    async fn settled(&self) -> [usize; 2] {
        let (mut alive, mut looks) = (self.alive(), 0);
        while looks < 20 {
            sleep(Duration::from_millis(1)).await;
            let now = self.alive();
            (alive, looks) = (now, if now == alive { looks + 1 } else { 0 });
        }
        alive
    }

    fn alive(&self) -> [usize; 2] {
        self.runtimes.each_ref().map(|runtime| runtime.metrics().num_alive_tasks())
    }

    /// There are as many tasks and files as there were, and as many bytes as after the first round, which made
    /// what is kept to be used again.
    pub(crate) async fn are_none(&mut self) {
        let tasks =
            || unless(self.alive(), |tasks| *tasks == self.tasks, "tasks of the server and others");
        eventually_none(tasks).await;
        eventually_none(|| unless(open_files(), |files| *files <= self.files, "files")).await;
        let most = *self.bytes.get_or_insert_with(live) + SLACK;
        eventually_none(|| unless(live(), |bytes| *bytes <= most, "bytes")).await;
    }

    /// No task of the server's is left.
    pub(crate) async fn is_over(&self) {
        eventually_none(|| unless(self.alive()[0], |tasks| *tasks == 0, "tasks")).await;
    }
}

/// How many there are, if there may not be so many.
fn unless<T>(
    are: T,
    may_be: impl FnOnce(&T) -> bool,
    what: &'static str,
) -> Vec<(T, &'static str)> {
    if may_be(&are) { Vec::new() } else { vec![(are, what)] }
}

/// What panics have said that nobody meant.
pub(crate) struct Panics(Arc<Mutex<Vec<String>>>);

impl Panics {
    pub(crate) fn noted() -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let (noted, says) = (Arc::clone(&seen), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
            says(panic);
        }));
        Self(seen)
    }

    pub(crate) fn are_none(&self) {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(seen.is_empty(), "{seen:?}");
    }
}
