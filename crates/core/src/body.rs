use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header::CONTENT_LENGTH, response::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project::{pin_project, pinned_drop};

/// How a response body, and with it the exchange, ended. There is no other way.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// All of it was taken: to the last frame, or as far as the client will ever ask.
    Complete {
        /// The trailers, if the body ended with some.
        trailers: Option<&'a HeaderMap>,
    },
    /// It failed with an error of its own.
    Failed,
    /// It was dropped before its end, as when the client goes away.
    Dropped,
}

/// Something that learns how an exchange ended: a permit that goes back, an outcome that is counted.
pub trait Guard {
    /// The exchange is over. Called exactly once, unless the body panics when it is first asked how
    /// long it is: then the guard is dropped untold, so what must be given back is given back by its
    /// own `Drop`.
    ///
    /// # Panics
    ///
    /// It should not: it may be called while a body is dropped, even by an unwinding thread.
    fn ended(self, end: End<'_>);
}

/// What a request's method says about the body of its response (RFC 9110 §6.4.1).
///
/// Taken before the request moves into the inner service, it tells [`GuardedBody::guard`] when a
/// body that nobody reads is complete all the same. One byte wide, and complete: HTTP has no other
/// method that forbids bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyRule {
    /// The status decides.
    ByStatus,
    /// HEAD: never a body.
    Head,
    /// CONNECT: no body once it succeeded, what follows is the tunnel.
    Connect,
    /// What counts comes after the body, in trailers: one that is dropped before them is not complete,
    /// whatever length was announced. Of no method; for who knows that it is gRPC.
    Trailers,
}

impl BodyRule {
    /// The rule for a request with this method.
    #[inline]
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::ByStatus,
        }
    }

    /// Whether a response with this status has a body that the client will read.
    #[inline]
    #[must_use]
    pub fn allows_body(self, status: StatusCode) -> bool {
        let by_status = !status.is_informational()
            && status != StatusCode::NO_CONTENT
            && status != StatusCode::NOT_MODIFIED;
        match self {
            Self::ByStatus => by_status,
            Self::Trailers => true,
            Self::Head => false,
            Self::Connect => by_status && !status.is_success(),
        }
    }
}

/// A response body that is either the inner one, with a guard that learns how it ended, or a
/// rejection's own bytes.
///
/// It asks nothing of the inner body but that its data are [`Bytes`], and forwards frames, trailers,
/// size hint and end of stream exactly, so a server still announces the `content-length` it would
/// have announced without it. The error type stays the inner body's own.
///
/// # When the guard is told
///
/// | the body | [`End`] |
/// | --- | --- |
/// | is at its end when the head is ready, yields its last frame, or yields `None` | `Complete` |
/// | yields trailers | `Complete`, with them |
/// | yields an error | `Failed` |
/// | is dropped at its end, or once the announced length has passed, or where the method or the status allows no body (servers drop such bodies without reading them to the end) | `Complete` |
/// | is dropped anywhere else, also by a panic | `Dropped` |
///
/// The announced length is the body's exact size hint or, where that is not known, the response's
/// `content-length`.
// The bounds stand on the type because a `Drop` implementation cannot ask for more than its type.
#[pin_project(PinnedDrop)]
pub struct GuardedBody<B: Body, G: Guard> {
    #[pin]
    source: Source<B>,
    guard: Option<G>,
    /// Announced bytes that are yet to come; `UNANNOUNCED` is never counted down to zero.
    remaining: u64,
}

#[pin_project(project = SourceProj)]
enum Source<B> {
    Inner(#[pin] B),
    Own(Box<Full<Bytes>>),
}

const UNANNOUNCED: u64 = u64::MAX;

impl<B: Body, G: Guard> GuardedBody<B, G> {
    /// Guards the body of `response`, to a request of which `rule` says what body it may have.
    ///
    /// Without a guard the body is passed on with nobody watching.
    #[inline]
    pub fn guard(
        response: Response<B>,
        rule: BodyRule,
        guard: impl Into<Option<G>>,
    ) -> Response<Self> {
        let (parts, body) = response.into_parts();
        Self::guard_parts(parts, body, rule, guard)
    }

    /// The same of a response that was taken apart already, to be looked at.
    ///
    /// Parts are large, and are moved once instead of twice.
    #[inline]
    pub fn guard_parts(
        parts: Parts,
        body: B,
        rule: BodyRule,
        guard: impl Into<Option<G>>,
    ) -> Response<Self> {
        let (guard, remaining) =
            Self::watch(&body, parts.status, &parts.headers, rule, guard.into());
        Response::from_parts(parts, Self { source: Source::Inner(body), guard, remaining })
    }

