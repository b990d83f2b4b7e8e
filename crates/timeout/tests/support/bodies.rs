//! Bodies of every kind.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower::{Service, service_fn};

/// A body of what a closure says.
pub(crate) struct Says<F>(pub(crate) F);

impl<F> Body for Says<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<Frame<Bytes>>> + Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        (self.0)(cx).map(|frame| frame.map(Ok))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(7)
    }
}

/// A body of these frames, or its end, and then of nothing for ever.
pub(crate) fn then_silent(
    frames: impl IntoIterator<Item = Option<Frame<Bytes>>>,
) -> Says<impl FnMut(&mut Context<'_>) -> Poll<Option<Frame<Bytes>>> + Unpin> {
    let mut frames: VecDeque<_> = frames.into_iter().collect();
    Says(move |_: &mut Context<'_>| frames.pop_front().map_or(Poll::Pending, Poll::Ready))
}

pub(crate) fn data() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"."))
}

/// Answers with this body.
pub(crate) fn answers<B>(
    body: B,
) -> impl Service<Request<()>, Response = Response<B>, Error = Infallible> {
    let mut body = Some(body);
    service_fn(move |_: Request<()>| {
        let body = body.take().unwrap();
        async { Ok(Response::new(body)) }
    })
}
