use std::task::Context;

use bytes::Bytes;
use http::response::Parts;
use http_body::Body;

use crate::{body::Source, kept::Kept};

/// An answer in its parts, to be looked at.
pub(crate) struct Answer<R: Body> {
    pub(crate) parts: Parts,
    pub(crate) body: Source<R>,
}

impl<R: Body<Data = Bytes>> Answer<R> {
    pub(crate) fn new(parts: Parts, body: R) -> Self {
        Self { parts, body: Source::Inner(body) }
    }

    pub(crate) fn kept(parts: Parts, body: Kept<R>) -> Self {
        Self { parts, body: Source::Kept(Box::new(body)) }
    }

    /// With as much of its body read as is small and there at once.
    pub(crate) fn read_ahead(self, cx: &mut Context<'_>) -> Self {
        let mut body = self.body.into_kept();
        body.read_ahead(cx);
        Self::kept(self.parts, body)
    }
}
