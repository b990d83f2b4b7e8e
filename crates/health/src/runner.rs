use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use palisade_core::Rng;
use pin_project::pin_project;
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

use crate::{Finding, Status, check::Timing, clock::now, registry::Registry};

/// The task of one check: looks, tells, waits, and looks again, until nobody wants to know.
pub(crate) async fn run<F, Fut>(mut look: F, timing: Timing, registry: Weak<Registry>, id: u64)
where
    F: FnMut() -> Fut,
    Fut: Future<Output: Into<Finding>>,
{
    let task = Task { registry, id };
    let mut rng = Rng::random();
    loop {
        let finding = once(&mut look, timing.timeout).await;
        let goes_on = task.registry.upgrade().is_some_and(|registry| registry.found(id, finding));
        if !goes_on {
            return;
        }
        time::sleep(timing.pause(&mut rng)).await;
    }
}

/// Tells the registry when the task of a check panics: nothing will be heard of it any more.
struct Task {
    registry: Weak<Registry>,
    id: u64,
}

impl Drop for Task {
    fn drop(&mut self) {
        if thread::panicking()
            && let Some(registry) = self.registry.upgrade()
        {
            registry.died(self.id);
        }
    }
}

async fn once<F, Fut>(look: &mut F, timeout: Duration) -> Finding
where
    F: FnMut() -> Fut,
    Fut: Future<Output: Into<Finding>>,
{
    let failed = |detail| Finding::from(Status::Fail).with_detail(detail);
    let late = || failed(format!("it took longer than {timeout:?}"));
    let began = Instant::now();
    // All that is not ours runs inside: the closure, its future, and what makes a finding of its output.
    let mut look = pin!(Caught(Some(async { look().await.into() })));
    let looked = time::timeout(timeout, look.as_mut()).await;
    // Here, and not at the end: what is dropped may panic as well.
    let dropped = look.end();
    match (looked, dropped) {
        (Ok(Err(text)), _) | (Ok(Ok(_)), Err(text)) => failed(format!("it panicked: {text}")),
        // One that blocks its thread is only seen to be late when it is done.
        (Ok(Ok(_)), Ok(())) if began.elapsed() > timeout => late(),
        (Ok(Ok(finding)), Ok(())) => finding,
        (Err(_), _) => late(),
    }
}

/// A future whose panic is an error, also as it is dropped: the text of it.
#[pin_project]
struct Caught<F>(#[pin] Option<F>);

impl<F> Caught<F> {
    fn end(self: Pin<&mut Self>) -> Result<(), String> {
        let mut future = self.project().0;
        caught(|| future.set(None))
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, String>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.project().0.as_pin_mut() else { return Poll::Pending };
        match caught(|| future.poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(text) => Poll::Ready(Err(text)),
        }
    }
}

/// What a panic in it said, if it said it in words.
fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    // What has panicked is not run again, and what it shares with others is theirs to guard.
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref().map(String::as_str));
        let text = text.unwrap_or("without a word").to_owned();
        // It may be anything, and panic as it is dropped; what that throws is not tried again.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(panic)));
        dropped.unwrap_or_else(mem::forget);
        text
    })
}

/// Looks at the registry whenever time alone may have changed something, so that it is told of also when
/// no probe asks.
pub(crate) async fn tick(stopped: Stopped, sooner: Arc<Notify>) {
    loop {
        let mut notified = pin!(sooner.notified());
        // Before the moment is read: from here on, a nearer one wakes.
        notified.as_mut().enable();
        let Some(until) = stopped.0.upgrade().map(|registry| registry.until()) else { return };
        match until {
            Some(until) => drop(time::timeout_at(Instant::from_std(until), notified).await),
            None => notified.await,
        }
        let Some(registry) = stopped.0.upgrade() else { return };
        registry.gate.phase(registry.clock.nanos(now()));
        registry.evaluate();
    }
}

/// Tells the registry when its ticker ends with its runtime. One that has panicked, as where there is no timer,
/// would do so again with each request.
pub(crate) struct Stopped(pub(crate) Weak<Registry>);

impl Drop for Stopped {
    fn drop(&mut self) {
        if !thread::panicking()
            && let Some(registry) = self.0.upgrade()
        {
            registry.stopped();
        }
    }
}
