use std::{fmt, time::Duration};

use http::HeaderName;
use palisade_core::{Backoff, Head};

use crate::{Budget, Eligible, InvalidMethod, TransientClassifier, eligible::Rule};

/// What is tried again, how often, and how long after.
///
/// ```
/// use palisade_core::{Backoff, Head};
/// use palisade_retry::{Budget, Eligible, RetryPolicy};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::http()
///     .max_attempts(4)
///     .backoff(Backoff::new(Duration::from_millis(20), Duration::from_millis(500)))
///     .budget(Budget::ratio(0.2))
///     .eligible(|head: Head<'_>| match head.uri().path() {
///         "/search" => Eligible::Always,
///         _ => Eligible::of(head),
///     });
/// # let _ = policy;
/// ```
#[derive(Clone)]
pub struct RetryPolicy<C = TransientClassifier> {
    pub(crate) terms: Terms,
    pub(crate) classifier: C,
}

/// All of a policy but who judges.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Backoff,
    pub(crate) budget: Budget,
    pub(crate) max_body: usize,
    pub(crate) max_buffered: usize,
    pub(crate) rule: Rule,
    pub(crate) longest_hint: Duration,
    pub(crate) min_useful: Duration,
    pub(crate) peek: Peek,
    pub(crate) stamp: Option<HeaderName>,
}

/// How a gRPC call's status is waited for that is in neither the head of its answer nor there at once.
///
/// Only of calls that may be [done twice](Eligible::Always): what has been answered was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Peek {
    /// It is not: the answer is passed on, and final. Trailers that are there right behind the head are
    /// seen.
    #[default]
    Ready,
    /// Until the first message or the trailers are there: for unary methods, of which the head alone is
    /// of no use to a caller. A stream's head would wait for its first message.
    FirstFrame,
}

const MILLISECOND: Duration = Duration::from_millis(1);

impl RetryPolicy {
    /// For HTTP: what may be done twice [by its method](Eligible::of) is tried again on 429, 502, 503, 504
    /// and errors, all else only where nothing was sent.
    ///
    /// Up to three attempts, as Google's SRE book has it (chapter 21); the first wait is up to 50 ms, as
    /// AWS's SDKs have it for faults that are no throttling, and no wait is over a second of itself.
    #[must_use]
    pub fn http() -> Self {
        Self::new(Rule::http(), Backoff::new(50 * MILLISECOND, 1_000 * MILLISECOND))
    }

    /// For gRPC: a call is tried again only where nothing was sent, and those of methods that are
    /// [named](Self::idempotent) also on `UNAVAILABLE`, and on `RESOURCE_EXHAUSTED` if the service says when.
    ///
    /// Up to three attempts; the first wait is up to 100 ms and no wait over a second, as in gRFC A6's
    /// example.
    #[must_use]
    pub fn grpc() -> Self {
        Self::new(Rule::grpc(), Backoff::new(100 * MILLISECOND, 1_000 * MILLISECOND))
    }

    fn new(rule: Rule, backoff: Backoff) -> Self {
        let terms = Terms {
            max_attempts: 3,
            backoff,
            budget: Budget::default(),
            max_body: 64 << 10,
            max_buffered: 16 << 20,
            rule,
            longest_hint: Duration::from_secs(5),
            min_useful: 5 * MILLISECOND,
            peek: Peek::default(),
            stamp: None,
        };
        Self { terms, classifier: TransientClassifier }
    }
}

impl<C> RetryPolicy<C> {
    /// At most so many attempts for a request, the first included. 1 tries nothing again.
    ///
    /// # Panics
    ///
    /// When it is 0.
    #[must_use]
    pub fn max_attempts(self, attempts: u32) -> Self {
        assert!(
            attempts > 0,
            "max_attempts counts the first attempt too and must be at least 1, not 0"
        );
        self.with(|terms| terms.max_attempts = attempts)
    }

