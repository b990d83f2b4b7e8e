//! Responses of every kind, for a guard to watch.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};

/// More than all that sockets and servers buffer on the way to a client that does not read.
pub(crate) const LARGE: usize = 64 << 20;

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

pub(crate) fn trailers() -> HeaderMap {
    [("x-sum".parse().unwrap(), "9".parse().unwrap())].into_iter().collect()
}

fn full(bytes: impl Into<Bytes>) -> AnyBody {
    let full = Full::new(bytes.into());
    full.map_err(|never| match never {}).boxed_unsync()
}

/// A body of these frames, of which neither length nor end can be foretold.
fn streamed(frames: impl IntoIterator<Item = io::Result<Frame<Bytes>>>) -> AnyBody {
    let frames: Vec<_> = frames.into_iter().collect();
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// A body of this text and then of nothing, for ever.
fn endless(text: &'static str) -> AnyBody {
    let frames = stream::iter([Ok(data(text))]).chain(stream::pending());
    StreamBody::new(frames).boxed_unsync()
}

/// A body that says when it is at its end, and not how long it is.
struct Ending(Option<Bytes>);

impl Body for Ending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.take().map(|last| Ok(Frame::data(last))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// The response for a path, as a service without any layer would make it.
pub(crate) fn plain<B>(request: &Request<B>) -> Response<AnyBody> {
    let response = Response::builder();
    match request.uri().path() {
        "/full" => response.body(full("soup")),
        "/large" => response.body(full(vec![0; LARGE])),
        "/empty" => response.body(full("")),
        "/204" => response.status(204).body(endless("never")),
        "/304" => response.status(304).body(endless("never")),
        "/announced" => response
            .header("content-length", "9")
            .body(streamed([Ok(data("soup ")), Ok(data("soup"))])),
        "/announced/endless" => response.header("content-length", "4").body(endless("soup")),
        "/streamed" => response.body(streamed([Ok(data("soup ")), Ok(data("soup"))])),
        "/ending" => response.body(Ending(Some("soup".into())).boxed_unsync()),
        "/endless" => response.body(endless("soup")),
        "/trailers" => response
            .header("trailer", "x-sum")
            .body(streamed([Ok(data("soup")), Ok(Frame::trailers(trailers()))])),
        "/fails" => response.body(streamed([Ok(data("soup")), Err(io::Error::other("spilt"))])),
        path => panic!("nothing is at {path}"),
    }
    .unwrap()
}