    /// Guards the body of the response that a poll gave, if it gave one, with what `guard` makes.
    ///
    /// The same as [`guard`](Self::guard) on what is ready, but the response, which is large, moves
    /// only once. On an error the guard is made and dropped.
    #[inline]
    pub fn guard_polled<E>(
        polled: Poll<Result<Response<B>, E>>,
        rule: BodyRule,
        guard: impl FnOnce() -> Option<G>,
    ) -> Poll<Result<Response<Self>, E>> {
        let (guard, remaining) = match &polled {
            Poll::Ready(Ok(response)) => {
                let (body, headers) = (response.body(), response.headers());
                Self::watch(body, response.status(), headers, rule, guard())
            }
            Poll::Ready(Err(_)) => {
                drop(guard());
                (None, UNANNOUNCED)
            }
            Poll::Pending => return Poll::Pending,
        };
        polled.map_ok(|response| {
            response.map(|body| Self { source: Source::Inner(body), guard, remaining })
        })
    }

    /// Whether the guard has anything to wait for, and the announced length.
    #[inline]
    fn watch(
        body: &B,
        status: StatusCode,
        headers: &HeaderMap,
        rule: BodyRule,
        mut guard: Option<G>,
    ) -> (Option<G>, u64) {
        let mut remaining = UNANNOUNCED;
        if body.is_end_stream() {
            tell(&mut guard, End::Complete { trailers: None });
        } else if rule == BodyRule::Trailers {
            // To the end.
        } else if rule.allows_body(status) {
            let exact = body.size_hint().exact();
            remaining = exact.unwrap_or_else(|| content_length(headers));
        } else {
            remaining = 0;
        }
        (guard, remaining)
    }

    /// Guards a body of which nothing is known but what it says itself.
    ///
    /// If it is at its end, the guard is told at once.
    #[inline]
    pub fn new(body: B, guard: G) -> Self {
        let remaining = body.size_hint().exact().unwrap_or(UNANNOUNCED);
        let ended = body.is_end_stream();
        let mut this = Self { source: Source::Inner(body), guard: Some(guard), remaining };
        if ended {
            tell(&mut this.guard, End::Complete { trailers: None });
        }
        this
    }

    /// The bytes of a rejection, as [`Rejection::respond`](crate::Rejection::respond) made them.
    #[must_use]
    pub fn own(body: Full<Bytes>) -> Self {
        Self { source: Source::Own(Box::new(body)), guard: None, remaining: UNANNOUNCED }
    }
}

fn content_length(headers: &HeaderMap) -> u64 {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    announced.and_then(|length| length.parse().ok()).unwrap_or(UNANNOUNCED)
}

/// As some layers further out need it: a body of their own making that nobody watches.
impl<B: Body + Default, G: Guard> Default for GuardedBody<B, G> {
    fn default() -> Self {
        Self { source: Source::Inner(B::default()), guard: None, remaining: UNANNOUNCED }
    }
}

#[inline]
fn tell<G: Guard>(guard: &mut Option<G>, end: End<'_>) {
    if let Some(guard) = guard.take() {
        guard.ended(end);
    }
}

impl<B, G> Body for GuardedBody<B, G>
where
    B: Body<Data = Bytes>,
    G: Guard,
{
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let mut inner = match this.source.project() {
            SourceProj::Inner(inner) => inner,
            SourceProj::Own(own) => {
                let frame = ready!(Pin::new(&mut **own).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})));
            }
        };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        if this.guard.is_some() {
            match &frame {
                None => tell(this.guard, End::Complete { trailers: None }),
                Some(Err(_)) => tell(this.guard, End::Failed),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        if *this.remaining != UNANNOUNCED {
                            *this.remaining = this.remaining.saturating_sub(data.len() as u64);
                        }
                        if inner.is_end_stream() {
                            tell(this.guard, End::Complete { trailers: None });
                        }
                    } else if let Some(trailers) = frame.trailers_ref() {
                        tell(this.guard, End::Complete { trailers: Some(trailers) });
                    }
                }
            }
        }
        Poll::Ready(frame)
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

#[pinned_drop]
impl<B: Body, G: Guard> PinnedDrop for GuardedBody<B, G> {
    #[inline]
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        if this.guard.is_some() {
            let complete = *this.remaining == 0
                || match this.source.project() {
                    // Whatever state a panic left the body in, it is not asked: a second panic
                    // would abort the process.
                    SourceProj::Inner(inner) => !std::thread::panicking() && inner.is_end_stream(),
                    SourceProj::Own(_) => true,
                };
            let end = if complete { End::Complete { trailers: None } } else { End::Dropped };
            tell(this.guard, end);
        }
    }
}

impl<B, G> fmt::Debug for GuardedBody<B, G>
where
    B: Body + fmt::Debug,
    G: Guard,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("GuardedBody");
        match &self.source {
            Source::Inner(inner) => out.field("inner", inner),
            Source::Own(own) => out.field("own", own),
        };
        out.field("ended", &self.guard.is_none()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
