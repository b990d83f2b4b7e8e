use std::{borrow::Cow, fmt, num::NonZeroU32, sync::Arc};

use http::{StatusCode, response};
use palisade_core::Head;
use palisade_key::{ExtractKey, Missing};
use tower_layer::Layer;

use crate::{Buckets, LimitRate, Quota, RateLimitHeaders, TableStore, asked, state::State};

/// Allows each client so much in a time, and refuses the rest at once.
///
/// See the [crate's documentation](crate).
pub struct LimitRateLayer<K, St = TableStore> {
    pub(crate) settings: Arc<Settings<K, St>>,
}

/// What is decided when the layer is made. One for all services of a layer.
pub(crate) struct Settings<K, St> {
    /// Behind an `Arc` so that it need not be `Clone`.
    pub(crate) key: Arc<K>,
    pub(crate) state: Arc<State<St>>,
    pub(crate) cost: Option<Arc<dyn Fn(Head<'_>) -> NonZeroU32 + Send + Sync>>,
    pub(crate) missing: Missing,
    pub(crate) status: StatusCode,
    pub(crate) headers: RateLimitHeaders,
    pub(crate) shadow: bool,
    /// Of the windows by these numbers.
    pub(crate) tiers: Vec<(usize, Tier)>,
    pub(crate) charge_when: Option<ChargeWhen>,
    /// Whether there is but one window, that is charged at once.
    pub(crate) plain: bool,
}

fn printable(name: Cow<'static, str>) -> Cow<'static, str> {
    let printable = !name.is_empty() && name.chars().all(|letter| matches!(letter, ' '..='~'));
    assert!(printable, "the name of a window is printable ASCII, not {name:?}");
    name
}

type Tier = Arc<dyn Fn(Head<'_>) -> Option<Quota> + Send + Sync>;
pub(crate) type ChargeWhen = Arc<dyn Fn(&response::Parts) -> bool + Send + Sync>;

/// The name of the first window, unless it is given one.
const DEFAULT: &str = "default";

impl<K> LimitRateLayer<K> {
    /// Allows `quota` to each client, as `key` tells them apart, over all services this layer and its
    /// clones are applied to.
    ///
    /// The buckets are in a [`TableStore`] for 65,536 clients; see [`with_store`](Self::with_store).
    #[must_use]
    pub fn new(quota: Quota, key: K) -> Self {
        Self {
            settings: Arc::new(Settings {
                key: Arc::new(key),
                state: Arc::new(State::new(
                    (DEFAULT.into(), quota),
                    Vec::new(),
                    Arc::new(TableStore::new()),
                )),
                cost: None,
                missing: Missing::default(),
                status: StatusCode::TOO_MANY_REQUESTS,
                headers: RateLimitHeaders::default(),
                shadow: false,
                tiers: Vec::new(),
                charge_when: None,
                plain: true,
            }),
        }
    }
}

impl<K, St> LimitRateLayer<K, St> {
    fn with(self, change: impl FnOnce(&mut Settings<K, St>)) -> Self {
        let mut settings = self.settings.over(Arc::clone(&self.settings.state));
        change(&mut settings);
        settings.plain = settings.state.windows().count() == 1 && settings.charge_when.is_none();
        Self { settings: Arc::new(settings) }
    }

    /// Keeps the buckets in this store.
    ///
    /// The layer begins anew by it: take the [`handle`](Self::handle) afterwards.
    ///
    /// ```
    /// use palisade_key::Global;
    /// use palisade_limit_rate::{LimitRateLayer, Quota, TableStore};
    /// use std::{num::NonZeroU32, time::Duration};
    ///
    /// let store = TableStore::new()
    ///     .with_capacity(1_000_000)
    ///     .with_ttl(Duration::from_secs(60))
    ///     .with_sweep_interval(Duration::from_secs(30));
    /// let layer = LimitRateLayer::new(Quota::per_second(NonZeroU32::MIN), Global).with_store(store);
    /// assert_eq!(layer.handle().store().capacity(), 1_000_000);
    /// ```
    #[must_use]
    pub fn with_store<T>(self, store: T) -> LimitRateLayer<K, T> {
        self.with_shared_store(Arc::new(store))
    }

    /// As [`with_store`](Self::with_store), with a store that other layers have too: they then share the
    /// buckets of the keys that they have in common.
    #[must_use]
    pub fn with_shared_store<T>(self, store: Arc<T>) -> LimitRateLayer<K, T> {
        let state = Arc::new(self.settings.state.anew(store));
        LimitRateLayer { settings: Arc::new(self.settings.over(state)) }
    }

    /// Calls the first window so, in what clients are told and for the [operator](Buckets::window);
    /// `default` unless set.
    ///
    /// The layer begins anew by it: take the [`handle`](Self::handle) afterwards.
    ///
    /// # Panics
    ///
    /// When another window has this name, or it is not printable ASCII, which is all that a header can
    /// say.
    #[must_use]
    pub fn with_name(self, name: impl Into<Cow<'static, str>>) -> Self {
        let name = printable(name.into());
        let taken = self.settings.state.windows().skip(1).any(|window| window.name == name);
        assert!(!taken, "two windows cannot both be named {name:?}");
        let state = Arc::new(self.settings.state.with_name(name));
        self.with(|settings| settings.state = state)
    }

    /// Allows this as well, in a further window by that name: who asks needs tokens in each of them,
    /// and while any refuses, none is charged.
    ///
    /// Clients are told by its name. The one that matters most comes first
    /// in `RateLimit`, all are in `RateLimit-Policy`, and a refusal's problem document names those that
    /// refused in `violated-policies`. By the name of a window that is there already, its quota is
    /// replaced.
    ///
    /// A store knows a window by its name, so that layers which share one share the windows that they have
    /// in common, and each one's first.
    ///
    /// The layer begins anew by it, but for its store: take the [`handle`](Self::handle) afterwards.
    ///
    /// ```
    /// use palisade_key::Global;
    /// use palisade_limit_rate::LimitRateLayer;
    ///
    /// let layer = LimitRateLayer::new("20/s".parse()?, Global)
    ///     .with_name("burst")
    ///     .with_quota("daily", "5000/d burst 500".parse()?);
    /// let daily = layer.handle().window("daily").expect("there is one");
    /// assert_eq!(daily.get(&()).remaining(), 500);
    /// # Ok::<_, palisade_limit_rate::InvalidQuota>(())
    /// ```
    ///
    /// # What it costs
    ///
    /// Of its store a client takes a place in each window, so [make room](TableStore::with_capacity)
    /// for as many times the clients. A request costs a look at each, and one more at each but the first; of
    /// more than four windows also an allocation or two.
    /// When two requests of one client race for a last token, [see here](crate::Store::take_all).
    ///
    /// # Panics
    ///
    /// When there are eight of them already, or the name is not printable ASCII.
    #[must_use]
    pub fn with_quota(self, name: impl Into<Cow<'static, str>>, quota: Quota) -> Self {
        let (state, at) = self.settings.state.with_window(printable(name.into()), quota);
        assert!(at < asked::MOST, "a layer has at most {} windows", asked::MOST);
        self.with(|settings| settings.state = Arc::new(state))
    }

    /// Asks for each request which quota its client has: its plan's, say. `None` lets the request pass,
    /// uncounted, by all windows.
    ///
    /// It is the first window's quota; for the others there is
    /// [`with_named_quota_for`](Self::with_named_quota_for). A quota that the operator
    /// [gave a client](Buckets::set) comes before it.
    ///
    /// A client that changes its plan keeps what it owes, as time: it never gets a fresh bucket by it. Who
    /// used up a day's requests still owes a day under a plan of so many a second, until the operator
    /// [resets](Buckets::reset) it.
    ///
    /// ```
    /// use palisade_key::HeaderKey;
    /// use palisade_limit_rate::{LimitRateLayer, Quota};
    /// use std::num::NonZeroU32;
    ///
    /// const FREE: Quota = Quota::per_minute(NonZeroU32::new(60).unwrap());
    /// const PAID: Quota = Quota::per_second(NonZeroU32::new(100).unwrap());
    ///
    /// let layer = LimitRateLayer::new(FREE, HeaderKey::new(http::header::AUTHORIZATION))
    ///     .with_quota_for(|head| match head.header("x-plan")?.as_bytes() {
    ///         b"internal" => None,
    ///         b"paid" => Some(PAID),
    ///         _ => Some(FREE),
    ///     });
    /// # let _ = layer;
    /// ```
    ///
    /// In this example those who say nothing of a plan pass, by the `?`. A header that clients can write
    /// is no place to read a plan from, unless something before this layer has set it.
    #[must_use]
    pub fn with_quota_for(
        self,
        quota_for: impl Fn(Head<'_>) -> Option<Quota> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.set_tier(0, Arc::new(quota_for)))
    }

    /// As [`with_quota_for`](Self::with_quota_for), for the window by this name. `None` leaves the request
    /// out of that window alone, unless it is the first.
    ///
    /// # Panics
    ///
    /// When there is no window by this name.
    #[must_use]
    pub fn with_named_quota_for(
        self,
        name: &str,
        quota_for: impl Fn(Head<'_>) -> Option<Quota> + Send + Sync + 'static,
    ) -> Self {
        let known = self.settings.state.windows().position(|window| window.name == name);
        let Some(at) = known else { panic!("no window is named {name:?}") };
        self.with(|settings| settings.set_tier(at, Arc::new(quota_for)))
    }

    /// Charges a request only if its answer's head is such, once that is known: failed attempts to log
    /// in, say. While a client's bucket is empty it is refused, as ever.
    ///
    /// ```
    /// use http::StatusCode;
    /// use palisade_key::{Global, Missing};
    /// use palisade_limit_rate::{LimitRateLayer, Quota};
    /// use std::num::NonZeroU32;
    ///
    /// const FAILURES: Quota = Quota::per_hour(NonZeroU32::new(10).unwrap());
    /// let layer = LimitRateLayer::new(FAILURES, Global)
    ///     .charge_when(|answer| answer.status == StatusCode::UNAUTHORIZED);
    /// # let _ = layer;
    /// ```
    ///
    /// # Races
    ///
    /// Nothing is taken before the first answer: while there is one token, all that ask at once are let
    /// in. What came of them is charged, and owed where there was not so much, up to one burst more. So
    /// beside `burst + rate · t`, a client that has `n` requests in flight at once gets in `n` more for each
    /// time that an empty bucket takes to fill. For a bound on `n` put `palisade-limit-concurrency` further
    /// in.
    ///
    /// An answer that nobody waits for any more, that is an error, or that never comes, is not charged;
    /// nor is a gRPC status that comes after the head, in trailers.
    ///
    /// # What it costs
    ///
    /// An allocation, a copy of the key, and for what is charged another read of the clock.
    #[must_use]
    pub fn charge_when(
        self,
        charge_when: impl Fn(&response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.charge_when = Some(Arc::new(charge_when)))
    }

    /// Takes so many tokens for a request instead of one.
    ///
    /// A request that costs more than the burst can never be allowed. It is refused with 400 Bad
    /// Request, over gRPC `RESOURCE_EXHAUSTED`, and without a word on when to come back.
    #[must_use]
    pub fn with_cost(self, cost: impl Fn(Head<'_>) -> NonZeroU32 + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.cost = Some(Arc::new(cost)))
    }

    /// Does this with requests that have no key, instead of letting them [share](Missing::Shared) one
    /// bucket.
    #[must_use]
    pub fn with_missing(self, missing: Missing) -> Self {
        self.with(|settings| settings.missing = missing)
    }

    /// Answers with this status instead of 429 Too Many Requests; over gRPC it is `RESOURCE_EXHAUSTED`
    /// all the same.
    ///
    /// # Panics
    ///
    /// When the status is no error (4xx or 5xx): clients would take a refusal for success.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        assert!(
            status.is_client_error() || status.is_server_error(),
            "the status of a refusal must be 4xx or 5xx, not {status}"
        );
        self.with(|settings| settings.status = status)
    }

    /// Tells clients with each answer how they stand. Refusals tell it in any case.
    ///
    /// It costs a short lock and several allocations for each answer. An answer that has them already,
    /// from another limit further in, keeps those.
    #[must_use]
    pub fn with_headers(self, headers: RateLimitHeaders) -> Self {
        self.with(|settings| settings.headers = headers)
    }

    /// Counts, and refuses nobody: to see what a quota would do before it does it.
    ///
    /// What would have been refused, also for want of a key, is [counted apart](Buckets::shadowed). Such a
    /// request takes no tokens, as it would not have either.
    #[must_use]
    pub fn with_shadow(self) -> Self {
        self.with(|settings| settings.shadow = true)
    }

    /// The operator's end of this limit.
    #[must_use]
    pub fn handle(&self) -> Buckets<K::Key, St>
    where
        K: ExtractKey,
    {
        Buckets::new(Arc::clone(&self.settings.state))
    }
}

impl<K, St, S> Layer<S> for LimitRateLayer<K, St> {
    type Service = LimitRate<S, K, St>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitRate::new(inner, Arc::clone(&self.settings))
    }
}

// Derives would ask it of the key and the store.
impl<K, St> Clone for LimitRateLayer<K, St> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings) }
    }
}

impl<K, St> Settings<K, St> {
    /// All that is the same over another state.
    fn over<T>(&self, state: Arc<State<T>>) -> Settings<K, T> {
        Settings {
            key: Arc::clone(&self.key),
            state,
            cost: self.cost.clone(),
            missing: self.missing,
            status: self.status,
            headers: self.headers,
            shadow: self.shadow,
            tiers: self.tiers.clone(),
            charge_when: self.charge_when.clone(),
            plain: self.plain,
        }
    }

    fn set_tier(&mut self, window: usize, tier: Tier) {
        self.tiers.retain(|(known, _)| *known != window);
        self.tiers.push((window, tier));
    }
}

impl<K, St> fmt::Debug for LimitRateLayer<K, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LimitRateLayer").field(&self.settings).finish()
    }
}

impl<K, St> fmt::Debug for Settings<K, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("state", &self.state)
            .field("cost", &self.cost.is_some())
            .field("missing", &self.missing)
            .field("status", &self.status)
            .field("headers", &self.headers)
            .field("shadow", &self.shadow)
            .field("tiers", &self.tiers.iter().map(|(window, _)| window).collect::<Vec<_>>())
            .field("charge_when", &self.charge_when.is_some())
            .finish_non_exhaustive()
    }
}
