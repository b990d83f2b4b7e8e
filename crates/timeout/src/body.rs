use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use palisade_core::{BoxError, Id, Protocol};
use pin_project::pin_project;

use crate::{
    refusal::{Answer, Caller, Refusal},
    watch::Watch,
};

/// The body of an answer: the inner service's until the time is up, or a refusal's own.
///
/// A body that is cut off ends, for gRPC, with trailers that say so. For HTTP it fails with a
/// [`Rejection`](crate::Rejection): a server then closes an HTTP/1 connection and resets an HTTP/2
/// stream, which is the only way to say that what came is not all. gRPC-Web has its trailers within
/// its data and is cut off like HTTP.
///
/// A body that is one frame, or that is read to its end without waiting, needs no timer. Any other
/// has one, which is made when it first waits or with its second frame.
#[pin_project]
pub struct ResponseBody<B> {
    #[pin]
    state: State<B>,
}

#[pin_project(project = StateProj)]
enum State<B> {
    Inner {
        #[pin]
        body: B,
        watch: Watch,
        // Apart, as in the future.
        answer: Answer,
        protocol: Protocol,
        id: Option<Id>,
    },
    Own(Box<Full<Bytes>>),
    Cut,
}

impl<B> ResponseBody<B> {
    #[inline]
    pub(crate) fn new(body: B, watch: Watch, answer: Answer, caller: Caller) -> Self {
        let Caller { protocol, id } = caller;
        Self { state: State::Inner { body, watch, answer, protocol, id } }
    }

    pub(crate) fn own(body: Full<Bytes>) -> Self {
        Self { state: State::Own(Box::new(body)) }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = self.project().state;
        let refusal = match state.as_mut().project() {
            StateProj::Inner { mut body, watch, answer, protocol, id } => {
                let polled = body.as_mut().poll_frame(cx);
                let time = match &polled {
                    Poll::Pending => watch.poll(cx),
                    Poll::Ready(Some(Ok(frame))) if frame.is_data() && !body.is_end_stream() => {
                        watch.poll_with_frame(cx)
                    }
                    // It is over.
                    Poll::Ready(_) => Poll::Pending,
                };
                if time.is_pending() {
                    return polled.map_err(Into::into);
                }
                Refusal::new(*answer, Caller { protocol: *protocol, id: *id })
            }
            StateProj::Own(own) => {
                let frame = ready!(Pin::new(&mut **own).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})));
            }
            StateProj::Cut => return Poll::Ready(None),
        };
        // First of all whatever the inner body holds is given back.
        state.set(State::Cut);
        Poll::Ready(Some(end(&refusal)))
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Inner { body, .. } => body.is_end_stream(),
            State::Own(own) => own.is_end_stream(),
            State::Cut => true,
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Inner { body, .. } => body.size_hint(),
            State::Own(own) => own.size_hint(),
            State::Cut => SizeHint::with_exact(0),
        }
    }
}

/// The last frame of a body that is cut off.
#[cold]
fn end(refusal: &Refusal) -> Result<Frame<Bytes>, BoxError> {
    let rejection = refusal.cut();
    if refusal.protocol != Protocol::Grpc {
        return Err(rejection.into());
    }
    let mut trailers = rejection.render(Protocol::Grpc).into_parts().0.headers;
    // What a trailers-only answer has beside its trailers.
    trailers.remove(CONTENT_TYPE);
    Ok(Frame::trailers(trailers))
}

/// As some layers further out need it: a body of their own making that nobody bounds.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self { state: State::Own(Box::default()) }
    }
}

impl<B: fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ResponseBody");
        match &self.state {
            State::Inner { body, watch, .. } => out.field("inner", body).field("watch", watch),
            State::Own(own) => out.field("own", own),
            State::Cut => out.field("cut", &true),
        };
        out.finish_non_exhaustive()
    }
}
