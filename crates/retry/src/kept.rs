use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// A response body of which some was read already. It is the same body: what was read comes first.
// The bound stands on the type since the body's error is in it.
pub(crate) struct Kept<B: Body> {
    read: VecDeque<Result<Frame<Bytes>, B::Error>>,
    /// `None` once it is at its end, and whoever waited for that was told.
    rest: Option<Pin<Box<B>>>,
    /// What is left of the length, where the body knew it. Else it is not told either when all is read:
    /// whoever passes on so much and no more would miss the trailers, or the error, that come after it.
    announced: Option<u64>,
}

/// What is read of a response into memory while another attempt is waited for; one that is larger is
/// held as it is. Errors are short, and what is read lets go of its connection and its permits.
const SMALL: u64 = 8 << 10;

/// And in no more frames than that.
const FEW: usize = 64;

/// What the first look at a body has found.
pub(crate) enum First<'a> {
    /// The answer goes on.
    Data,
    /// It is over.
    End(Option<&'a HeaderMap>),
    Failed,
}

impl<B: Body<Data = Bytes>> Kept<B> {
    pub(crate) fn new(body: B) -> Self {
        let announced = body.size_hint().exact();
        Self { read: VecDeque::new(), rest: Some(Box::pin(body)), announced }
    }

    /// Reads what comes first, and is not empty.
    pub(crate) fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<First<'_>> {
        let is_empty = |read: &Result<Frame<Bytes>, _>| {
            read.as_ref().is_ok_and(|frame| frame.data_ref().is_some_and(Bytes::is_empty))
        };
        for _ in 0..FEW {
            ready!(self.poll_read(cx));
            if !self.read.back().is_some_and(is_empty) {
                break;
            }
            self.read.pop_back();
        }
        Poll::Ready(match self.read.back() {
            None if self.rest.is_some() => First::Data,
            None => First::End(None),
            Some(Err(_)) => First::Failed,
            Some(Ok(frame)) => {
                frame.trailers_ref().map_or(First::Data, |trailers| First::End(Some(trailers)))
            }
        })
    }

    /// Reads what is small and there at once, so that whoever waits for its end need not wait for ours.
    pub(crate) fn read_ahead(&mut self, cx: &mut Context<'_>) {
        while self.rest.is_some() && self.is_small() && self.poll_read(cx).is_ready() {}
    }

    fn is_small(&self) -> bool {
        let rest = self.rest.as_ref().map_or(0, |rest| rest.size_hint().lower());
        self.read.len() < FEW && self.data().saturating_add(rest) <= SMALL
    }

    fn data(&self) -> u64 {
        self.read
            .iter()
            .filter_map(|read| read.as_ref().ok()?.data_ref())
            .map(|data| data.len() as u64)
            .sum()
    }

    /// Reads a frame, or the end, after all that was read before.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rest) = &mut self.rest else { return Poll::Ready(()) };
        let frame = ready!(rest.as_mut().poll_frame(cx));
        let over = match &frame {
            None | Some(Err(_)) => true,
            Some(Ok(frame)) => frame.is_trailers() || rest.is_end_stream(),
        };
        if over {
            self.rest = None;
        }
        self.read.extend(frame);
        Poll::Ready(())
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.read.is_empty() {
            ready!(self.poll_read(cx));
        }
        let frame = self.read.pop_front();
        if let (Some(left), Some(Ok(frame))) = (&mut self.announced, &frame) {
            let data = frame.data_ref().map_or(0, |data| data.len() as u64);
            *left = left.saturating_sub(data);
        }
        Poll::Ready(frame)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        if let Some(left) = self.announced {
            return SizeHint::with_exact(left);
        }
        let read = self.data();
        let rest = self.rest.as_ref().map(Body::size_hint).unwrap_or_default();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint.set_lower(rest.lower().saturating_add(read));
        hint
    }
}

impl<B: Body> fmt::Debug for Kept<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("read", &self.read.len())
            .field("over", &self.rest.is_none())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
