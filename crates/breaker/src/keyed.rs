use std::{fmt, sync::Arc};

use http::StatusCode;
use palisade_core::AutoClassifier;
use palisade_key::{ExtractKey, Missing};
use tower_layer::Layer;

use self::circuits::{Circuits, Owned};
pub use self::service::KeyedBreaker;
use crate::{Policy, Switches, layer::Answer};

pub(crate) mod circuits;
mod service;

/// A circuit for each upstream that a service calls: what is broken is no longer called, and all else is.
///
/// Upstreams are told apart by a key of the request: the [authority](palisade_key::Authority) of its
/// target, or any closure's. Which upstream it is, is known only with the request: so this is ready when
/// the inner service is, and refuses in `call`.
///
/// ```
/// use palisade_breaker::{KeyedBreakerLayer, State, Trip};
/// use palisade_key::Authority;
///
/// let layer = KeyedBreakerLayer::new(Trip::consecutive(5), Authority::new()).with_max(100);
/// let switches = layer.handle();
/// assert!(switches.is_empty(), "nobody has called yet");
/// ```
///
/// # What it costs
///
/// For each call a short lock, of one out of sixteen, to find the circuit of a key. One that is new is made
/// then: about a kilobyte.
///
/// # What it forgets
///
/// There are at most [so many](Self::with_max). When there is no room for a new one, those that are idle go:
/// none of their calls is in flight, nobody holds their [`Switch`](crate::Switch), and they are closed and
/// no call was counted within their window, or they were open and could have been probed for a minute. What
/// they knew of a row, or of how long to be open next time, goes with them. One that is forced never goes.
/// While all are in use, keys that are new share one circuit, which [is counted](Switches::crowded).
///
/// A call that is refused leaves what the inner service reserved, as tower's `ConcurrencyLimit` does when it
/// is ready, with this instance: such a service goes outside this layer, or gets a clone for each call.
pub struct KeyedBreakerLayer<K, C = AutoClassifier>
where
    K: ExtractKey,
{
    settings: Arc<Settings<K, C>>,
}

/// What is decided when the layer is made.
struct Settings<K: ExtractKey, C> {
    key: Arc<K>,
    circuits: Arc<Circuits<Owned<K>, C>>,
    missing: Missing,
    answer: Answer,
}

impl<K> KeyedBreakerLayer<K>
where
    K: ExtractKey,
{
    /// A circuit by this policy for each key, over all services this layer and its clones are applied
    /// to. Up to 1,024 of them.
    #[must_use]
    pub fn new(policy: impl Into<Policy>, key: K) -> Self {
        const MAX: usize = 1024;
        Self {
            settings: Arc::new(Settings {
                key: Arc::new(key),
                circuits: Circuits::new(policy.into(), Arc::new(AutoClassifier), MAX),
                missing: Missing::default(),
                answer: Answer::default(),
            }),
        }
    }
}

impl<K: ExtractKey, C> KeyedBreakerLayer<K, C> {
    /// Lets `classifier` say which answers and errors are failures; see
    /// [`BreakerLayer::with_classifier`](crate::BreakerLayer::with_classifier).
    ///
    /// The layer begins anew by it: take the [`handle`](Self::handle) afterwards.
    #[must_use]
    pub fn with_classifier<T>(self, classifier: T) -> KeyedBreakerLayer<K, T> {
        let circuits = &self.settings.circuits;
        let settings = Settings {
            key: Arc::clone(&self.settings.key),
            circuits: Circuits::new(circuits.policy, Arc::new(classifier), circuits.max),
            missing: self.settings.missing,
            answer: self.settings.answer,
        };
        KeyedBreakerLayer { settings: Arc::new(settings) }
    }

    /// Keeps at most so many circuits. 0 is one for all keys.
    ///
    /// The layer begins anew by it: take the [`handle`](Self::handle) afterwards.
    #[must_use]
    pub fn with_max(self, max: usize) -> Self {
        let circuits = &self.settings.circuits;
        let classifier = Arc::clone(&circuits.classifier);
        let circuits = Circuits::new(circuits.policy, classifier, max);
        Self { settings: Arc::new(Settings { circuits, ..self.settings.copy() }) }
    }

    /// Does this with requests that have no key, instead of letting them share one circuit.
    #[must_use]
    pub fn with_missing(self, missing: Missing) -> Self {
        Self { settings: Arc::new(Settings { missing, ..self.settings.copy() }) }
    }

    /// Answers with this status instead of 503 Service Unavailable.
    ///
    /// # Panics
    ///
    /// When the status is no error (4xx or 5xx): clients would take a refusal for success.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        let answer = Answer::new(status);
        Self { settings: Arc::new(Settings { answer, ..self.settings.copy() }) }
    }

    /// The operator's end of these circuits.
    #[must_use]
    pub fn handle(&self) -> Switches<K::Key, C> {
        Switches::new(Arc::clone(&self.settings.circuits))
    }
}

impl<K: ExtractKey, C> Settings<K, C> {
    fn copy(&self) -> Self {
        let (key, circuits) = (Arc::clone(&self.key), Arc::clone(&self.circuits));
        Self { key, circuits, missing: self.missing, answer: self.answer }
    }
}

impl<K: ExtractKey, C, S> Layer<S> for KeyedBreakerLayer<K, C> {
    type Service = KeyedBreaker<S, K, C>;

    fn layer(&self, inner: S) -> Self::Service {
        KeyedBreaker::new(inner, Arc::clone(&self.settings))
    }
}

// A derive would ask it of the key and the classifier.
impl<K: ExtractKey, C> Clone for KeyedBreakerLayer<K, C> {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings) }
    }
}

impl<K: ExtractKey, C> fmt::Debug for KeyedBreakerLayer<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyedBreakerLayer").field(&self.settings.circuits).finish()
    }
}
