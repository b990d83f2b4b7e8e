//! The future of [`Breaker`](crate::Breaker), and of its kin.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use palisade_core::{
    AutoClassifier, BodyRule, Classify, GuardedBody, Protocol, Rejection, Verdict,
};
use pin_project::pin_project;

use crate::{
    ResponseBody,
    call::{Call, Fuse, Recording},
};

/// The answer to a request: the inner service's, or at once a refusal.
///
/// # Cancel safety
///
/// Dropping it tells the circuit that nobody waits any more: a failure if the call took as long as a
/// [slow](crate::Trip::slow) one by then, else nothing, and a probe gives its place back.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[pin_project]
pub struct ResponseFuture<F, C = AutoClassifier, T = Protocol> {
    #[pin]
    state: State<F, C, T>,
}

#[pin_project(project = StateProj)]
enum State<F, C, T> {
    /// `None` is a call that no circuit is asked about.
    Admitted {
        #[pin]
        future: F,
        call: Option<Call<C>>,
        kept: Option<T>,
        rule: BodyRule,
    },
    Refused {
        rejection: Option<Rejection>,
        protocol: Protocol,
    },
}

impl<F, C, T> ResponseFuture<F, C, T> {
    #[inline]
    pub(crate) fn admitted(future: F, fuse: Fuse<C>, kept: T, rule: BodyRule) -> Self {
        Self { state: State::Admitted { future, call: fuse.call(), kept: Some(kept), rule } }
    }

    pub(crate) fn unwatched(future: F, rule: BodyRule) -> Self {
        Self { state: State::Admitted { future, call: None, kept: None, rule } }
    }

    pub(crate) fn refused(rejection: Rejection, protocol: Protocol) -> Self {
        Self { state: State::Refused { rejection: Some(rejection), protocol } }
    }
}

impl<F, C, B, E> Future for ResponseFuture<F, C, C::Call>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
    C: Classify<E>,
{
    type Output = Result<Response<ResponseBody<B, C, C::Eos>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Admitted { future, call, kept, rule } => {
                running(call, true);
                let polled = future.poll(cx);
                running(call, false);
                let Poll::Ready(answer) = polled else { return Poll::Pending };
                let (Some(held), Some(kept)) = (call.as_mut(), kept.take()) else {
                    let unwatched = |response| GuardedBody::guard(response, *rule, None);
                    return Poll::Ready(answer.map(unwatched));
                };
                let (parts, body) = match answer {
                    Ok(response) => response.into_parts(),
                    Err(error) => {
                        held.record(held.shared.classifier.error(&error));
                        return Poll::Ready(Err(error));
                    }
                };
                let recording = match held.shared.classifier.response(kept, &parts) {
                    Verdict::Now(outcome) => {
                        held.record(outcome);
                        None
                    }
                    Verdict::AtEnd(end) => {
                        held.answered();
                        if *rule == BodyRule::ByStatus {
                            *rule = BodyRule::Trailers;
                        }
                        call.take().map(|call| Recording::new(call, end))
                    }
                };
                Poll::Ready(Ok(GuardedBody::guard_parts(parts, body, *rule, recording)))
            }
            StateProj::Refused { rejection, protocol } => {
                let rejection = rejection.take().expect("polled after it was ready");
                Poll::Ready(Ok(rejection.respond(*protocol).map(GuardedBody::own)))
            }
        }
    }
}

#[inline]
fn running<C>(call: &mut Option<Call<C>>, running: bool) {
    if let Some(call) = call {
        call.running = running;
    }
}

impl<F, C, T> fmt::Debug for ResponseFuture<F, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Admitted { .. } => "Admitted",
            State::Refused { .. } => "Refused",
        };
        f.debug_tuple("ResponseFuture").field(&format_args!("{state}")).finish()
    }
}
