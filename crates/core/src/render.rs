use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use http_body_util::Full;
use pin_project::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{BodyRule, End, Guard, GuardedBody, Protocol, Rejection};

/// Renders every refusal of the layers inside in a house format.
///
/// Put it outside of the layers that refuse, once. The function is given the rejection and the
/// protocol in which the client is to be told, and answers with a whole response: for HTTP a status
/// and a document, for gRPC a trailers-only answer. To change only a part, begin with
/// [`Rejection::render`]. For HEAD the body it returns is dropped, and its length kept. The
/// [`Rejection`] is put into the response's extensions again, beside those that were there. Headers
/// are those of the new response: what adds headers (CORS, request ids) belongs outside of this layer.
///
/// All other responses pass as they are, byte for byte.
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderValue, Request, Response, StatusCode};
/// use palisade_core::{Protocol, Reason, Rejection, RenderLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// const CLOSED: Reason = Reason::new("closed-for-lunch");
///
/// fn house_format(rejection: &Rejection, protocol: Protocol) -> Response<Bytes> {
///     let response = rejection.render(protocol);
///     if protocol.is_grpc() {
///         return response;
///     }
///     let mut response = response.map(|_| format!("{rejection} ({})\n", rejection.id()).into());
///     response.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
///     response
/// }
///
/// # tokio_test::block_on(async {
/// let service = ServiceBuilder::new().layer(RenderLayer::new(house_format)).service(service_fn(
///     async |_: Request<()>| {
///         let closed = Rejection::new(CLOSED, StatusCode::SERVICE_UNAVAILABLE);
///         Ok::<_, std::io::Error>(closed.respond(Protocol::Http))
///     },
/// ));
/// let response = service.oneshot(Request::new(())).await.unwrap();
/// assert_eq!(response.status(), 503);
/// assert_eq!(response.headers()["content-type"], "text/plain");
/// assert_eq!(response.headers()["cache-control"], "no-store"); // as it was
/// assert_eq!(Rejection::of(&response).unwrap().reason(), CLOSED);
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RenderLayer<F> {
    render: F,
}

impl<F> RenderLayer<F> {
    /// Renders with this function, which is cloned for each request: make it a `fn`, or a closure
    /// that is cheap to clone.
    pub const fn new(render: F) -> Self {
        Self { render }
    }
}

impl<S, F: Clone> Layer<S> for RenderLayer<F> {
    type Service = Render<S, F>;

    fn layer(&self, inner: S) -> Render<S, F> {
        Render { inner, render: self.render.clone() }
    }
}

/// The service of [`RenderLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Render<S, F> {
    inner: S,
    render: F,
}

/// The guard of a body that nobody watches: there is none.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched(Infallible);

impl Guard for Unwatched {
    fn ended(self, _: End<'_>) {
        match self.0 {}
    }
}

impl<S, F, ReqBody, ResBody, T> Service<Request<ReqBody>> for Render<S, F>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    F: Fn(&Rejection, Protocol) -> Response<T> + Clone,
    ResBody: Body<Data = Bytes>,
    T: Into<Bytes>,
{
    type Response = Response<GuardedBody<ResBody, Unwatched>>;
    type Error = S::Error;
    type Future = RenderFuture<S::Future, F>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        RenderFuture { inner: self.inner.call(request), render: self.render.clone() }
    }
}

/// The future of [`Render`].
#[derive(Debug)]
#[pin_project]
pub struct RenderFuture<F, R> {
    #[pin]
    inner: F,
    render: R,
}

impl<F, R, B, E, T> Future for RenderFuture<F, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: Fn(&Rejection, Protocol) -> Response<T>,
    B: Body<Data = Bytes>,
    T: Into<Bytes>,
{
    type Output = Result<Response<GuardedBody<B, Unwatched>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        Poll::Ready(Ok(match Rejection::of(&response).cloned() {
            Some(rejection) => again(response, rejection, this.render).map(GuardedBody::own),
            // Nobody is told of its end, so the rule does not matter.
            None => GuardedBody::guard(response, BodyRule::ByStatus, None),
        }))
    }
}

