//! The future of [`HealthService`](crate::HealthService).

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header::CONNECTION,
};
use http_body::Body;
use palisade_core::{BodyRule, GuardedBody, Protocol, Rejection};
use pin_project::pin_project;
use tower_service::Service;

use crate::{Exchange, ResponseBody, body::Own, call::Reading};

/// The answer to a request: the inner service's, or to a probe the layer's own, or a refusal.
///
/// # Cancel safety
///
/// Dropping it at any moment counts the request out.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[pin_project]
pub struct ResponseFuture<S, F, B> {
    #[pin]
    state: State<S, F, B>,
}

#[pin_project(project = StateProj)]
enum State<S, F, B> {
    Called {
        #[pin]
        future: F,
        exchange: Option<Exchange>,
        way: Way,
    },
    /// For the inner service to be ready.
    Waiting {
        waiting: Option<Box<(S, Request<B>)>>,
        exchange: Option<Exchange>,
        way: Way,
    },
    Reading(Box<Reading<B>>),
    Answered(Option<Box<Response<Own>>>),
    Refused {
        rejection: Option<Rejection>,
        protocol: Protocol,
        way: Way,
    },
}

/// What must be known of a request to send its answer.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    rule: BodyRule,
    /// Whether the client can be asked to close its connection.
    close: bool,
}

impl Way {
    #[inline]
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let method = request.method();
        // Over HTTP/2 only the server can say so, and a tunnel is closed by who uses it.
        let close = request.version() < Version::HTTP_2 && method != Method::CONNECT;
        Self { rule: BodyRule::of(method), close }
    }
}

/// The next request on it would meet a service that is gone, or be lost as that goes.
#[cold]
fn ask_to_close(status: StatusCode, headers: &mut HeaderMap) {
    if status != StatusCode::SWITCHING_PROTOCOLS {
        headers.append(CONNECTION, HeaderValue::from_static("close"));
    }
}

impl<S, F, B> ResponseFuture<S, F, B> {
    #[inline]
    pub(crate) fn called(future: F, exchange: Exchange, way: Way) -> Self {
        Self { state: State::Called { future, exchange: Some(exchange), way } }
    }

    #[cold]
    pub(crate) fn waiting(service: S, request: Request<B>, exchange: Exchange, way: Way) -> Self {
        let waiting = Some(Box::new((service, request)));
        Self { state: State::Waiting { waiting, exchange: Some(exchange), way } }
    }

    pub(crate) fn reading(reading: Reading<B>) -> Self {
        Self { state: State::Reading(Box::new(reading)) }
    }

    pub(crate) fn answered(answer: Response<Own>) -> Self {
        Self { state: State::Answered(Some(Box::new(answer))) }
    }

    pub(crate) fn refused(rejection: Rejection, protocol: Protocol, way: Way) -> Self {
        Self { state: State::Refused { rejection: Some(rejection), protocol, way } }
    }
}

const POLLED_AGAIN: &str = "polled after it was ready, or had panicked";

impl<S, B, ResBody> Future for ResponseFuture<S, S::Future, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    B: Body,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let called = match state.as_mut().project() {
                StateProj::Called { future, exchange, way } => {
                    let mut answer = future.poll(cx);
                    if let Poll::Ready(Ok(response)) = &mut answer
                        && way.close
                        && exchange.as_ref().is_some_and(Exchange::is_leaving)
                    {
                        ask_to_close(response.status(), response.headers_mut());
                    }
                    let guarded = GuardedBody::guard_polled(answer, way.rule, || exchange.take());
                    return guarded.map_ok(|response| response.map(ResponseBody::inner));
                }
                StateProj::Waiting { waiting, exchange, way } => {
                    let (service, _) = &mut **waiting.as_mut().expect(POLLED_AGAIN);
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        *waiting = None;
                        drop(exchange.take());
                        return Poll::Ready(Err(error));
                    }
                    let (mut service, request) = *waiting.take().expect(POLLED_AGAIN);
                    let future = service.call(request);
                    State::Called { future, exchange: exchange.take(), way: *way }
                }
                StateProj::Reading(reading) => {
                    let answer = ready!(reading.poll(cx));
                    return Poll::Ready(Ok(answer.map(ResponseBody::own)));
                }
                StateProj::Answered(answer) => {
                    let answer = *answer.take().expect(POLLED_AGAIN);
                    return Poll::Ready(Ok(answer.map(ResponseBody::own)));
                }
                StateProj::Refused { rejection, protocol, way } => {
                    let rejection = rejection.take().expect(POLLED_AGAIN);
                    let mut response = rejection.respond(*protocol);
                    if way.close {
                        ask_to_close(response.status(), response.headers_mut());
                    }
                    let own = response.map(|body| ResponseBody::inner(GuardedBody::own(body)));
                    return Poll::Ready(Ok(own));
                }
            };
            state.set(called);
        }
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Called { .. } => "Called",
            State::Waiting { .. } => "Waiting",
            State::Reading(_) => "Reading",
            State::Answered(_) => "Answered",
            State::Refused { .. } => "Refused",
        };
        f.debug_struct("ResponseFuture").field("state", &state).finish_non_exhaustive()
    }
}
