//! The future of [`LimitConcurrency`](crate::LimitConcurrency).

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

use crate::{Admission, Release, ResponseBody};

/// The answer to a request: the inner service's, or at once a refusal.
///
/// # Cancel safety
///
/// Dropping it at any moment gives its permit back.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Admitted {
        #[pin]
        future: F,
        admission: Option<Admission>,
        rule: BodyRule,
        release: Release,
    },
    Refused {
        rejection: Option<Rejection>,
        protocol: Protocol,
    },
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(crate) fn admitted(
        future: F,
        admission: Admission,
        rule: BodyRule,
        release: Release,
    ) -> Self {
        Self { state: State::Admitted { future, admission: Some(admission), rule, release } }
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

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Admitted { future, admission, rule, release } => {
                GuardedBody::guard_polled(future.poll(cx), *rule, || {
                    let admission = admission.take().expect("polled after it was ready");
                    (*release == Release::BodyEnd).then_some(admission)
                })
            }
            StateProj::Refused { rejection, protocol } => {
                let rejection = rejection.take().expect("polled after it was ready");
                Poll::Ready(Ok(rejection.respond(*protocol).map(GuardedBody::own)))
            }
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Admitted { .. } => "Admitted",
            State::Refused { .. } => "Refused",
        };
        f.debug_tuple("ResponseFuture").field(&format_args!("{state}")).finish()
    }
}
