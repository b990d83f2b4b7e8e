use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use crate::{
    BodyLimit,
    alarm::{Alarm, Due, Nanos, Patience},
};

/// A [`BodyLimit`] in full words. It is copied with its neighbours, and a copy of a field that was
/// written in part waits for the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Within,
    Idle(Nanos),
    Excluded,
}

impl From<BodyLimit> for Bound {
    fn from(limit: BodyLimit) -> Self {
        match limit {
            BodyLimit::Within => Self::Within,
            BodyLimit::Idle(limit) => Self::Idle(limit.into()),
            BodyLimit::Excluded => Self::Excluded,
        }
    }
}

/// What bounds a body, and its timer, once it needs one.
#[derive(Debug)]
pub(crate) enum Watch {
    Off,
    /// To be done by then; nothing has come yet.
    Within(Due),
    /// One frame has come, perhaps all there is.
    WithinMore(Due),
    /// The time is up, and one frame went out that was there at that moment.
    Late,
    Idle(Nanos),
    /// Boxed: else every response would carry the hundred bytes of a timer from hand to hand, and few
    /// need one. The one variant with something to drop.
    Set(Pin<Box<Timer>>),
}

#[derive(Debug)]
#[pin_project(project = TimerProj)]
pub(crate) enum Timer {
    Within(#[pin] Alarm),
    Idle(#[pin] Patience),
}

impl Watch {
    #[inline]
    pub(crate) fn new(bound: Bound, due: Due) -> Self {
        match bound {
            Bound::Within => Self::Within(due),
            Bound::Idle(limit) => Self::Idle(limit),
            Bound::Excluded => Self::Off,
        }
    }

    /// Nothing is there. Ready when the time is up.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Off => Poll::Pending,
            Self::Late => Poll::Ready(()),
            Self::Set(timer) => match timer.as_mut().project() {
                TimerProj::Within(alarm) => alarm.poll(cx),
                TimerProj::Idle(patience) => patience.poll(cx),
            },
            Self::Within(_) | Self::WithinMore(_) | Self::Idle(_) => self.set(cx),
        }
    }

    #[cold]
    fn set(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match *self {
            Self::Within(Due::Never) | Self::WithinMore(Due::Never) => {
                *self = Self::Off;
                return Poll::Pending;
            }
            Self::Within(due) | Self::WithinMore(due) => Timer::Within(Alarm::new(due)),
            Self::Idle(limit) => Timer::Idle(Patience::new(limit.into())),
            Self::Off | Self::Late | Self::Set(_) => return self.poll(cx),
        };
        *self = Self::Set(Box::pin(timer));
        self.poll(cx)
    }

    /// A frame is there, and more will follow. Ready when it must not go out any more.
    ///
    /// A body that never waits would not feel its timer. So it has one from its second frame on, and
    /// when that has rung, one more frame goes out and then at most what ends the body.
    #[inline]
    pub(crate) fn poll_with_frame(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Off | Self::Idle(_) => {}
            Self::Within(due) => *self = Self::WithinMore(*due),
            Self::WithinMore(_) => {
                if self.set(cx).is_ready() {
                    *self = Self::Late;
                }
            }
            Self::Set(timer) => match timer.as_mut().project() {
                TimerProj::Within(alarm) if alarm.has_rung() => *self = Self::Late,
                TimerProj::Within(_) => {}
                TimerProj::Idle(patience) => patience.rewarded(),
            },
            Self::Late => return Poll::Ready(()),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
