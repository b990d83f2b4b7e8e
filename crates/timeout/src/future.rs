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
use palisade_core::{Protocol, Rejection};
use pin_project::pin_project;
use tokio::time::Instant;

use crate::{BodyLimit, ResponseBody, alarm::Alarm, refusal::Refusal, term::Term};

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
        body: BodyLimit,
        refusal: Refusal,
    },
    Refused {
        rejection: Option<Rejection>,
        protocol: Protocol,
    },
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn new(future: F, term: Term, body: BodyLimit, refusal: Refusal) -> Self {
        let Term { due, transport_gives_up } = term;
        let alarm = Alarm::new(due);
        Self { state: State::Running { future, alarm, transport_gives_up, body, refusal } }
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
        let refusal = match state.as_mut().project() {
            StateProj::Running { future, alarm, transport_gives_up, body, refusal } => {
                let polled = future.poll(cx);
                let due = alarm.due();
                let up = match &polled {
                    Poll::Ready(answer) => gave_up(answer, *transport_gives_up),
                    Poll::Pending => alarm.poll(cx).is_ready(),
                };
                if !up {
                    return polled.map_ok(|response| {
                        response.map(|inner| ResponseBody::new(inner, due, *body, *refusal))
                    });
                }
                *refusal
            }
            StateProj::Refused { rejection, protocol } => {
                let rejection = rejection.take().expect("polled after it was ready");
                return Poll::Ready(Ok(rejection.respond(*protocol).map(ResponseBody::own)));
            }
        };
        // First of all whatever the inner future holds is given back.
        state.set(State::Refused { rejection: None, protocol: refusal.protocol });
        let response = refusal.timed_out().respond(refusal.protocol);
        Poll::Ready(Ok(response.map(ResponseBody::own)))
    }
}

/// Whether this comes from a transport or a server that knows the time, and found it up before we did.
///
/// tonic's do. Its transport fails then, and its server answers `CANCELLED`, which overtakes what the
/// transport says if that is slow to look.
#[inline]
fn gave_up<B, E>(answer: &Result<Response<B>, E>, at: Option<Instant>) -> bool {
    at.is_some_and(|at| {
        let may_be = answer.as_ref().map_or(true, |response| {
            response.headers().get(GRPC_STATUS).is_some_and(|status| status == CANCELLED)
        });
        may_be && at <= Instant::now()
    })
}

const GRPC_STATUS: &str = "grpc-status";
const CANCELLED: &str = "1";

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Running { .. } => "Running",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
