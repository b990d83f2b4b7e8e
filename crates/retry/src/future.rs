//! The future of [`Retry`](crate::Retry).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, response::Parts};
use http_body::Body;
use palisade_core::{BoxError, Classify, ClassifyEnd, End};
use pin_project::pin_project;
use tokio::time::{Sleep, sleep};
use tower_service::Service;

use crate::{
    Carry, Peek, ResponseBody,
    answer::Answer,
    body::Source,
    finding::Finding,
    kept::{First, Kept},
    retrying::{Judged, Retrying},
};

/// The answer to a request: that of its last attempt.
///
/// # Cancel safety
///
/// Dropping it at any moment gives back what it holds: what the budget gave for an attempt that had not
/// begun, its place among the retries, and what was kept of the request's body.
///
/// # Panics
///
/// When it has to wait outside of a tokio runtime, or in one without time; and when it is polled again
/// after it was ready.
///
/// It holds a timer, so it is never `Unpin`.
#[pin_project]
pub struct ResponseFuture<F, X, R: Body, E, T> {
    #[pin]
    state: State<F, R, E, T>,
    /// `None` of a request that is never tried again.
    retrying: Option<Box<X>>,
}

#[pin_project(project = StateProj)]
enum State<F, R: Body, E, T> {
    /// An attempt is under way.
    Attempt(#[pin] F),
    /// Its answer has begun, and what it says is yet to come.
    Peeking(Option<Begun<R, T>>),
    /// Another attempt is to come.
    Waiting {
        #[pin]
        sleep: Sleep,
        /// What is answered if that cannot be made.
        hand: Option<Box<Hand<R, E>>>,
    },
    Done,
}

struct Begun<R: Body, T> {
    parts: Parts,
    body: Kept<R>,
    end: T,
    peek: Peek,
}

/// An outcome that is not good enough, and better than none.
struct Hand<R: Body, E> {
    finding: Finding,
    answer: Result<Answer<R>, E>,
}

impl<F, X, R: Body, E, T> ResponseFuture<F, X, R, E, T> {
    #[inline]
    pub(crate) fn untouched(future: F) -> Self {
        Self { state: State::Attempt(future), retrying: None }
    }

    pub(crate) fn retrying(future: F, retrying: Box<X>) -> Self {
        Self { state: State::Attempt(future), retrying: Some(retrying) }
    }
}

impl<S, C, W, B, R, E> Future
    for ResponseFuture<S::Future, Retrying<S, C, W, B, C::Call>, R, E, C::Eos>
where
    S: Service<Request<W::Body>, Response = Response<R>, Error = E>,
    C: Classify<E>,
    W: Carry<B>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R, C::Eos>>, E>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        if this.retrying.is_none()
            && let StateProj::Attempt(future) = this.state.project()
        {
            let answer = ready!(future.poll(cx));
            return Poll::Ready(
                answer.map(|response| response.map(|body| ResponseBody::new(Source::Inner(body)))),
            );
        }
        self.poll_attempts(cx)
    }
}

