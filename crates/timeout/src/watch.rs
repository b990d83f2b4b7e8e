use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use pin_project::pin_project;

use crate::{
    BodyLimit,
    alarm::{Alarm, Due, Nanos, Patience},
};

/// A [`BodyLimit`] in full words: a response passes through many hands, and each copies it.
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
            BodyLimit::Idle(limit) => Self::idle(limit.into()),
            BodyLimit::Excluded => Self::Excluded,
        }
    }
}

impl Bound {
    /// Nothing has to be timed that may take for ever.
    pub(crate) fn idle(limit: Nanos) -> Self {
        if limit == Nanos::FOREVER { Self::Excluded } else { Self::Idle(limit) }
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
    /// need one.
    Set(Pin<Box<Timer>>),
    /// Whichever is sooner.
    Both(Box<[Self; 2]>),
}

#[derive(Debug)]
#[pin_project(project = TimerProj)]
pub(crate) enum Timer {
    Within(#[pin] Alarm),
    Idle(#[pin] Patience),
}

impl Watch {
    /// `due` is when the layer, or others, end all of it.
    #[inline]
    pub(crate) fn new(bound: Bound, due: Due) -> Self {
        match (bound, due) {
            (Bound::Excluded, Due::Never) => Self::Off,
            (Bound::Idle(limit), Due::Never) => Self::Idle(limit),
            (Bound::Idle(limit), due) => {
                Self::Both(Box::new([Self::Within(due), Self::Idle(limit)]))
            }
            (Bound::Within | Bound::Excluded, due) => Self::Within(due),
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
            Self::Within(_) | Self::WithinMore(_) | Self::Idle(_) | Self::Both(_) => self.set(cx),
        }
    }

    #[cold]
    fn set(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match self {
            Self::Within(Due::Never) | Self::WithinMore(Due::Never) => {
                *self = Self::Off;
                return Poll::Pending;
            }
            Self::Within(due) | Self::WithinMore(due) => Timer::Within(Alarm::new(*due)),
            Self::Idle(limit) => Timer::Idle(Patience::new((*limit).into())),
            Self::Both(both) => {
                let [one, other] = both.each_mut().map(|watch| watch.poll(cx));
                return if one.is_ready() { one } else { other };
            }
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
    pub(crate) fn poll_with_frame(
        &mut self,
        frame: &Frame<Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
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
                // Else one could keep a body open with nothing.
                TimerProj::Idle(patience) if !is_empty(frame) => patience.rewarded(),
                TimerProj::Within(_) | TimerProj::Idle(_) => {}
            },
            Self::Both(both) => {
                let [one, other] = both.each_mut().map(|watch| watch.poll_with_frame(frame, cx));
                return if one.is_ready() { one } else { other };
            }
            Self::Late => return Poll::Ready(()),
        }
        Poll::Pending
    }
}

fn is_empty(frame: &Frame<Bytes>) -> bool {
    frame.data_ref().is_some_and(Bytes::is_empty)
}

#[cfg(test)]
mod tests;
