use std::{fmt, num::NonZeroU32, sync::Arc};

use http::StatusCode;
use palisade_core::Head;
use palisade_key::{ExtractKey, Missing};
use tower_layer::Layer;

use crate::{Buckets, LimitRate, Quota, RateLimitHeaders, TableStore, handle::State};

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
}

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
                state: Arc::new(State::new(quota, Arc::new(TableStore::new()))),
                cost: None,
                missing: Missing::default(),
                status: StatusCode::TOO_MANY_REQUESTS,
                headers: RateLimitHeaders::default(),
                shadow: false,
            }),
        }
    }
}

impl<K, St> LimitRateLayer<K, St> {
    fn with(self, change: impl FnOnce(&mut Settings<K, St>)) -> Self {
        let mut settings = Settings::clone(&self.settings);
        change(&mut settings);
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
        let Settings { key, state, cost, missing, status, headers, shadow } = &*self.settings;
        let state = Arc::new(State::new(state.quota(), store));
        let (key, cost) = (Arc::clone(key), cost.clone());
        let (missing, status, headers, shadow) = (*missing, *status, *headers, *shadow);
        let settings = Settings { key, state, cost, missing, status, headers, shadow };
        LimitRateLayer { settings: Arc::new(settings) }
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

impl<K, St> Clone for Settings<K, St> {
    fn clone(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            state: Arc::clone(&self.state),
            cost: self.cost.clone(),
            ..*self
        }
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
            .finish_non_exhaustive()
    }
}
