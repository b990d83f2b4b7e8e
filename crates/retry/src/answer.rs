use std::task::Context;

use bytes::Bytes;
use http::response::Parts;
use http_body::Body;

use crate::ResponseBody;

/// An answer in its parts, to be looked at.
pub(crate) struct Answer<R: Body> {
    pub(crate) parts: Parts,
    pub(crate) body: ResponseBody<R>,
}

impl<R: Body<Data = Bytes>> Answer<R> {
    pub(crate) fn new(parts: Parts, body: R) -> Self {
        Self { parts, body: ResponseBody::inner(body) }
    }

    /// With as much of its body read as is small and there at once.
    pub(crate) fn read_ahead(self, cx: &mut Context<'_>) -> Self {
        let mut body = self.body.into_kept();
        body.read_ahead(cx);
        Self { parts: self.parts, body: ResponseBody::kept(body) }
    }
}
