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
#[pin_project]
pub struct RequestBody<B> {
    #[pin]
    inner: B,
    /// None where nothing is to come, and none once the client has stalled.
    watched: Option<Watched>,
    stalled: bool,
}

struct Watched {
    watch: Watch,
    link: Link,
    refusal: Refusal,
}

impl<B> RequestBody<B> {
    pub(crate) fn unwatched(inner: B) -> Self {
        Self { inner, watched: None, stalled: false }
    }

    pub(crate) fn watched(inner: B, watch: Watch, link: Link, refusal: Refusal) -> Self {
        Self { inner, watched: Some(Watched { watch, link, refusal }), stalled: false }
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
        let this = self.project();
        if *this.stalled {
            return Poll::Ready(None);
        }
        let polled = this.inner.poll_frame(cx);
        let Some(Watched { watch, link, refusal }) = this.watched else {
            return polled.map_err(Into::into);
        };
        match &polled {
            Poll::Ready(Some(Ok(_))) => {
                // Silence has no limit on frames that are there.
                let _: Poll<()> = watch.poll_with_frame(cx);
            }
            Poll::Ready(_) => *this.watched = None,
            Poll::Pending if watch.poll(cx).is_ready() => {
                let rejection = refusal.stalled();
                link.stall(&rejection);
                *this.watched = None;
                *this.stalled = true;
                return Poll::Ready(Some(Err(rejection.into())));
            }
            Poll::Pending => {}
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.stalled || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.stalled { SizeHint::with_exact(0) } else { self.inner.size_hint() }
    }
}

impl<B: fmt::Debug> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody")
            .field("inner", &self.inner)
            .field("stalled", &self.stalled)
            .finish_non_exhaustive()
    }
}
