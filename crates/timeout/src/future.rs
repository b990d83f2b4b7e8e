//! The future of [`Timeout`](crate::Timeout).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use palisade_core::{Id, Protocol, Rejection};
use pin_project::pin_project;
use tokio::time::Instant;

use crate::{
    ResponseBody,
    alarm::Alarm,
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
        body: Bound,
        // A refusal's parts. As one they would be copied as one, which waits for each one's write.
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
        let Settings { answer, body, .. } = *settings;
        let Term { due, transport_gives_up } = term;
        let Caller { protocol, id } = caller;
        let alarm = Alarm::new(due);
        Self {
            state: State::Running { future, alarm, transport_gives_up, body, answer, protocol, id },
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
                mut alarm,
                transport_gives_up,
                body,
                answer,
                protocol,
                id,
            } => {
                let polled = future.poll(cx);
                let up = match &polled {
                    Poll::Ready(Ok(_)) => false,
                    Poll::Ready(Err(_)) => gave_up(*transport_gives_up),
                    Poll::Pending if alarm.as_mut().poll(cx).is_pending() => return Poll::Pending,
                    Poll::Pending => true,
                };
                let (answer, caller) = (*answer, Caller { protocol: *protocol, id: *id });
                if up {
                    // First of all whatever the inner future holds is given back.
                    state.set(State::Refused { rejection: None, protocol: caller.protocol });
                    let rejection = Refusal::new(answer, caller).timed_out();
                    return Poll::Ready(Ok(respond(rejection, caller.protocol)));
                }
                let (bound, due) = (*body, alarm.due());
                polled.map_ok(|response| {
                    response.map(|inner| {
                        ResponseBody::new(inner, Watch::new(bound, due), answer, caller)
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

/// Whether an error comes from a transport that knows the time, and found it up before we did.
#[inline]
fn gave_up(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at <= Instant::now())
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
