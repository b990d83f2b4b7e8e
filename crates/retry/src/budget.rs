use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use bucket::Bucket;
use rule::Rule;

pub use rule::InvalidBudget;
pub use token::Token;

mod bucket;
mod rule;
mod token;

/// How many retries there may be: successes earn tokens, and retries need them.
///
/// Without one, a service that fails is sent all its load once more for each attempt. With the
/// [default](Self::default) it is sent at most a tenth more than it answers, and a few probes.
///
/// Clones are the same budget, and it is meant to be shared by all that calls one upstream: by several
/// layers, or by retries and hedges. Usable without tower: it knows no request and reads no clock.
///
/// ```
/// use palisade_retry::Budget;
/// use std::time::{Duration, Instant};
///
/// # let now = Instant::now();
/// let budget = Budget::ratio(0.1).floor(1).burst(2);
/// for _ in 0..2 {
///     let mut token = budget.take(now).expect("it starts full");
///     token.spend();
/// }
/// assert!(budget.take(now).is_none());
///
/// // Ten successes earn a retry, and so does a second that passes.
/// (0..10).for_each(|_| budget.succeeded());
/// let token = budget.take(now).expect("it is earned");
/// assert!(budget.take(now).is_none());
/// assert!(budget.take(now + Duration::from_secs(1)).is_some());
///
/// // The caller went away before the attempt began.
/// drop(token);
/// assert_eq!((budget.taken(), budget.refused(), budget.in_use()), (4, 2, 0));
///
/// // From a settings file.
/// let error = Budget::try_ratio(20.0).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "20 is no share of successes that may be retries: it is above 0 and at most 1"
/// );
/// ```
///
/// # The rules
///
/// | rule | a success | a failure | a retry |
/// | --- | --- | --- | --- |
/// | [`ratio`](Self::ratio) | brings a share of a token | | takes a token |
/// | [`throttle`](Self::throttle) | brings a share of a token | takes a token | needs more than half of all tokens, and takes none |
/// | [`unlimited`](Self::unlimited) | | | |
///
/// The default is `ratio(0.1).burst(10)`. A tenth is the retry budget of a client in chapter 21 of "Site
/// Reliability Engineering" (B. Beyer et al., O'Reilly 2016): where everything fails, three attempts for each
/// request are three times the load, and with it 1.1 times. It is also the ratio in gRFC A6's example, as is the
/// ten that can be saved up.
///
/// There is no floor by default, as finagle and tower have it, of 10 retries a second whatever becomes of them.
/// It is each client's own: of a hundred clients even three a second are three hundred, which may be all
/// that an overloaded service has left to recover with, and then it does not. The first attempts find out
/// by themselves when all is well again. Where clients are few and call rarely, give them one.
///
/// # Cost
///
/// A success looks at no clock. While all tokens are there, which is while all is well, it is one load and
/// writes nothing, so threads do not slow one another down.
///
/// # Exactness
///
/// Tokens are counted in billionths, and change by compare-and-swap: no interleaving gives one twice. With
/// a ratio there are never more retries than the burst, the floor times the time since the first of them,
/// and the share of the successes.
#[derive(Clone)]
pub struct Budget(Arc<Bucket>);

impl Budget {
    /// Retries are at most this share of the successes, exact to a billionth, beside a
    /// [burst](Self::burst) of 10.
    ///
    /// # Panics
    ///
    /// When the share is not above 0 and at most 1.
    #[must_use]
    pub fn ratio(share: f64) -> Self {
        Self::try_ratio(share).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    /// Retries are at most this share of the successes, beside a [burst](Self::burst) of 10.
    ///
    /// # Errors
    ///
    /// When the share is not above 0 and at most 1.
    pub fn try_ratio(share: f64) -> Result<Self, InvalidBudget> {
        Rule::ratio(share).map(Self::of)
    }

    /// gRPC's retry throttling (gRFC A6): each failure takes one of `max_tokens`, each success brings
    /// `token_ratio`, and there are retries while more than half of the tokens are there.
    ///
    /// Once there are more failures than `token_ratio` for each success this stops all retries, where a
    /// ratio goes on with as many as are earned. Of `token_ratio` three decimal places count; more than
    /// `max_tokens` is as good as that.
    ///
    /// # Panics
    ///
    /// When `max_tokens` is 0 or more than 1000, or `token_ratio` less than 0.001.
    #[must_use]
    pub fn throttle(max_tokens: u32, token_ratio: f64) -> Self {
        Self::try_throttle(max_tokens, token_ratio).unwrap_or_else(|invalid| panic!("{invalid}"))
    }

    /// gRPC's retry throttling: each failure takes one of `max_tokens`, each success brings `token_ratio`,
    /// and there are retries while more than half of the tokens are there.
    ///
    /// # Errors
    ///
    /// When `max_tokens` is 0 or more than 1000, or `token_ratio` less than 0.001.
    pub fn try_throttle(max_tokens: u32, token_ratio: f64) -> Result<Self, InvalidBudget> {
        Rule::throttle(max_tokens, token_ratio).map(Self::of)
    }

    /// Never refuses, but for [`max_concurrent`](Self::max_concurrent).
    ///
    /// To compare with, and for tests. In production an upstream that fails would be sent its whole load
    /// again with each attempt, when it can bear that least.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::of(Rule::UNLIMITED)
    }

