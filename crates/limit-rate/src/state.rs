use std::{borrow::Cow, fmt, sync::Arc};

use http::HeaderValue;

use crate::{
    Quota, RateLimitHeaders, TableStore, Window,
    offenders::Offenders,
    quota_cell::QuotaCell,
    sync::{Apart, AtomicU64, Mutex, lock},
};

/// What all services of a layer share.
pub(crate) struct State<St> {
    pub(crate) store: Arc<St>,
    /// Apart from the others, since mostly there are none.
    first: Named,
    others: Box<[Named]>,
    /// Of those without a key. A bucket for each window, in a store since that decides without a lock.
    pub(crate) keyless: TableStore,
    /// The value of `RateLimit-Policy`, made for the layer's quotas. Apart, since it is locked by answers
    /// that tell it, and the quotas beside it are read by all requests.
    policy: Apart<Mutex<(Vec<Quota>, HeaderValue)>>,
    pub(crate) counts: Counts,
    pub(crate) offenders: Offenders,
}

/// A window, as clients and operators know it.
pub(crate) struct Named {
    pub(crate) name: Name,
    /// By which the store knows it.
    pub(crate) number: u32,
    pub(crate) quota: QuotaCell,
}

pub(crate) type Name = Cow<'static, str>;

/// Written by refusals alone, on lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counts {
    pub(crate) refused: AtomicU64,
    pub(crate) shadowed: AtomicU64,
    pub(crate) keyless: AtomicU64,
}

impl Named {
    fn said(&self) -> (Name, Quota) {
        (self.name.clone(), self.quota.get())
    }
}

impl<St> State<St> {
    /// There is one window at least.
    pub(crate) fn new(first: (Name, Quota), others: Vec<(Name, Quota)>, store: Arc<St>) -> Self {
        let named = |number, name, quota| Named { name, number, quota: QuotaCell::new(quota) };
        let others = others.into_iter();
        Self {
            store,
            first: named(0, first.0, first.1),
            others: others.map(|(name, quota)| named(number(&name), name, quota)).collect(),
            keyless: TableStore::for_one(),
            policy: Apart(Mutex::new((Vec::new(), HeaderValue::from_static("")))),
            counts: Counts::default(),
            offenders: Offenders::new(),
        }
    }

    /// The same windows, with their quotas as they are now, and all else new.
    pub(crate) fn anew<T>(&self, store: Arc<T>) -> State<T> {
        State::new(self.first.said(), self.others.iter().map(Named::said).collect(), store)
    }

    /// One more, or the one by this name with another quota. Its number is told.
    pub(crate) fn with_window(&self, name: Name, quota: Quota) -> (Self, usize) {
        let mut first = self.first.said();
        let mut others: Vec<_> = self.others.iter().map(Named::said).collect();
        let at = self.windows().position(|window| window.name == name);
        match at.map(|at| at.checked_sub(1).and_then(|at| others.get_mut(at))) {
            None => others.push((name, quota)),
            Some(None) => first.1 = quota,
            Some(Some(known)) => known.1 = quota,
        }
        let at = at.unwrap_or(others.len());
        (Self::new(first, others, Arc::clone(&self.store)), at)
    }

    pub(crate) fn with_name(&self, name: Name) -> Self {
        let mut state = self.anew(Arc::clone(&self.store));
        state.first.name = name;
        state
    }

    /// The first window's.
    #[inline]
    pub(crate) fn quota(&self) -> Quota {
        self.first.quota.get()
    }

    pub(crate) fn windows(&self) -> impl Iterator<Item = &Named> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(crate) fn window(&self, at: usize) -> Option<&Named> {
        self.windows().nth(at)
    }

    pub(crate) fn name(&self, window: &Window) -> &str {
        self.windows().find(|named| named.number == window.index()).map_or("", |named| &named.name)
    }

    /// The value of `RateLimit-Policy` for what these windows were asked with, which mostly are the
    /// layer's own quotas.
    pub(crate) fn policy<'a>(
        &'a self,
        asked: impl Iterator<Item = (&'a str, Quota)> + Clone,
    ) -> HeaderValue {
        let own = self.windows().map(|window| (&*window.name, window.quota.get()));
        if !own.eq(asked.clone()) {
            return RateLimitHeaders::policy(asked);
        }
        let mut policy = lock(&self.policy.0);
        if !policy.0.iter().copied().eq(asked.clone().map(|(_, quota)| quota)) {
            let quotas = asked.clone().map(|(_, quota)| quota).collect();
            *policy = (quotas, RateLimitHeaders::policy(asked));
        }
        policy.1.clone()
    }
}

/// The number of a further window. It follows from the name, so that layers which share a store share
/// windows of the same name and no others: FNV-1a, of which nobody need be kept from guessing it. Not 0,
/// which is the first window's.
fn number(name: &str) -> u32 {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.max(1)
}

/// Nothing of the store, whose keys are nobody's business.
impl<St> fmt::Debug for State<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets")
            .field("windows", &self.windows().collect::<Vec<_>>())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.quota.get())
    }
}