    /// How long to wait after each attempt.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|terms| terms.backoff = backoff)
    }

    /// What limits all retries together. Clones of a budget are one: share it among the layers whose
    /// requests end at the same service, and nobody else's.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        self.with(|terms| terms.budget = budget)
    }

    /// How many bytes of a request's body are kept for another attempt; 64 KiB unless set. What is larger is
    /// sent once.
    #[must_use]
    pub fn max_body(self, bytes: usize) -> Self {
        self.with(|terms| terms.max_body = bytes)
    }

    /// How many bytes of bodies are kept for all requests of the layer together, with 128 for each frame; 16 MiB
    /// unless set, which is some 250 of the largest. A request that would need more is sent once.
    #[must_use]
    pub fn max_buffered(self, bytes: usize) -> Self {
        self.with(|terms| terms.max_buffered = bytes)
    }

    /// Lets `rule` say which requests may be sent again. [`Eligible::of`] is what HTTP says.
    ///
    /// It is not asked about those that are never tried again: CONNECT, upgrades, and what is a retry
    /// already. Methods that were [named](Self::idempotent) stay so.
    #[must_use]
    pub fn eligible(self, rule: impl Fn(Head<'_>) -> Eligible + Send + Sync + 'static) -> Self {
        let Self { mut terms, classifier } = self;
        terms.rule = terms.rule.by(rule);
        Self { terms, classifier }
    }

    /// Names gRPC methods, as `package.Service/Method`, that may be done twice, or whole services of
    /// such, as `package.Service`.
    ///
    /// # Panics
    ///
    /// When one is not of that form; for names that are known only at run time there is
    /// [`try_idempotent`](Self::try_idempotent).
    #[must_use]
    pub fn idempotent<M: AsRef<str>>(self, methods: impl IntoIterator<Item = M>) -> Self {
        match self.try_idempotent(methods) {
            Ok(policy) => policy,
            Err(error) => panic!("{error}"),
        }
    }

    /// The same of names that may be wrong.
    ///
    /// # Errors
    ///
    /// When one is not of that form; it is in the error.
    pub fn try_idempotent<M: AsRef<str>>(
        self,
        methods: impl IntoIterator<Item = M>,
    ) -> Result<Self, InvalidMethod> {
        let Self { mut terms, classifier } = self;
        terms.rule = terms.rule.naming(methods)?;
        Ok(Self { terms, classifier })
    }

    /// Lets `classifier` say which answers and errors are worth another attempt, instead of
    /// [`TransientClassifier`].
    ///
    /// A [`Failure`](palisade_core::Outcome::Failure) or a throttled request is tried again if it may be
    /// done twice, what was [not sent](palisade_core::Outcome::NotSent) in any case; a success and what is
    /// ignored are final. It is not asked about refusals by layers of ours inside, unless they were made errors.
    #[must_use]
    pub fn classify<T>(self, classifier: T) -> RetryPolicy<T> {
        RetryPolicy { terms: self.terms, classifier }
    }

    /// How long a wait may be that the service asks for; 5 s unless set. A retry never comes earlier than it
    /// was asked to: who asks for a longer wait is not asked again, and the answer is final.
    ///
    /// Five seconds are what AWS's SDKs wait at most beyond their own backoff, and about as long as most
    /// callers do.
    #[must_use]
    pub fn honor_retry_after(self, longest: Duration) -> Self {
        self.with(|terms| terms.longest_hint = longest)
    }

    /// The least time that another attempt must have before the request's
    /// [deadline](palisade_core::Deadline); 5 ms unless set. With less left after the wait there is no other
    /// attempt, and no wait.
    #[must_use]
    pub fn min_useful(self, least: Duration) -> Self {
        self.with(|terms| terms.min_useful = least)
    }

    /// How a gRPC status is waited for.
    #[must_use]
    pub fn peek(self, peek: Peek) -> Self {
        self.with(|terms| terms.peek = peek)
    }

    /// Tells the service in this header how many attempts were made before, and takes a request that has it
    /// for somebody's retry, which is not tried again. gRPC calls always have
    /// `grpc-previous-rpc-attempts`.
    ///
    /// A handler that hands the header on to what it calls keeps retries of retries from adding up.
    #[must_use]
    pub fn stamp(self, name: HeaderName) -> Self {
        self.with(|terms| terms.stamp = Some(name))
    }

    fn with(mut self, change: impl FnOnce(&mut Terms)) -> Self {
        change(&mut self.terms);
        self
    }
}

impl<C> fmt::Debug for RetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy").field("terms", &self.terms).finish_non_exhaustive()
    }
}
