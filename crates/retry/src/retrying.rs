use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE, request, response};
use http_body::Body;
use palisade_core::{
    BoxError, Classify, ClassifyEnd, Deadline, End, GrpcTimeout, Head, Outcome, Protocol, Verdict,
};
use tower_service::Service;

use crate::{
    Attempts, Backup, Carry, Eligible, Peek, ResponseBody, RetryBody, Token,
    body::Source,
    counters::Fate,
    finding::Finding,
    state::{Again, Failed, Shared},
    told,
    watch::{Late, Watch},
};

/// What is kept of a request so that it can be sent again.
pub struct Retrying<S, C, W, B, T> {
    pub(crate) service: S,
    shared: Arc<Shared<C>>,
    carry: W,
    eligible: Eligible,
    parts: request::Parts,
    body: Spare<B>,
    /// By when all attempts together must be answered.
    deadline: Option<Deadline>,
    /// Whether a header tells the service of it.
    is_told: bool,
    /// The attempt that is under way, or was the last; the first is 1.
    attempt: u32,
    /// What the classifier keeps of it.
    call: Option<T>,
    /// What the budget gave for it, or for the next.
    token: Option<Token>,
}

/// Where another body comes from.
pub(crate) enum Spare<B> {
    /// There was nothing in it.
    Empty,
    Backup(Backup<B>),
}

/// What the head of an answer says of its attempt.
pub(crate) enum Judged<T> {
    Now(Finding),
    /// The status may be in the trailers.
    AtEnd(T),
}

impl<S, C, W, B, T> Retrying<S, C, W, B, T> {
    pub(crate) fn new(
        service: S,
        shared: Arc<Shared<C>>,
        carry: W,
        eligible: Eligible,
        parts: request::Parts,
        body: Spare<B>,
        call: T,
    ) -> Self {
        let mut deadline = parts.extensions.get::<Deadline>().copied();
        let told = GrpcTimeout::of(&parts.headers).and_then(|left| now().checked_add(left));
        if let Some(told) = told.map(Deadline::at) {
            deadline = Some(deadline.map_or(told, |deadline| deadline.sooner(told)));
        }
        Self {
            service,
            shared,
            carry,
            eligible,
            parts,
            body,
            deadline,
            is_told: told.is_some(),
            attempt: 1,
            call: Some(call),
            token: None,
        }
    }

    /// Judges the head of an answer.
    pub(crate) fn judge<E>(&mut self, parts: &response::Parts) -> Judged<C::Eos>
    where
        C: Classify<E, Call = T>,
    {
        let call = self.call.take();
        if let Some(finding) = parts.extensions.get().and_then(Finding::of_rejection) {
            return Judged::Now(finding);
        }
        let call = call.expect("each attempt is judged once");
        match self.shared.classifier.response(call, parts) {
            Verdict::Now(outcome) => {
                let finding = Finding::without_hint(outcome);
                // Looked for only where it can be: to know the protocol and the time takes longer.
                let hints = finding.is_transient() && !parts.headers.is_empty();
                Judged::Now(if hints {
                    Finding::new(outcome, &parts.headers, self.protocol())
                } else {
                    finding
                })
            }
            Verdict::AtEnd(end) => Judged::AtEnd(end),
        }
    }

    pub(crate) fn judge_end<E: ClassifyEnd>(&self, end: E, how: End<'_>) -> Finding {
        let outcome = end.end(how);
        match how {
            End::Complete { trailers: Some(trailers) } => {
                Finding::new(outcome, trailers, self.protocol())
            }
            _ => Finding::without_hint(outcome),
        }
    }

    pub(crate) fn judge_error<E>(&self, error: &E) -> Finding
    where
        C: Classify<E>,
    {
        Finding::without_hint(self.shared.classifier.error(error))
    }

    /// How long the end of an answer is waited for, if it may lead to another attempt.
    pub(crate) fn peek(&self) -> Option<Peek> {
        let terms = &self.shared.common.terms;
        let may = self.eligible == Eligible::Always && self.attempt < terms.max_attempts;
        may.then_some(terms.peek)
    }

