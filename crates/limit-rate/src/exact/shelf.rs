use std::{borrow::Borrow, mem};

/// A map from a window of a key to what is kept of it, whose places stay where they are and can be
/// walked through by number: for a collector, a sample, or an operator who looks on.
///
/// Chains of places, since nothing has to be moved when one goes. Knows neither time nor bounds; one
/// that is made with [room](Self::with_room) for all that will ever be in it is never rebuilt.
#[derive(Debug)]
pub(crate) struct Shelf<K, V> {
    /// The first link of each chain.
    heads: Vec<Link>,
    places: Vec<Place<K, V>>,
    /// The first of the places that were left.
    free: Link,
    len: usize,
}

/// A place's number and one more. Zero is none, so that memory nobody needs yet is not written to.
type Link = u32;

#[derive(Debug)]
enum Place<K, V> {
    /// With the next free one.
    Free(Link),
    Taken(Entry<K, V>),
}

#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) hash: u64,
    pub(crate) window: u32,
    next: Link,
    pub(crate) key: K,
    pub(crate) value: V,
}

impl<K, V> Shelf<K, V> {
    /// What a place takes in memory, but for what its key holds elsewhere.
    pub(crate) const PLACE: usize = size_of::<Place<K, V>>() + size_of::<Link>();

    /// An empty one that is rebuilt only when it holds more than `room`.
    pub(crate) fn with_room(room: usize) -> Self {
        Self { heads: vec![0; room.max(1)], places: Vec::with_capacity(room), free: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many places there are, free ones included.
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// The lower half of the hash spreads over the chains; the upper end has named the shard.
    #[allow(clippy::cast_possible_truncation, reason = "it is less than the number of chains")]
    fn chain(&self, hash: u64) -> usize {
        (((hash & u64::from(u32::MAX)) * self.heads.len() as u64) >> 32) as usize
    }

    pub(crate) fn at(&self, at: usize) -> Option<&Entry<K, V>> {
        match self.places.get(at)? {
            Place::Taken(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    fn at_mut(&mut self, at: usize) -> Option<&mut Entry<K, V>> {
        match self.places.get_mut(at)? {
            Place::Taken(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    /// The place of this window of the key.
    pub(crate) fn find<Q>(&self, hash: u64, window: u32, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut link = self.heads[self.chain(hash)];
        loop {
            let at = place(link)?;
            let entry = self.at(at)?;
            if entry.hash == hash && entry.window == window && entry.key.borrow() == key {
                return Some(at);
            }
            link = entry.next;
        }
    }

    pub(crate) fn get<Q>(&self, hash: u64, window: u32, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.at(self.find(hash, window, key)?).map(|entry| &entry.value)
    }

    pub(crate) fn get_mut<Q>(&mut self, hash: u64, window: u32, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let at = self.find(hash, window, key)?;
        self.at_mut(at).map(|entry| &mut entry.value)
    }

    /// Adds what [`find`](Self::find) has not found.
    pub(crate) fn insert(&mut self, hash: u64, window: u32, key: K, value: V) {
        if self.len >= self.heads.len() {
            self.rebuild();
        }
        let (chain, at) = (self.chain(hash), place(self.free).unwrap_or(self.places.len()));
        let entry = Entry { hash, window, next: self.heads[chain], key, value };
        match self.places.get_mut(at) {
            Some(left) => {
                if let Place::Free(next) = mem::replace(left, Place::Taken(entry)) {
                    self.free = next;
                }
            }
            None => self.places.push(Place::Taken(entry)),
        }
        self.heads[chain] = link(at);
        self.len += 1;
    }

    /// Empties a place.
    pub(crate) fn remove(&mut self, at: usize) -> Option<Entry<K, V>> {
        let (hash, after) = self.at(at).map(|entry| (entry.hash, entry.next))?;
        let chain = self.chain(hash);
        if self.heads[chain] == link(at) {
            self.heads[chain] = after;
        } else {
            let mut before = place(self.heads[chain]);
            while let Some(entry) = before.and_then(|before| self.at_mut(before)) {
                if entry.next == link(at) {
                    entry.next = after;
                    break;
                }
                before = place(entry.next);
            }
        }
        let left = mem::replace(self.places.get_mut(at)?, Place::Free(self.free));
        self.free = link(at);
        self.len -= 1;
        match left {
            Place::Taken(entry) => Some(entry),
            Place::Free(_) => None,
        }
    }

    /// Doubles the chains.
    fn rebuild(&mut self) {
        self.heads = vec![0; 2 * self.heads.len()];
        for at in 0..self.places.len() {
            if let Some(hash) = self.at(at).map(|entry| entry.hash) {
                let chain = self.chain(hash);
                let next = mem::replace(&mut self.heads[chain], link(at));
                if let Some(entry) = self.at_mut(at) {
                    entry.next = next;
                }
            }
        }
    }
}

/// More places than a link can name are more than memory holds.
#[allow(clippy::cast_possible_truncation, reason = "see above")]
fn link(at: usize) -> Link {
    at as Link + 1
}

fn place(link: Link) -> Option<usize> {
    link.checked_sub(1).map(|at| at as usize)
}

#[cfg(all(test, not(palisade_loom)))]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Event {
        Insert(u8, u32),
        RemoveAt(usize),
    }

    proptest! {
        /// With hashes that collide, in the whole or in their chain, and more than there was room for.
        #[test]
        fn holds_what_a_map_holds(
            room in 0..20_usize,
            events in proptest::collection::vec(prop_oneof![
                3 => (0..30_u8, 0..2_u32).prop_map(|(key, window)| Event::Insert(key, window)),
                2 => (0..60_usize).prop_map(Event::RemoveAt),
            ], 0..200),
        ) {
            let hash = |key: u8| u64::from(key / 3) << 29;
            let (mut shelf, mut model) = (Shelf::with_room(room), HashMap::new());
            for (value, event) in events.into_iter().enumerate() {
                match event {
                    Event::Insert(key, window) => {
                        if let Some(slot) = shelf.get_mut(hash(key), window, &key) {
                            *slot = value;
                        } else {
                            shelf.insert(hash(key), window, key, value);
                        }
                        model.insert((key, window), value);
                    }
                    Event::RemoveAt(at) => {
                        let gone = shelf.remove(at);
                        let known = gone.as_ref().map(|gone| (gone.key, gone.window));
                        prop_assert_eq!(
                            gone.map(|gone| gone.value),
                            known.and_then(|known| model.remove(&known))
                        );
                    }
                }
                prop_assert_eq!(shelf.len(), model.len());
                for key in 0..30 {
                    for window in 0..2 {
                        prop_assert_eq!(
                            shelf.get(hash(key), window, &key), model.get(&(key, window))
                        );
                    }
                }
            }
            let walked = (0..shelf.places()).filter(|at| shelf.at(*at).is_some()).count();
            prop_assert_eq!(walked, model.len());
        }
    }
}
