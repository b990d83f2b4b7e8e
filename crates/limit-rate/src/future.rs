//! The future of [`LimitRate`](crate::LimitRate).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::Body;
use palisade_core::{BodyRule, GuardedBody, Protocol, Rejection};
use pin_project::pin_project;

use crate::{RATELIMIT, RATELIMIT_POLICY, ResponseBody};

/// The answer to a request: the inner service's, or at once a refusal.
///
/// # Cancel safety
///
/// Dropping it loses nothing. The tokens were taken when the request was let in.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    /// What the answer tells its client. Boxed, since most answers tell nothing.
    told: Option<Box<Told>>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Admitted(#[pin] F),
    Refused { rejection: Option<Rejection>, protocol: Protocol },
}

/// How a client stands, as header fields.
pub(crate) struct Told {
    pub(crate) limit: HeaderValue,
    pub(crate) policy: HeaderValue,
}

impl Told {
    /// What a limit further in has told stays: it may be why the request was refused.
    fn tell(self, headers: &mut HeaderMap) {
        if !headers.contains_key(RATELIMIT) && !headers.contains_key(RATELIMIT_POLICY) {
            headers.insert(RATELIMIT, self.limit);
            headers.insert(RATELIMIT_POLICY, self.policy);
        }
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn admitted(future: F, told: Option<Told>) -> Self {
        Self { state: State::Admitted(future), told: told.map(Box::new) }
    }

    pub(crate) fn refused(rejection: Rejection, protocol: Protocol, told: Option<Told>) -> Self {
        let state = State::Refused { rejection: Some(rejection), protocol };
        Self { state, told: told.map(Box::new) }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut polled = match this.state.project() {
            // Nobody watches the body, whatever the rule.
            StateProj::Admitted(future) => {
                GuardedBody::guard_polled(future.poll(cx), BodyRule::ByStatus, || None)
            }
            StateProj::Refused { rejection, protocol } => {
                let rejection = rejection.take().expect("polled after it was ready");
                Poll::Ready(Ok(rejection.respond(*protocol).map(GuardedBody::own)))
            }
        };
        if let Poll::Ready(Ok(response)) = &mut polled
            && let Some(told) = this.told.take()
        {
            told.tell(response.headers_mut());
        }
        polled
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Admitted(_) => "Admitted",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
