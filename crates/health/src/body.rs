use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use palisade_core::{GrpcCode, GuardedBody};
use pin_project::pin_project;

use crate::{Exchange, ServingWatch, grpc, watches::Watching};

/// The body of an answer: the inner service's, which counts as in flight until it is over, or one of the
/// layer's own.
// The bound stands on the type because a `Drop` implementation inside cannot ask for more than its type.
#[pin_project]
pub struct ResponseBody<B: Body> {
    #[pin]
    source: Source<B>,
}

#[pin_project(project = SourceProj)]
enum Source<B: Body> {
    Inner(#[pin] GuardedBody<B, Exchange>),
    Own(Box<Own>),
}

impl<B: Body> ResponseBody<B> {
    #[inline]
    pub(crate) fn inner(body: GuardedBody<B, Exchange>) -> Self {
        Self { source: Source::Inner(body) }
    }

    pub(crate) fn own(own: Own) -> Self {
        Self { source: Source::Own(Box::new(own)) }
    }
}

/// As some layers further out need it: a body of their own making that nobody watches.
impl<B: Body + Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::inner(GuardedBody::default())
    }
}

/// What the layer answers by itself.
#[derive(Debug)]
pub(crate) enum Own {
    /// All of it is yet to come.
    Text(Bytes),
    /// A message, and then that all went well.
    Message(Bytes),
    /// A message whenever the status changes, and at the end that all went well.
    Watch { watch: Pin<Box<ServingWatch>>, _one: Watching },
    /// That all went well.
    Status,
    /// Nothing any more.
    Over,
}

impl Own {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        Poll::Ready(match self {
            Self::Text(text) => {
                let text = std::mem::take(text);
                *self = Self::Over;
                (!text.is_empty()).then(|| Frame::data(text))
            }
            Self::Message(message) => {
                let message = std::mem::take(message);
                *self = Self::Status;
                Some(Frame::data(message))
            }
            Self::Watch { watch, .. } => match ready!(watch.as_mut().poll_next(cx)) {
                Some(status) => Some(Frame::data(grpc::response(status))),
                None => Some(self.status()),
            },
            Self::Status => Some(self.status()),
            Self::Over => None,
        })
    }

    fn status(&mut self) -> Frame<Bytes> {
        *self = Self::Over;
        let mut trailers = HeaderMap::with_capacity(1);
        GrpcCode::Ok.insert(&mut trailers);
        Frame::trailers(trailers)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Over => true,
            Self::Message(_) | Self::Watch { .. } | Self::Status => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) | Self::Message(text) => SizeHint::with_exact(text.len() as u64),
            Self::Watch { .. } => SizeHint::default(),
            Self::Status | Self::Over => SizeHint::with_exact(0),
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().source.project() {
            SourceProj::Inner(inner) => inner.poll_frame(cx),
            SourceProj::Own(own) => own.poll_frame(cx).map(|frame| frame.map(Ok)),
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Inner(inner) => inner.is_end_stream(),
            Source::Own(own) => own.is_end_stream(),
        }
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inner(inner) => inner.size_hint(),
            Source::Own(own) => own.size_hint(),
        }
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ResponseBody");
        match &self.source {
            Source::Inner(inner) => out.field("inner", inner),
            Source::Own(own) => out.field("own", own),
        };
        out.finish()
    }
}
