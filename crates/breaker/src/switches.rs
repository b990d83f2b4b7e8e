use std::{
    fmt,
    hash::Hash,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use palisade_core::AutoClassifier;

use crate::{
    Switch,
    keyed::circuits::{Circuits, Owner},
};

/// The operator's end of a [`KeyedBreakerLayer`](crate::KeyedBreakerLayer): a [`Switch`] for each key.
///
/// `K` is the type of the keys, as in `Switches<str>`. Cheap to clone.
pub struct Switches<K: ToOwned + ?Sized, C = AutoClassifier> {
    circuits: Arc<Circuits<K::Owned, C>>,
}

impl<K: ToOwned + ?Sized, C> Switches<K, C> {
    pub(crate) fn new(circuits: Arc<Circuits<K::Owned, C>>) -> Self {
        Self { circuits }
    }

    /// The circuit of those without a key, and of those for whom there was no room.
    #[must_use]
    pub fn shared(&self) -> Switch {
        Switch::new(Arc::clone(&self.circuits.shared.wired))
    }

    /// How many calls went to the shared circuit since all others were in use. If it grows,
    /// [keep more](crate::KeyedBreakerLayer::with_max).
    #[must_use]
    pub fn crowded(&self) -> u64 {
        self.circuits.crowded.load(Relaxed)
    }

    /// How many keys have a circuit.
    #[must_use]
    pub fn len(&self) -> usize {
        self.circuits.len()
    }

    /// Whether no key has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Owner + ?Sized, C> Switches<K, C> {
    /// The circuit of this key, if it has one.
    ///
    /// While somebody holds it, the layer does not forget it.
    #[must_use]
    pub fn of(&self, key: &K) -> Option<Switch> {
        let shard = self.circuits.shard(key);
        shard.get(key).map(|shared| Switch::new(Arc::clone(&shared.wired)))
    }

    /// The circuit of this key, made if it has none: to force it before anybody calls. `None` if there
    /// is no room.
    #[must_use]
    pub fn make(&self, key: &K) -> Option<Switch> {
        self.circuits.make(key).map(|made| Switch::new(Arc::clone(&made.wired)))
    }

    /// All keys and their circuits, as they are now.
    ///
    /// Takes the locks one after another, for as long as copying the keys takes.
    #[must_use]
    pub fn all(&self) -> Vec<(K::Owned, Switch)>
    where
        K::Owned: Clone + Hash + Eq,
    {
        let mut all = Vec::new();
        for shard in self.circuits.shards() {
            let known = shard.iter();
            all.extend(known.map(|(key, one)| (key.clone(), Switch::new(Arc::clone(&one.wired)))));
        }
        all
    }
}

impl<K: ToOwned + ?Sized, C> Clone for Switches<K, C> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.circuits))
    }
}

impl<K: ToOwned + ?Sized, C> fmt::Debug for Switches<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Switches").field(&self.circuits).finish()
    }
}
