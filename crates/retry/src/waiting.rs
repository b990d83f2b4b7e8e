use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};

use crate::{answer::Answer, finding::Finding};

/// Until another attempt is to come.
///
/// It is one box for all that waiting takes, so that futures of requests that never wait are small.
pub(crate) struct Waiting<R: Body, E>(Pin<Box<Wait<R, E>>>);

#[pin_project]
struct Wait<R: Body, E> {
    #[pin]
    sleep: Sleep,
    hand: Option<Hand<R, E>>,
}

/// An outcome that is not good enough, and better than none: what is answered if no other can be had.
pub(crate) struct Hand<R: Body, E> {
    pub(crate) finding: Finding,
    pub(crate) answer: Result<Answer<R>, E>,
}

impl<R: Body<Data = Bytes>, E> Waiting<R, E> {
    pub(crate) fn new(delay: Duration, hand: Hand<R, E>) -> Self {
        Self(Box::pin(Wait { sleep: sleep(delay), hand: Some(hand) }))
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let wait = self.0.as_mut().project();
        let polled = wait.sleep.poll(cx);
        if polled.is_pending()
            && let Some(Hand { answer: Ok(answer), .. }) = wait.hand
        {
            // What has come meanwhile need not be held until the end of the wait.
            answer.body.read_ahead(cx);
        }
        polled
    }

    /// What is in hand, to be given or dropped.
    pub(crate) fn take(&mut self) -> Option<Hand<R, E>> {
        self.0.as_mut().project().hand.take()
    }
}
