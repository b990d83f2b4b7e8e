use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration, time::SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::{BoxError, GrpcCode, Head, Id, Protocol, Reason, Sent, wire};

/// A request that was turned away: why, when, and what its sender may do about it.
///
/// One pointer wide and cheap to clone. It is built only while refusing, so it may allocate and
/// read a clock. A response made by [`respond`](Self::respond) carries it in its extensions;
/// [`Rejection::of`] finds it there, so that a retry, a breaker or a trace further out can tell our
/// refusal from the service's own answer.
///
/// As an [`Error`] it shows one friendly line, and its `source()` is what caused it, for the log;
/// neither the source nor anything derived from it is ever sent to the client.
#[derive(Clone)]
pub struct Rejection(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    reason: Reason,
    status: StatusCode,
    grpc_code: Option<GrpcCode>,
    retry_after: Option<Duration>,
    detail: Option<Cow<'static, str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    members: Vec<(&'static str, Vec<String>)>,
    sent: Sent,
    id: Id,
    at: SystemTime,
    /// In which protocol the client was told.
    protocol: Option<Protocol>,
}

impl Rejection {
    /// Turns a request away now, for `reason`, with `status` over HTTP: a 4xx or 5xx, or clients
    /// take the refusal for success.
    ///
    /// Unless told otherwise, the request has not reached the inner service ([`Sent::No`]), no hint
    /// says when to come back, and the id is random.
    #[must_use]
    pub fn new(reason: Reason, status: StatusCode) -> Self {
        Self(Arc::new(Inner {
            reason,
            status,
            grpc_code: None,
            retry_after: None,
            detail: None,
            source: None,
            members: Vec::new(),
            sent: Sent::No,
            id: Id::random(),
            at: SystemTime::now(),
            protocol: None,
        }))
    }

    /// Takes over the id that the request carries, if it carries one (see [`Id::of`]).
    #[must_use]
    pub fn for_request(self, head: Head<'_>) -> Self {
        match Id::of(head) {
            Some(id) => self.with_id(id),
            None => self,
        }
    }

    /// Sets the id, where it was [taken](Id::of) before the request moved on.
    #[must_use]
    pub fn with_id(self, id: Id) -> Self {
        self.with(|inner| inner.id = id)
    }

    /// Sets the gRPC status code, instead of the one that [belongs to](GrpcCode::from_status) the
    /// HTTP status.
    #[must_use]
    pub fn with_grpc_code(self, code: GrpcCode) -> Self {
        self.with(|inner| inner.grpc_code = Some(code))
    }

