//! The future of [`LimitRate`](crate::LimitRate).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use palisade_core::{BodyRule, GuardedBody, Protocol, Rejection};
use pin_project::pin_project;

use crate::{
    ResponseBody, TableStore,
    told::{After, Told},
};

/// The answer to a request: the inner service's, or at once a refusal.
///
/// It is `Send` where the inner service's future, the store, and keys that are owned are, since what is
/// charged by the answer keeps its key.
///
/// # Cancel safety
///
/// Dropping it loses nothing. The tokens were taken when the request was let in; what is charged only
/// [when its answer is known](crate::LimitRateLayer::charge_when) is not, if that is not waited for.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[pin_project]
pub struct ResponseFuture<F, K = (), St = TableStore> {
    #[pin]
    state: State<F>,
    /// What is done with the answer. Boxed, since mostly that is nothing.
    after: Option<Box<After<K, St>>>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Admitted(#[pin] F),
    Refused { rejection: Option<Rejection>, protocol: Protocol },
}

impl<F, K, St> ResponseFuture<F, K, St> {
    #[inline]
    pub(crate) fn admitted(future: F, after: Option<Box<After<K, St>>>) -> Self {
        Self { state: State::Admitted(future), after }
    }

    pub(crate) fn refused(rejection: Rejection, protocol: Protocol, told: Option<Told>) -> Self {
        let state = State::Refused { rejection: Some(rejection), protocol };
        Self { state, after: told.map(|told| Box::new(After::Tell(told))) }
    }
}

impl<F, K, St, B, E> Future for ResponseFuture<F, K, St>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = match this.state.project() {
            // Nobody watches the body, whatever the rule.
            StateProj::Admitted(future) => {
                GuardedBody::guard_polled(future.poll(cx), BodyRule::ByStatus, || None)
            }
            StateProj::Refused { rejection, protocol } => {
                let rejection = rejection.take().expect("polled after it was ready");
                Poll::Ready(Ok(rejection.respond(*protocol).map(GuardedBody::own)))
            }
        };
        if this.after.is_some()
            && polled.is_ready()
            && let Some(after) = this.after.take()
        {
            return polled.map_ok(|response| after.of(response));
        }
        polled
    }
}

impl<F, K, St> fmt::Debug for ResponseFuture<F, K, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Admitted(_) => "Admitted",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
