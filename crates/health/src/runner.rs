use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Weak},
    task::{Context, Poll},
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
    let mut rng = Rng::random();
    loop {
        let finding = once(&mut look, timing.timeout).await;
        let goes_on = registry.upgrade().is_some_and(|registry| registry.found(id, finding));
        if !goes_on {
            return;
        }
        time::sleep(timing.pause(&mut rng)).await;
    }
}

async fn once<F, Fut>(look: &mut F, timeout: Duration) -> Finding
where
    F: FnMut() -> Fut,
    Fut: Future<Output: Into<Finding>>,
{
    // All that is not ours runs inside: the closure, its future, and what makes a finding of its output.
    let look = Caught(async { look().await.into() });
    let failed = |detail| Finding::from(Status::Fail).with_detail(detail);
    match time::timeout(timeout, look).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(panic)) => failed(format!("it panicked: {}", message(&*panic))),
        Err(_) => failed(format!("it took longer than {timeout:?}")),
    }
}

/// What a panic said, if it said it in words.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref().map(String::as_str)).unwrap_or("without a word")
}

/// A future whose panic is an error.
#[pin_project]
struct Caught<F>(#[pin] F);

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().0;
        // A check that has panicked is not polled again, and what it shares with others is theirs to guard.
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
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

/// Tells the registry when its ticker ends, however it does.
pub(crate) struct Stopped(pub(crate) Weak<Registry>);

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(registry) = self.0.upgrade() {
            registry.stopped();
        }
    }
}
