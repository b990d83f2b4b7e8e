use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::{Token, kept::Kept};

/// The body of an answer: the inner service's, of which some may have been read already.
///
/// That of a retry keeps its place among the retries [at once](crate::Budget::max_concurrent) until it is
/// over or dropped.
// The bound stands on the type since a body that was read from may hold its error.
#[pin_project]
pub struct ResponseBody<B: Body> {
    #[pin]
    source: Source<B>,
    retry: Option<Box<Token>>,
}

#[pin_project(project = SourceProj)]
enum Source<B: Body> {
    Inner(#[pin] B),
    Kept(Box<Kept<B>>),
}

impl<B: Body> ResponseBody<B> {
    #[inline]
    pub(crate) fn inner(body: B) -> Self {
        Self { source: Source::Inner(body), retry: None }
    }

    pub(crate) fn kept(kept: Kept<B>) -> Self {
        Self { source: Source::Kept(Box::new(kept)), retry: None }
    }
}

impl<B: Body<Data = Bytes>> ResponseBody<B> {
    /// The same body, which can be read from and moved on.
    pub(crate) fn into_kept(self) -> Kept<B> {
        match self.source {
            Source::Inner(body) => Kept::new(body),
            Source::Kept(kept) => *kept,
        }
    }

    /// One that has a place among the retries.
    pub(crate) fn of_a_retry(mut self, token: Token) -> Self {
        if !self.is_end_stream() {
            self.retry = Some(Box::new(token));
        }
        self
    }
}

/// As some layers further out need it: a body of their own making.
impl<B: Body + Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::inner(B::default())
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
        let mut this = self.project();
        let frame = match this.source.as_mut().project() {
            SourceProj::Inner(inner) => ready!(inner.poll_frame(cx)),
            SourceProj::Kept(kept) => ready!(kept.poll_frame(cx)),
        };
        if this.retry.is_some() {
            let over = match &frame {
                None | Some(Err(_)) => true,
                Some(Ok(frame)) => frame.is_trailers() || this.source.is_end_stream(),
            };
            if over {
                *this.retry = None;
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

impl<B: Body<Data = Bytes>> Source<B> {
    #[inline]
    fn is_end_stream(&self) -> bool {
        match self {
            Self::Inner(inner) => inner.is_end_stream(),
            Self::Kept(kept) => kept.is_end_stream(),
        }
    }
}

impl<B: Body + fmt::Debug> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ResponseBody");
        match &self.source {
            Source::Inner(inner) => out.field("inner", inner),
            Source::Kept(kept) => out.field("kept", kept),
        };
        out.finish_non_exhaustive()
    }
}