    /// How long to wait before another attempt, if there is to be one.
    pub(crate) fn again(&mut self, finding: Finding) -> Option<Duration> {
        let Finding { outcome, hint } = finding;
        if !finding.is_transient() {
            return None;
        }
        let common = &self.shared.common;
        common.terms.budget.failed();
        if outcome != Outcome::NotSent && self.eligible != Eligible::Always {
            self.give_up(Fate::NotEligible, outcome);
            return None;
        }
        // Its place among the retries is the next one's.
        self.token = None;
        let again = if self.body.is_lost() {
            Err(Fate::NoBody)
        } else {
            common.again(&Failed { attempt: self.attempt, hint, deadline: self.deadline }, now())
        };
        match again {
            Ok(Again { delay, token }) => {
                told::again(self.attempt, outcome, delay);
                self.token = Some(token);
                Some(delay)
            }
            Err(fate) => {
                self.give_up(fate, outcome);
                None
            }
        }
    }

    /// The request once more, if the service is ready for it and its body can be had.
    pub(crate) fn next(&mut self, cx: &mut Context<'_>) -> Result<Request<W::Body>, Fate>
    where
        S: Service<Request<W::Body>>,
        W: Carry<B>,
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let left = self.deadline.map(|deadline| deadline.remaining(now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Fate::TooLate);
        }
        let body = self.body.next().ok_or(Fate::NoBody)?;
        if !matches!(self.service.poll_ready(cx), Poll::Ready(Ok(()))) {
            return Err(Fate::NotReady);
        }
        let mut parts = self.parts.clone();
        let terms = &self.shared.common.terms;
        let name = Attempts::header(self.protocol().is_grpc(), terms.stamp.as_ref());
        Attempts::stamp(self.attempt + 1, &mut parts.headers, &mut parts.extensions, name);
        if self.is_told
            && let Some(left) = left
        {
            GrpcTimeout::insert(left, &mut parts.headers);
        }
        Ok(Request::from_parts(parts, self.carry.carry(body)))
    }

    /// Makes the attempt.
    pub(crate) fn call<E>(&mut self, request: Request<W::Body>) -> S::Future
    where
        S: Service<Request<W::Body>, Error = E>,
        C: Classify<E, Call = T>,
        W: Carry<B>,
    {
        if let Some(token) = &mut self.token {
            token.spend();
        }
        self.attempt += 1;
        self.shared.common.counters.count(Fate::Retried);
        self.call = Some(self.shared.classifier.request(Head::of(&request)));
        self.service.call(request)
    }

    /// The last attempt has failed, for want of another.
    pub(crate) fn give_up(&mut self, fate: Fate, outcome: Outcome) {
        // What the budget gave for an attempt that is not made goes back.
        self.token = None;
        self.shared.common.give_up(fate, self.attempt, outcome);
    }

    /// This is the answer.
    pub(crate) fn give<R, Z>(
        &mut self,
        judged: Judged<Z>,
        mut parts: response::Parts,
        body: Source<R>,
    ) -> Response<ResponseBody<R, Z>>
    where
        R: Body<Data = Bytes>,
        Z: ClassifyEnd,
    {
        Attempts::mark(self.attempt, &mut parts.extensions);
        let token = self.token.take();
        let common = &self.shared.common;
        let end = match judged {
            Judged::Now(finding) => {
                if !finding.is_transient() {
                    common.answered(finding.outcome, self.attempt > 1);
                }
                None
            }
            Judged::AtEnd(end) => {
                let fate = if self.eligible != Eligible::Always {
                    Fate::NotEligible
                } else if self.attempt >= common.terms.max_attempts {
                    Fate::Exhausted
                } else {
                    Fate::Begun
                };
                Some(Late { end, common: Arc::clone(common), attempt: self.attempt, fate })
            }
        };
        let body = if end.is_none() && token.is_none() {
            ResponseBody::new(body)
        } else {
            ResponseBody::watched(body, Watch { _place: token, end })
        };
        Response::from_parts(parts, body)
    }

    fn protocol(&self) -> Protocol {
        let content_type = self.parts.headers.get(CONTENT_TYPE);
        Protocol::by(&self.parts.method, content_type)
    }
}

impl<B> Spare<B> {
    fn is_lost(&self) -> bool {
        match self {
            Self::Empty => false,
            Self::Backup(backup) => backup.is_lost(),
        }
    }

    fn next(&mut self) -> Option<RetryBody<B>> {
        match self {
            Self::Empty => Some(RetryBody::empty()),
            Self::Backup(backup) => backup.next().map(RetryBody::replay),
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl<S, C, W, B, T> fmt::Debug for Retrying<S, C, W, B, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrying")
            .field("eligible", &self.eligible)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
