use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use palisade_core::BoxError;
use pin_project::pin_project;

use super::link::Link;
use crate::{refusal::Refusal, watch::Watch};

/// A request's body that fails with a [`Rejection`](crate::Rejection) when its client sends nothing
/// for too long.
///
/// # Panics
///
/// When it has to wait outside of a tokio runtime, or in one without time.
#[pin_project]
pub struct RequestBody<B> {
    /// Gone once the client has stalled.
    #[pin]
    inner: Option<B>,
    /// None where nothing more is to come.
    watched: Option<Watched>,
}

struct Watched {
    watch: Watch,
    link: Link,
    refusal: Refusal,
}

impl<B> RequestBody<B> {
    pub(crate) fn unwatched(inner: B) -> Self {
        Self { inner: Some(inner), watched: None }
    }

    pub(crate) fn watched(inner: B, watch: Watch, link: Link, refusal: Refusal) -> Self {
        Self { inner: Some(inner), watched: Some(Watched { watch, link, refusal }) }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = inner.poll_frame(cx);
        if let Some(Watched { watch, link, refusal }) = this.watched {
            match &polled {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    // Silence has no limit on frames that are there.
                    let _: Poll<()> = watch.poll_with_frame(frame, cx);
                }
                Poll::Ready(_) => *this.watched = None,
                Poll::Pending if watch.poll(cx).is_ready() => {
                    let rejection = refusal.stalled();
                    this.inner.set(None);
                    link.stall(&rejection);
                    *this.watched = None;
                    return Poll::Ready(Some(Err(rejection.into())));
                }
                Poll::Pending => {}
            }
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: fmt::Debug> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").field("inner", &self.inner).finish_non_exhaustive()
    }
}
