use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use palisade_key::ExtractKey;

use crate::{
    Policy,
    call::Shared,
    sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, lock},
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
    /// In all shards.
    count: AtomicUsize,
    swept: Mutex<Option<Instant>>,
    hasher: RandomState,
    shards: Box<[Mutex<Shard<O, C>>]>,
}

pub(crate) type Shard<O, C> = HashMap<O, Arc<Shared<C>>>;

const SHARDS: usize = 16;

/// While there is no room, idle circuits are looked for this often at most: they become idle by time, and
/// who calls with ever new keys must not make everybody wait.
const SWEEP: Duration = Duration::from_secs(1);

impl<O, C> Circuits<O, C> {
    pub(crate) fn new(policy: Policy, classifier: Arc<C>, max: usize) -> Arc<Self> {
        Arc::new(Self {
            policy,
            max,
            shared: Shared::new(Wired::new(policy), Arc::clone(&classifier)),
            classifier,
            crowded: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            swept: Mutex::default(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        })
    }

    pub(crate) fn shards(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<O, C>>> {
        self.shards.iter().map(lock)
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Relaxed)
    }

    #[allow(clippy::cast_possible_truncation, reason = "it is less than the number of shards")]
    pub(crate) fn shard<K: Hash + ?Sized>(&self, key: &K) -> MutexGuard<'_, Shard<O, C>> {
        lock(&self.shards[self.hasher.hash_one(key) as usize % SHARDS])
    }

    /// The key's circuit, or the shared one.
    pub(crate) fn of<K: Owner<Owned = O> + ?Sized>(&self, key: &K) -> Arc<Shared<C>>
    where
        O: Borrow<K> + Hash + Eq,
    {
        self.make(key).unwrap_or_else(|| {
            self.crowded.fetch_add(1, Relaxed);
            Arc::clone(&self.shared)
        })
    }

    /// The key's circuit, made if it has none. `None` if there is no room.
    pub(crate) fn make<K: Owner<Owned = O> + ?Sized>(&self, key: &K) -> Option<Arc<Shared<C>>>
    where
        O: Borrow<K> + Hash + Eq,
    {
        if let Some(known) = self.shard(key).get(key) {
            return Some(Arc::clone(known));
        }
        if self.is_full() && (!self.sweep() || self.is_full()) {
            return None;
        }
        let made = Shared::new(Wired::new(self.policy), Arc::clone(&self.classifier));
        // Before room is taken: what makes it is not ours, and may panic.
        let owned = key.to_owned();
        let mut shard = self.shard(key);
        if let Some(known) = shard.get(key) {
            // Somebody else was here meanwhile.
            return Some(Arc::clone(known));
        }
        if !self.reserve() {
            return None;
        }
        shard.insert(owned, Arc::clone(&made));
        Some(made)
    }

    fn is_full(&self) -> bool {
        self.len() >= self.max
    }

    /// Whether there is room for one more, which is taken then.
    fn reserve(&self) -> bool {
        let more = |count| (count < self.max).then_some(count + 1);
        self.count.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Forgets all circuits that are idle and that nobody holds, unless that was done just now.
    #[cold]
    fn sweep(&self) -> bool
    where
        O: Hash + Eq,
    {
        let now = now();
        {
            let mut swept = lock(&self.swept);
            if swept.is_some_and(|at| now.saturating_duration_since(at) < SWEEP) {
                return false;
            }
            *swept = Some(now);
        }
        // Nobody can come to have one meanwhile: its shard is locked.
        let stays = |shared: &Arc<Shared<C>>| {
            Arc::strong_count(shared) > 1
                || Arc::strong_count(&shared.wired) > 1
                || !shared.wired.circuit.is_idle(now)
        };
        for mut shard in self.shards() {
            let before = shard.len();
            // Dropped after the lock: keys are not ours.
            let gone: Vec<_> = shard.extract_if(|_, shared| !stays(shared)).collect();
            self.count.fetch_sub(before - shard.len(), Relaxed);
            drop(shard);
            drop(gone);
        }
        true
    }
}

/// No keys.
impl<O, C> fmt::Debug for Circuits<O, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circuits")
            .field("policy", &self.policy)
            .field("max", &self.max)
            .field("len", &self.len())
            .field("crowded", &self.crowded.load(Relaxed))
            .finish_non_exhaustive()
    }
}