impl<S, C, W, B, R, E> ResponseFuture<S::Future, Retrying<S, C, W, B, C::Call>, R, E, C::Eos>
where
    S: Service<Request<W::Body>, Response = Response<R>, Error = E>,
    C: Classify<E>,
    W: Carry<B>,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
{
    /// Of a request that may be tried again; out of the way of all others.
    #[inline(never)]
    fn poll_attempts(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody<R, C::Eos>>, E>> {
        let mut this = self.project();
        loop {
            let retrying = this.retrying.as_mut().expect(POLLED_AGAIN);
            let (judged, answer) = match this.state.as_mut().project() {
                StateProj::Attempt(future) => {
                    let answer = ready!(future.poll(cx));
                    // What the attempt holds is given back before anything else is done.
                    this.state.set(State::Done);
                    match answer {
                        Ok(response) => {
                            let (parts, body) = response.into_parts();
                            match (retrying.judge(&parts), retrying.peek()) {
                                (Judged::Now(finding), _) if !finding.is_transient() => {
                                    let mut retrying = this.retrying.take().expect(POLLED_AGAIN);
                                    let body = Source::Inner(body);
                                    let response = retrying.give(Judged::Now(finding), parts, body);
                                    return Poll::Ready(Ok(response));
                                }
                                (Judged::AtEnd(end), Some(peek)) => {
                                    let body = Kept::new(body);
                                    let begun = Begun { parts, body, end, peek };
                                    this.state.set(State::Peeking(Some(begun)));
                                    continue;
                                }
                                (judged, _) => (judged, Ok(Answer::new(parts, body))),
                            }
                        }
                        Err(error) => (Judged::Now(retrying.judge_error(&error)), Err(error)),
                    }
                }
                StateProj::Peeking(begun) => {
                    let Begun { parts, mut body, end, peek } = begun.take().expect(POLLED_AGAIN);
                    let judged = match body.poll_first(cx) {
                        Poll::Pending if peek == Peek::FirstFrame => {
                            *begun = Some(Begun { parts, body, end, peek });
                            return Poll::Pending;
                        }
                        Poll::Pending | Poll::Ready(First::Data) => Judged::AtEnd(end),
                        Poll::Ready(First::End(trailers)) => {
                            Judged::Now(retrying.judge_end(end, End::Complete { trailers }))
                        }
                        Poll::Ready(First::Failed) => {
                            Judged::Now(retrying.judge_end(end, End::Failed))
                        }
                    };
                    (judged, Ok(Answer::kept(parts, body)))
                }
                StateProj::Waiting { sleep, hand } => {
                    if sleep.poll(cx).is_pending() {
                        if let Some(Ok(answer)) = hand.as_mut().map(|hand| &mut hand.answer) {
                            // What has come meanwhile need not be held until the end of the wait.
                            answer.body.read_ahead(cx);
                        }
                        return Poll::Pending;
                    }
                    let Hand { finding, answer } = *hand.take().expect(POLLED_AGAIN);
                    this.state.set(State::Done);
                    match retrying.next(cx) {
                        Ok(request) => {
                            // Before the call: a permit in it must not refuse what comes after it.
                            drop(answer);
                            let future = retrying.call(request);
                            this.state.set(State::Attempt(future));
                            continue;
                        }
                        Err(fate) => {
                            retrying.give_up(fate, finding.outcome);
                            return Poll::Ready(give(this.retrying, Judged::Now(finding), answer));
                        }
                    }
                }
                StateProj::Done => panic!("{POLLED_AGAIN}"),
            };
            let finding = match judged {
                Judged::Now(finding) => finding,
                begun @ Judged::AtEnd(_) => {
                    this.state.set(State::Done);
                    return Poll::Ready(give(this.retrying, begun, answer));
                }
            };
            let Some(delay) = retrying.again(finding) else {
                this.state.set(State::Done);
                return Poll::Ready(give(this.retrying, Judged::Now(finding), answer));
            };
            let answer = answer.map(|answer| answer.read_ahead(cx));
            let hand = Some(Box::new(Hand { finding, answer }));
            this.state.set(State::Waiting { sleep: sleep(delay), hand });
        }
    }
}

const POLLED_AGAIN: &str = "polled after it was ready, or had panicked";

#[allow(clippy::type_complexity, reason = "it is the future's own")]
fn give<S, C, W, B, T, R: Body<Data = Bytes>, E, Z: ClassifyEnd>(
    retrying: &mut Option<Box<Retrying<S, C, W, B, T>>>,
    judged: Judged<Z>,
    answer: Result<Answer<R>, E>,
) -> Result<Response<ResponseBody<R, Z>>, E> {
    let mut retrying = retrying.take().expect(POLLED_AGAIN);
    answer.map(|Answer { parts, body }| retrying.give(judged, parts, body))
}

impl<F, X, R: Body, E, T> fmt::Debug for ResponseFuture<F, X, R, E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Attempt(_) => "Attempt",
            State::Peeking(_) => "Peeking",
            State::Waiting { .. } => "Waiting",
            State::Done => "Done",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