    /// Says after what time it makes sense to try again.
    ///
    /// Sent as `Retry-After` in whole seconds, rounded up and at least 1, or as
    /// `grpc-retry-pushback-ms`.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.with(|inner| inner.retry_after = Some(wait))
    }

    /// Says in one friendly line, to the person at the other end, what happened and what to do.
    ///
    /// gRPC sends it in a header, so there only its first 1,024 bytes arrive.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.with(|inner| inner.detail = Some(detail.into()))
    }

    /// Keeps the error that led here, for the log.
    #[must_use]
    pub fn with_source(self, source: impl Into<BoxError>) -> Self {
        self.with(|inner| inner.source = Some(Arc::from(source.into())))
    }

    /// Tells the client's program a list of words under this name, in place of one that was there.
    ///
    /// It is an extension member of the problem document (RFC 9457 §3.2), and over gRPC an entry of
    /// `ErrorInfo.metadata`, where the words are joined by commas. A name that a problem has already, as
    /// `status`, is not taken.
    ///
    /// ```
    /// use http::StatusCode;
    /// use palisade_core::{Protocol, Reason, Rejection};
    ///
    /// const QUOTA: Reason = Reason::new("quota-exceeded");
    /// let rejection = Rejection::new(QUOTA, StatusCode::TOO_MANY_REQUESTS)
    ///     .with_member("violated-policies", ["daily".to_owned()]);
    /// let body = rejection.render(Protocol::Http).into_body();
    /// assert!(body.ends_with(br#","violated-policies":["daily"]}"#));
    /// ```
    #[must_use]
    pub fn with_member(self, name: &'static str, words: impl IntoIterator<Item = String>) -> Self {
        // RFC 9457 §3.1.
        if ["type", "title", "status", "detail", "instance"].contains(&name) {
            return self;
        }
        let words = words.into_iter().collect();
        self.with(|inner| {
            inner.members.retain(|(known, _)| *known != name);
            inner.members.push((name, words));
        })
    }

    /// Says whether the request had reached the inner service.
    #[must_use]
    pub fn with_sent(self, sent: Sent) -> Self {
        self.with(|inner| inner.sent = sent)
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Why the request was turned away.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The status over HTTP.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The status over gRPC: the one set, else the one that
    /// [belongs to](GrpcCode::from_status) the HTTP status. Never `OK`, which would tell of success.
    #[must_use]
    pub fn grpc_code(&self) -> GrpcCode {
        match self.0.grpc_code.unwrap_or_else(|| GrpcCode::from_status(self.0.status)) {
            GrpcCode::Ok => GrpcCode::Unknown,
            code => code,
        }
    }

    /// After what time it makes sense to try again, as the layer estimated it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the client's program is told beyond the rest: lists of words, by name.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        self.0.members.iter().map(|(name, words)| (*name, words.as_slice()))
    }

    /// Whether the request had reached the inner service.
    #[must_use]
    pub fn sent(&self) -> Sent {
        self.0.sent
    }

    /// The id under which the log has the full story.
    #[must_use]
    pub fn id(&self) -> Id {
        self.0.id
    }

    /// When the request was turned away, by the system's clock.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        self.0.at
    }

    /// The protocol in which the client was told, once it was.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        self.0.protocol
    }

    /// The rejection that `response` was made from, if one of our layers made it.
    ///
    /// It is known by the response's extensions. So whoever makes another answer of a refusal, a
    /// fallback say, and keeps its parts, removes the `Rejection` from them.
    #[must_use]
    pub fn of<B>(response: &Response<B>) -> Option<&Self> {
        response.extensions().get()
    }

    /// What the client is told in its own protocol, without a trace of who told it.
    ///
    /// For a [`RenderLayer`](crate::RenderLayer) that changes only a part; else use
    /// [`respond`](Self::respond).
    #[must_use]
    pub fn render(&self, protocol: Protocol) -> Response<Bytes> {
        wire::response(self, protocol)
    }

    /// The response that tells the client, in its own protocol.
    ///
    /// * HTTP: an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem document with
    ///   `Retry-After` (RFC 9110 §10.2.3) and `Cache-Control: no-store`, without its body for HEAD.
    /// * gRPC: HTTP 200 with `grpc-status`, `grpc-message`,
    ///   [`grpc-retry-pushback-ms`](https://github.com/grpc/proposal/blob/master/A6-client-retries.md)
    ///   and no body, which is a trailers-only answer; in `grpc-status-details-bin` the
    ///   [error details](https://google.aip.dev/193) `ErrorInfo` (the reason in upper case, domain
    ///   `palisade`, the [members](Self::with_member)), `RetryInfo` and `RequestInfo` (the id).
    ///
    /// The rejection itself is in the response's extensions.
    #[must_use]
    pub fn respond(self, protocol: Protocol) -> Response<Full<Bytes>> {
        let this = self.with(|inner| inner.protocol = Some(protocol));
        let mut response = this.render(protocol).map(Full::new);
        response.extensions_mut().insert(this);
        response
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.detail {
            Some(detail) => f.write_str(detail),
            None => wire::title(self.0.reason, f),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("reason", &self.reason().as_str())
            .field("status", &self.status().as_u16())
            .field("grpc_code", &self.grpc_code())
            .field("retry_after", &self.retry_after())
            .field("sent", &self.sent())
            .field("id", &self.id())
            .field("at", &self.at())
            .field("detail", &self.0.detail)
            .field("members", &self.0.members)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use http::Request;

    use super::*;

    const LATE: Reason = Reason::new("too-late");

    #[test]
    fn a_rejection_is_one_pointer_wide() {
        assert_eq!(size_of::<Rejection>(), size_of::<usize>());
        assert_eq!(size_of::<Option<Rejection>>(), size_of::<usize>());
    }

    #[test]
    fn the_grpc_code_follows_the_status_until_it_is_set() {
        let code = |status| Rejection::new(LATE, status).grpc_code();
        assert_eq!(code(StatusCode::TOO_MANY_REQUESTS), GrpcCode::ResourceExhausted);
        assert_eq!(code(StatusCode::SERVICE_UNAVAILABLE), GrpcCode::Unavailable);
        assert_eq!(code(StatusCode::GATEWAY_TIMEOUT), GrpcCode::DeadlineExceeded);
        let set = Rejection::new(LATE, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(set.with_grpc_code(GrpcCode::DeadlineExceeded).grpc_code().number(), 4);
        assert_eq!(code(StatusCode::OK), GrpcCode::Unknown, "a refusal is no success");
    }

    #[test]
    fn a_clone_is_not_changed_by_what_is_said_of_the_original() {
        let rejection = Rejection::new(LATE, StatusCode::GATEWAY_TIMEOUT);
        let copy = rejection.clone();
        let rejection = rejection.with_sent(Sent::Maybe).with_detail("It took too long.");
        assert_eq!((copy.sent(), copy.to_string().as_str()), (Sent::No, "Too late"));
        assert_eq!((rejection.sent(), rejection.id()), (Sent::Maybe, copy.id()));
        assert_eq!(rejection.to_string(), "It took too long.");
    }

    #[test]
    fn the_source_is_kept_for_the_log() {
        let cause = std::io::Error::other("the disk is full");
        let rejection = Rejection::new(LATE, StatusCode::GATEWAY_TIMEOUT).with_source(cause);
        let source = rejection.source().unwrap();
        assert!(source.downcast_ref::<std::io::Error>().is_some());
        assert!(format!("{rejection:?}").contains("the disk is full"));
        assert!(!rejection.to_string().contains("disk"));
    }

    #[test]
    fn the_id_is_the_requests_own_where_it_has_one() {
        let request =
            Request::get("/").header("x-request-id", "00000000-0000-4000-8000-00000000002a");
        let request = request.body(()).unwrap();
        let rejection = Rejection::new(LATE, StatusCode::GATEWAY_TIMEOUT);
        let random = rejection.id();
        assert_eq!(rejection.clone().for_request(Head::of(&Request::new(()))).id(), random);
        let id = rejection.for_request(Head::of(&request)).id();
        assert_eq!(id.to_string(), "00000000-0000-4000-8000-00000000002a");
    }
}
