use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use palisade_core::{ClassifyEnd, End};
use pin_project::pin_project;

use crate::{TransientEnd, kept::Kept, watch::Watch};

/// The body of an answer: the inner service's, of which some may have been read already.
///
/// That of a gRPC call tells the budget at its end how the call went. That of a retry keeps its place among
/// the retries [at once](crate::Budget::max_concurrent) until it is over or dropped.
// The bound stands on the type since a body that was read from may hold its error.
#[pin_project]
pub struct ResponseBody<B: Body, T = TransientEnd> {
    #[pin]
    source: Source<B>,
    watch: Option<Box<Watch<T>>>,
}

/// Where its frames come from.
#[pin_project(project = SourceProj)]
pub(crate) enum Source<B: Body> {
    Inner(#[pin] B),
    Kept(Box<Kept<B>>),
}

impl<B: Body, T> ResponseBody<B, T> {
    #[inline]
    pub(crate) fn new(source: Source<B>) -> Self {
        Self { source, watch: None }
    }
}

impl<B: Body<Data = Bytes>, T: ClassifyEnd> ResponseBody<B, T> {
    /// One whose end somebody waits for.
    pub(crate) fn watched(source: Source<B>, watch: Watch<T>) -> Self {
        if source.is_end_stream() {
            watch.ended(End::Complete { trailers: None });
            Self::new(source)
        } else {
            Self { source, watch: Some(Box::new(watch)) }
        }
    }
}

impl<B: Body<Data = Bytes>> Source<B> {
    /// The same body, which can be read from and moved on.
    pub(crate) fn into_kept(self) -> Kept<B> {
        match self {
            Self::Inner(body) => Kept::new(body),
            Self::Kept(kept) => *kept,
        }
    }

    /// Reads of one that is kept as much as is small and there at once.
    pub(crate) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        if let Self::Kept(kept) = self {
            kept.read_ahead(cx);
        }
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Inner(inner) => inner.is_end_stream(),
            Self::Kept(kept) => kept.is_end_stream(),
        }
    }
}

/// As some layers further out need it: a body of their own making.
impl<B: Body + Default, T> Default for ResponseBody<B, T> {
    fn default() -> Self {
        Self::new(Source::Inner(B::default()))
    }
}

impl<B: Body<Data = Bytes>, T: ClassifyEnd> Body for ResponseBody<B, T> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = match this.source.as_mut().project() {
            SourceProj::Inner(inner) => ready!(inner.poll_frame(cx)),
            SourceProj::Kept(kept) => ready!(kept.poll_frame(cx)),
        };
        if this.watch.is_some() {
            let end = match &frame {
                None => Some(End::Complete { trailers: None }),
                Some(Err(_)) => Some(End::Failed),
                Some(Ok(frame)) => match frame.trailers_ref() {
                    None if this.source.is_end_stream() => Some(End::Complete { trailers: None }),
                    None => None,
                    trailers => Some(End::Complete { trailers }),
                },
            };
            if let Some(end) = end
                && let Some(watch) = this.watch.take()
            {
                watch.ended(end);
            }
        }
        Poll::Ready(frame)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.source.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Inner(inner) => inner.size_hint(),
            Source::Kept(kept) => kept.size_hint(),
        }
    }
}

impl<B: Body + fmt::Debug, T> fmt::Debug for ResponseBody<B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ResponseBody");
        match &self.source {
            Source::Inner(inner) => out.field("inner", inner),
            Source::Kept(kept) => out.field("kept", kept),
        };
        out.finish_non_exhaustive()
    }
}
