use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::alarm::{Alarm, Due, Patience};

/// What bounds a body, and its timer, once it needs one.
///
/// Timers are boxed: else every response would carry their hundred bytes from hand to hand, and few
/// need one.
#[derive(Debug)]
pub(crate) enum Watch {
    Off,
    /// To be done by then; nothing has come yet.
    Within(Due),
    /// One frame has come, perhaps all there is.
    WithinMore(Due),
    WithinSet(Pin<Box<Alarm>>),
    /// The time is up, and one frame went out that was there at that moment.
    Late,
    Idle(Duration),
    IdleSet(Pin<Box<Patience>>),
}

impl Watch {
    #[inline]
    pub(crate) fn within(due: Due) -> Self {
        match due {
            Due::Never => Self::Off,
            due => Self::Within(due),
        }
    }

    /// Nothing is there. Ready when the time is up.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Off => Poll::Pending,
            Self::Late => Poll::Ready(()),
            Self::WithinSet(alarm) => alarm.as_mut().poll(cx),
            Self::IdleSet(patience) => patience.as_mut().poll(cx),
            Self::Within(_) | Self::WithinMore(_) | Self::Idle(_) => self.set(cx),
        }
    }

    #[cold]
    fn set(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match *self {
            Self::Within(due) | Self::WithinMore(due) => {
                *self = Self::WithinSet(Box::pin(Alarm::new(due)));
            }
            Self::Idle(limit) => *self = Self::IdleSet(Box::pin(Patience::new(limit))),
            Self::Off | Self::WithinSet(_) | Self::Late | Self::IdleSet(_) => {}
        }
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
            Self::WithinSet(alarm) => {
                if alarm.has_rung() {
                    *self = Self::Late;
                }
            }
            Self::Late => return Poll::Ready(()),
            Self::IdleSet(patience) => patience.as_mut().rewarded(),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
