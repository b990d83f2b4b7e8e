use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use palisade_key::ExtractKey;

use crate::{
    Policy,
    call::Shared,
    sync::{AtomicU64, Mutex, MutexGuard, lock},
    wired::{Wired, now},
};

/// A key that outlives its request.
pub(crate) type Owned<K> = <<K as ExtractKey>::Key as ToOwned>::Owned;

/// A key whose owned form can be found in a map by what it lends, as every usual one can.
pub trait Owner: Hash + Eq + ToOwned<Owned: Hash + Eq> {}

impl<K: Hash + Eq + ToOwned<Owned: Hash + Eq> + ?Sized> Owner for K {}

/// The circuits of all keys, up to so many.
pub(crate) struct Circuits<O, C> {
    pub(crate) policy: Policy,
    pub(crate) classifier: Arc<C>,
    pub(crate) max: usize,
    /// Of those without a key, and of those for whom there was no room.
    pub(crate) shared: Arc<Shared<C>>,
    /// How many calls went to the shared one for want of room.
    pub(crate) crowded: AtomicU64,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<O, C>>]>,
}

pub(crate) type Shard<O, C> = HashMap<O, Arc<Shared<C>>>;

const SHARDS: usize = 16;

impl<O, C> Circuits<O, C> {
    pub(crate) fn new(policy: Policy, classifier: Arc<C>, max: usize) -> Arc<Self> {
        // So that few keys are not crowded out by those that happen to be beside them.
        let shards = (max / 64).clamp(1, SHARDS);
        Arc::new(Self {
            policy,
            max,
            shared: Shared::new(Wired::new(policy), Arc::clone(&classifier)),
            classifier,
            crowded: AtomicU64::new(0),
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
        })
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<O, C>>> {
        self.shards.iter().map(lock)
    }

    #[allow(clippy::cast_possible_truncation, reason = "it is less than the number of shards")]
    pub(crate) fn shard<K: Hash + ?Sized>(&self, key: &K) -> MutexGuard<'_, Shard<O, C>> {
        let at =
            ((u128::from(self.hasher.hash_one(key)) * self.shards.len() as u128) >> 64) as usize;
        lock(&self.shards[at])
    }

    /// The key's circuit, made if it has none.
    pub(crate) fn of<K: Owner<Owned = O> + ?Sized>(&self, key: &K) -> Arc<Shared<C>>
    where
        O: Borrow<K> + Hash + Eq,
    {
        let mut shard = self.shard(key);
        if let Some(known) = shard.get(key) {
            return Arc::clone(known);
        }
        let room = self.max / self.shards.len();
        if shard.len() >= room && !forget_one(&mut shard) {
            self.crowded.fetch_add(1, Relaxed);
            return Arc::clone(&self.shared);
        }
        let made = Shared::new(Wired::new(self.policy), Arc::clone(&self.classifier));
        shard.insert(key.to_owned(), Arc::clone(&made));
        made
    }
}

/// Forgets a circuit that is closed and idle.
#[cold]
fn forget_one<O: Hash + Eq, C>(shard: &mut Shard<O, C>) -> bool {
    let now = now();
    let mut found = false;
    shard.retain(|_, shared| {
        // Nobody else can come to have it meanwhile: the shard is locked.
        let goes = !found && Arc::strong_count(shared) == 1 && shared.wired.circuit.is_idle(now);
        found |= goes;
        !goes
    });
    found
}

/// No keys.
impl<O, C> fmt::Debug for Circuits<O, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits")
            .field("policy", &self.policy)
            .field("max", &self.max)
            .field("crowded", &self.crowded.load(Relaxed))
            .finish_non_exhaustive()
    }
}