    /// So many tokens a second flow in by themselves, for a client that calls rarely. 0 is none.
    ///
    /// By default there is none, [for a reason](Self#the-rules): what all clients of a service have together
    /// should be well below what that has to spare under its usual load.
    ///
    /// Returns another budget, full and with counts at zero, and leaves clones of this one as they are: to
    /// be called before it is shared.
    #[must_use]
    pub fn floor(self, per_second: u32) -> Self {
        Self::of(Rule { floor: per_second, ..self.0.rule })
    }

    /// So many tokens can be saved up, and are there in the beginning. With 0 there are no retries.
    ///
    /// Of a ratio 10 by default. Of a throttle they are its `max_tokens`.
    ///
    /// Returns another budget, full and with counts at zero, and leaves clones of this one as they are: to
    /// be called before it is shared.
    #[must_use]
    pub fn burst(self, tokens: u32) -> Self {
        Self::of(self.0.rule.with_burst(tokens))
    }

    /// At most so many retries at once, each counted from the moment in which it is decided on, and so while
    /// it waits too, until its attempt is over. By default there is no such bound.
    ///
    /// Were those that wait not counted, they would all end their wait at once and be too many; were the
    /// place taken after the wait, it would have been for nothing (envoy#30205).
    ///
    /// Returns another budget, full and with counts at zero, and leaves clones of this one as they are: to
    /// be called before it is shared.
    #[must_use]
    pub fn max_concurrent(self, retries: u32) -> Self {
        Self::of(Rule { max_concurrent: retries, ..self.0.rule })
    }

    fn of(rule: Rule) -> Self {
        Self(Arc::new(Bucket::full(rule)))
    }

    /// An attempt has succeeded, be it the first or a retry.
    #[inline]
    pub fn succeeded(&self) {
        self.0.succeeded();
    }

    /// An attempt has failed in a way that may pass, whether or not it is tried again. Only a throttle
    /// counts these.
    pub fn failed(&self) {
        self.0.charge(self.0.rule.charge());
    }

    /// Allows a retry, or says that there are too many.
    ///
    /// To be asked when an attempt has failed and before the wait for the next one. A time before one that
    /// was told already brings nothing, and does no harm.
    #[must_use = "without its token there is no retry"]
    pub fn take(&self, now: Instant) -> Option<Token> {
        let bucket = &self.0;
        // The place first, since it goes back as it came: a token that goes back may find the bucket full.
        if bucket.retries.enter(bucket.rule.max_concurrent) {
            bucket.refill(now);
            if bucket.pay() {
                bucket.retries.taken.fetch_add(1, Relaxed);
                return Some(Token::of(Arc::clone(bucket)));
            }
            bucket.retries.leave();
        }
        bucket.retries.refused.fetch_add(1, Relaxed);
        None
    }

    /// How many refusals nobody was told of yet, if it is time to tell: at the first one, and then at most
    /// once in [`RefusalLog::PERIOD`](palisade_core::log::RefusalLog::PERIOD), 10 seconds.
    ///
    /// To be asked after a refusal. Who is told is to tell the log; of several that share the budget it is
    /// one. A budget that runs dry is told of at once, and one that does so every second does not fill a
    /// disk. The last refusals are told of with the next one, whenever that is.
    #[must_use = "nobody else is told of these refusals"]
    pub fn untold(&self, now: Instant) -> Option<u64> {
        self.0.retries.untold(now)
    }

    /// How many tokens there are, without those that flowed in since somebody last came to take. Without a
    /// limit, infinitely many.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.0.rule.tokens(self.0.balance())
    }

    /// How many retries were allowed so far, with those that never began.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.retries.taken.load(Relaxed)
    }

    /// How many retries were refused so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.retries.refused.load(Relaxed)
    }

    /// How many retries wait or are on their way.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.0.retries.in_use.load(Relaxed)
    }
}

/// A tenth of the successes, and at most 10 at once after a while without any.
impl Default for Budget {
    fn default() -> Self {
        Self::ratio(0.1)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("balance", &self.balance())
            .field("taken", &self.taken())
            .field("refused", &self.refused())
            .field("in_use", &self.in_use())
            .finish()
    }
}

#[cfg(all(test, palisade_loom))]
mod loom_tests;
#[cfg(all(test, not(palisade_loom)))]
mod model;
#[cfg(all(test, not(palisade_loom)))]
mod model_tests;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