#[cold]
fn again<R, B, T>(told: Response<B>, rejection: Rejection, render: &R) -> Response<Full<Bytes>>
where
    R: Fn(&Rejection, Protocol) -> Response<T>,
    T: Into<Bytes>,
{
    let protocol = rejection.protocol().unwrap_or(Protocol::Http);
    let mut response = render(&rejection, protocol).map(Into::into);
    if protocol == Protocol::HttpHead && !response.body().is_empty() {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        *response.body_mut() = Bytes::new();
    }
    let mut extensions = told.into_parts().0.extensions;
    extensions.extend(std::mem::take(response.extensions_mut()));
    extensions.insert(rejection);
    *response.extensions_mut() = extensions;
    response.map(Full::new)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::Reason;

    const CLOSED: Reason = Reason::new("closed");

    #[derive(Clone, Debug, PartialEq)]
    struct Note(&'static str);

    fn house_format(rejection: &Rejection, protocol: Protocol) -> Response<String> {
        let mut response = Response::new(format!("{protocol:?}: {}", rejection.reason()));
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response.extensions_mut().insert(Note("rendered"));
        response
    }

    fn rendered(answer: Response<Full<Bytes>>) -> Response<Bytes> {
        rendered_by(house_format, answer)
    }

    fn rendered_by<F, T>(format: F, answer: Response<Full<Bytes>>) -> Response<Bytes>
    where
        F: Fn(&Rejection, Protocol) -> Response<T> + Clone,
        T: Into<Bytes>,
    {
        let mut answer = Some(answer);
        let inner = service_fn(move |_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(answer.take().unwrap()))
        });
        let service = RenderLayer::new(format).layer(inner);
        tokio_test::block_on(async {
            let (parts, body) = service.oneshot(Request::new(())).await.unwrap().into_parts();
            Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
        })
    }

    fn refusal(protocol: Protocol) -> Response<Full<Bytes>> {
        Rejection::new(CLOSED, StatusCode::SERVICE_UNAVAILABLE).respond(protocol)
    }

    #[test]
    fn a_refusal_is_rendered_in_the_protocol_it_was_told_in() {
        for protocol in [Protocol::Http, Protocol::Grpc, Protocol::GrpcWebText] {
            let response = rendered(refusal(protocol));
            assert_eq!(response.status(), 418);
            assert_eq!(response.body(), format!("{protocol:?}: closed").as_str());
            assert!(response.headers().is_empty(), "nothing of the first rendering is left");
            assert_eq!(Rejection::of(&response).unwrap().reason(), CLOSED);
        }
    }

    #[test]
    fn rendered_as_it_was_nothing_changes() {
        use Protocol::{Grpc, GrpcWeb, GrpcWebText, Http, HttpHead};
        for protocol in [Http, HttpHead, Grpc, GrpcWeb, GrpcWebText] {
            let told = refusal(protocol);
            let expected = Rejection::of(&told).unwrap().render(protocol);
            let response = rendered_by(Rejection::render, told);
            assert_eq!(response.status(), expected.status());
            assert_eq!(response.headers(), expected.headers(), "{protocol:?}");
            assert_eq!(response.body(), expected.body());
        }
    }

    #[test]
    fn for_head_the_body_is_dropped_and_its_length_kept() {
        let response = rendered(refusal(Protocol::HttpHead));
        assert_eq!(response.headers()["content-length"], "HttpHead: closed".len().to_string());
        assert!(response.body().is_empty());
    }

    #[test]
    fn extensions_of_both_are_there() {
        let mut refusal = refusal(Protocol::Http);
        refusal.extensions_mut().insert("inner");
        let response = rendered(refusal);
        assert_eq!(response.extensions().get(), Some(&"inner"));
        assert_eq!(response.extensions().get(), Some(&Note("rendered")));
    }

    #[test]
    fn any_other_response_passes_as_it_is() {
        let own = Response::builder()
            .status(503)
            .header("retry-after", "7")
            .header("content-type", "application/problem+json")
            .body(Full::new(Bytes::from_static(b"{}")))
            .unwrap();
        let response = rendered(own);
        assert_eq!((response.status().as_u16(), response.body().as_ref()), (503, b"{}".as_slice()));
        assert_eq!(response.headers().len(), 2);
        assert!(response.extensions().is_empty());
    }
}
