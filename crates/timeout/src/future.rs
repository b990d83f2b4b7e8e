//! The future of [`Timeout`](crate::Timeout).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_TYPE};
use http_body::Body;
use palisade_core::{GrpcCode, Id, Protocol, Rejection};
use pin_project::pin_project;
use tokio::time::Instant;

use crate::{
    ResponseBody,
    alarm::{Alarm, Due},
    layer::Settings,
    refusal::{Answer, Caller, Refusal},
    term::Term,
    watch::{Bound, Watch},
};

/// The answer to a request: the inner service's, or, when the time is up, a refusal.
///
/// # Cancel safety
///
/// Dropping it at any moment loses nothing.
///
/// # Panics
///
/// When it has to wait outside of a tokio runtime, or in one without time; and when it is polled
/// again after it was ready.
///
/// It holds a timer, so it is never `Unpin`.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Running {
        #[pin]
        future: F,
        #[pin]
        alarm: Alarm,
        transport_gives_up: Option<Instant>,
        whole: Due,
        body: Bound,
        // What makes a refusal, apart: to copy it whole is to wait for its single fields' writes.
        answer: Answer,
        protocol: Protocol,
        id: Option<Id>,
    },
    Refused {
        rejection: Option<Rejection>,
        protocol: Protocol,
    },
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn new(future: F, term: Term, settings: &Settings, caller: Caller) -> Self {
        let Term { due, whole, transport_gives_up } = term;
        let Caller { protocol, id } = caller;
        let Settings { answer, body, .. } = *settings;
        let alarm = Alarm::new(due);
        Self {
            state: State::Running {
                future,
                alarm,
                transport_gives_up,
                whole,
                body,
                answer,
                protocol,
                id,
            },
        }
    }

    pub(crate) fn refused(rejection: Rejection, protocol: Protocol) -> Self {
        Self { state: State::Refused { rejection: Some(rejection), protocol } }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    /// The inner future is asked first: an answer that is there when the time is up is given.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        match state.as_mut().project() {
            StateProj::Running {
                future,
                alarm,
                transport_gives_up,
                whole,
                body,
                answer,
                protocol,
                id,
            } => {
                let polled = future.poll(cx);
                let (body, answer) = (*body, *answer);
                let whole = if body == Bound::Within { alarm.due() } else { *whole };
                let mut caller = Caller { protocol: *protocol, id: *id };
                let up = match &polled {
                    Poll::Ready(ready) => gave_up(ready, *transport_gives_up),
                    Poll::Pending => alarm.poll(cx).is_ready(),
                };
                if up {
                    // First of all whatever the inner future holds is given back.
                    state.set(State::Refused { rejection: None, protocol: caller.protocol });
                    let rejection = Refusal::new(answer, caller).timed_out();
                    return Poll::Ready(Ok(respond(rejection, caller.protocol)));
                }
                if let Poll::Ready(Ok(response)) = &polled
                    && caller.protocol == Protocol::Grpc
                    && says_it_is_something_else(response)
                {
                    // What is not gRPC cannot end with a status.
                    caller.protocol = Protocol::Http;
                }
                polled.map_ok(|response| {
                    response.map(|inner| {
                        ResponseBody::new(inner, Watch::new(body, whole), answer, caller)
                    })
                })
            }
            StateProj::Refused { rejection, protocol } => {
                let rejection = rejection.take().expect("polled after it was ready");
                Poll::Ready(Ok(respond(rejection, *protocol)))
            }
        }
    }
}

#[cold]
fn respond<B>(rejection: Rejection, protocol: Protocol) -> Response<ResponseBody<B>> {
    rejection.respond(protocol).map(ResponseBody::own)
}

/// Whether this comes from a transport or a server that knows the time, and found it up before we did.
///
/// tonic's do. Its transport fails then, and its server answers `CANCELLED`, which overtakes what the
/// transport says if that is slow to look.
#[inline]
fn gave_up<B, E>(answer: &Result<Response<B>, E>, at: Option<Instant>) -> bool {
    at.is_some_and(|at| may_have_given_up(answer) && at <= Instant::now())
}

fn may_have_given_up<B, E>(answer: &Result<Response<B>, E>) -> bool {
    answer
        .as_ref()
        .map_or(true, |response| GrpcCode::of(response.headers()) == Some(GrpcCode::Cancelled))
}

/// Whether the answer to a gRPC request is, by its own word, no gRPC.
fn says_it_is_something_else<B>(response: &Response<B>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    content_type.is_some_and(|value| !value.as_bytes().starts_with(b"application/grpc"))
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Running { .. } => "Running",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
