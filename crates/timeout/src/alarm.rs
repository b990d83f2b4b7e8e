//! Timers that nobody makes before something has to wait.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::pin_project;
use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// A time in nanoseconds, in one word; the longest is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nanos(pub(crate) u64);

impl Nanos {
    pub(crate) const ZERO: Self = Self(0);
    pub(crate) const FOREVER: Self = Self(u64::MAX);
}

impl From<Duration> for Nanos {
    fn from(time: Duration) -> Self {
        u64::try_from(time.as_nanos()).map_or(Self::FOREVER, Self)
    }
}

impl From<Nanos> for Duration {
    #[inline]
    fn from(time: Nanos) -> Self {
        if time == Nanos::FOREVER { Self::MAX } else { Self::from_nanos(time.0) }
    }
}

/// When the time of an exchange is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Never,
    /// This long after something first had to wait.
    In(Nanos),
    At(Instant),
}

/// Rings once, when the time is up.
///
/// Its timer is made, and the clock read, when it is first polled.
#[derive(Debug)]
#[pin_project]
pub(crate) struct Alarm {
    due: Due,
    #[pin]
    sleep: Option<Sleep>,
}

impl Alarm {
    #[inline]
    pub(crate) fn new(due: Due) -> Self {
        Self { due, sleep: None }
    }

    /// When it rings, which is known for good once it was polled.
    #[inline]
    pub(crate) fn due(&self) -> Due {
        self.due
    }

    /// Whether it has rung. One load; it is the runtime that looks at the clock.
    #[inline]
    pub(crate) fn has_rung(&self) -> bool {
        self.sleep.as_ref().is_some_and(Sleep::is_elapsed)
    }

    /// Ready when the time is up.
    #[inline]
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            return poll_whatever_the_budget(sleep, cx);
        }
        let at = match *this.due {
            Due::Never => return Poll::Pending,
            Due::At(at) => Some(at),
            Due::In(time) => Instant::now().checked_add(time.into()),
        };
        let Some(at) = at else {
            // Beyond what the clock can say.
            *this.due = Due::Never;
            return Poll::Pending;
        };
        *this.due = Due::At(at);
        count::timer_operation();
        this.sleep.set(Some(sleep_until(at)));
        this.sleep.as_pin_mut().map_or(Poll::Pending, |sleep| poll_whatever_the_budget(sleep, cx))
    }
}

/// A future that is always busy uses up its task's budget before the timer is asked, which tokio would
/// then neither set nor look at: just those who need a limit would have none.
#[inline]
fn poll_whatever_the_budget(sleep: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<()> {
    Pin::new(&mut unconstrained(sleep)).poll(cx)
}

/// Rings when something was waited for in vain this long.
///
/// Each wait reads the clock once. The timer is not moved by what comes: it is left to fire and then,
/// if something came meanwhile, set to when the present wait will have been too long. (As linkerd's
/// proxy does with its stream timeouts.)
#[derive(Debug)]
#[pin_project]
pub(crate) struct Patience {
    limit: Duration,
    since: Option<Instant>,
    #[pin]
    sleep: Option<Sleep>,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, since: None, sleep: None }
    }

    /// What was waited for has come.
    #[inline]
    pub(crate) fn rewarded(self: Pin<&mut Self>) {
        *self.project().since = None;
    }

    /// It has not come yet. Ready when it has not for too long.
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let since = *this.since.get_or_insert_with(Instant::now);
        let Some(due) = since.checked_add(*this.limit) else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            count::timer_operation();
            this.sleep.set(Some(sleep_until(due)));
        }
        while let Some(mut sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(poll_whatever_the_budget(sleep.as_mut(), cx));
            if sleep.deadline() >= due {
                break;
            }
            count::timer_operation();
            sleep.as_mut().reset(due);
        }
        Poll::Ready(())
    }
}

/// How often a timer was made or moved, for tests.
mod count {
    #[cfg(test)]
    thread_local! {
        pub(super) static OPERATIONS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }

    #[inline]
    pub(super) fn timer_operation() {
        #[cfg(test)]
        OPERATIONS.with(|operations| operations.set(operations.get() + 1));
    }
}

#[cfg(test)]
pub(crate) fn timer_operations() -> u32 {
    count::OPERATIONS.with(std::cell::Cell::get)
}
