use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the first poll.
    AtOnce,
    /// After being pending this often; it wakes its task each time.
    Polls(u32),
    /// After this much of tokio's time, which tests pause.
    After(Duration),
    /// Not at all; it never wakes its task.
    Never,
}

/// What happens then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// What a caller hopes for.
    Succeed,
    /// An error.
    Fail,
    /// A panic.
    Panic,
}

/// How a probe's response bodies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPlan {
    /// Data frames of one byte each.
    pub frames: u32,
    /// When each frame, and then the end, comes.
    pub pace: Pace,
    /// How it ends after the frames.
    pub end: Act,
    /// Whether trailers come before a successful end.
    pub trailers: bool,
}

/// What a [`Probe`](crate::Probe) does. Shared by its clones; a change acts on what begins later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `poll_ready`.
    pub ready: (Pace, Act),
    /// Whether `call` itself panics.
    pub call_panics: bool,
    /// The response's head.
    pub head: (Pace, Act),
    /// The response's body.
    pub body: BodyPlan,
}

impl Default for Plan {
    /// Ready at once, answers at once, with an empty body.
    fn default() -> Self {
        Self {
            ready: (Pace::AtOnce, Act::Succeed),
            call_panics: false,
            head: (Pace::AtOnce, Act::Succeed),
            body: BodyPlan { frames: 0, pace: Pace::AtOnce, end: Act::Succeed, trailers: false },
        }
    }
}

/// A [`Pace`] under way.
#[derive(Debug)]
pub(crate) enum Waiting {
    Polls(u32),
    Time(Pin<Box<tokio::time::Sleep>>),
    Forever,
}

impl From<Pace> for Waiting {
    fn from(pace: Pace) -> Self {
        match pace {
            Pace::AtOnce => Self::Polls(0),
            Pace::Polls(polls) => Self::Polls(polls),
            Pace::After(time) => Self::Time(Box::pin(tokio::time::sleep(time))),
            Pace::Never => Self::Forever,
        }
    }
}

impl Waiting {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Polls(0) => Poll::Ready(()),
            Self::Polls(left) => {
                *left -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Time(sleep) => sleep.as_mut().poll(cx),
            Self::Forever => Poll::Pending,
        }
    }
}
