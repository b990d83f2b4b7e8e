use std::{fmt, num::NonZeroU32, time::Instant};

use crate::{Decision, Window};

/// What the buckets of several windows said, in the order in which they were asked:
/// [`Store::take_all`](crate::Store::take_all)'s answer.
///
/// Of more than four windows it allocates.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Decisions {
    first: [Option<Decision>; FIRST],
    more: Vec<Decision>,
}

/// A second, a minute, an hour and a day.
const FIRST: usize = 4;

impl Decisions {
    /// Whether all of them allowed it, as they do when there are none.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.iter().all(Decision::allowed)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> + Clone {
        self.first.iter().flatten().chain(&self.more)
    }

    /// Which of them matters most to who asked, and that one's place. `None` if there are none.
    ///
    /// Of those that refuse, the one that does so for the longest. If none does, the one with the
    /// fewest tokens left, and of several such the one that takes longest to have more.
    #[must_use]
    pub fn binding(&self) -> Option<(usize, &Decision)> {
        let urgency = |decision: &Decision| {
            let left = if decision.allowed() { decision.remaining() } else { 0 };
            let wait = decision.retry_after().unwrap_or_else(|| decision.more_after());
            (!decision.allowed(), decision.is_never(), u32::MAX - left, wait)
        };
        let more = |one: &(usize, &Decision), other: &(usize, &Decision)| {
            urgency(one.1).cmp(&urgency(other.1)).then(other.0.cmp(&one.0))
        };
        self.iter().enumerate().max_by(more)
    }

    pub(crate) fn push(&mut self, decision: Decision) {
        match self.first.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(decision),
            None => self.more.push(decision),
        }
    }

    fn set(&mut self, at: usize, decision: Decision) {
        match self.first.get_mut(at) {
            Some(place) => *place = Some(decision),
            None => {
                if let Some(place) = self.more.get_mut(at - FIRST) {
                    *place = decision;
                }
            }
        }
    }
}

impl From<Decision> for Decisions {
    fn from(only: Decision) -> Self {
        Self { first: [Some(only), None, None, None], more: Vec::new() }
    }
}

/// As if they had been asked in this order: to tell which [matters most](Decisions::binding) of what
/// [`get`](crate::Store::get) said of each window.
///
/// ```
/// use palisade_limit_rate::{Decisions, Quota, Store, TableStore, Window};
/// use std::time::Instant;
///
/// let (burst, daily): (Quota, Quota) = ("20/s".parse()?, "10/d".parse()?);
/// let (store, windows) = (TableStore::new(), [Window::new(0, burst), Window::new(1, daily)]);
/// # let now = Instant::now();
/// let told: Decisions = windows.iter().map(|window| store.get("alice", *window, now)).collect();
/// let (at, binding) = told.binding().expect("there are two");
/// assert_eq!((at, binding.remaining()), (1, 10));
/// # Ok::<_, palisade_limit_rate::InvalidQuota>(())
/// ```
impl FromIterator<Decision> for Decisions {
    fn from_iter<T: IntoIterator<Item = Decision>>(decisions: T) -> Self {
        let mut all = Self::default();
        decisions.into_iter().for_each(|decision| all.push(decision));
        all
    }
}

impl fmt::Debug for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One key's buckets, wherever they are.
pub(crate) trait Windows {
    /// What a take of one token would be told.
    fn get(&mut self, window: &Window, now: Instant) -> Decision;
    fn take(&mut self, window: &Window, cost: NonZeroU32, now: Instant) -> Decision;
    fn refund(&mut self, window: &Window, cost: NonZeroU32, now: Instant);
}

/// Takes from all, or in the end from none.
pub(crate) fn take_all(
    mut of: impl Windows,
    windows: &[Window],
    cost: NonZeroU32,
    now: Instant,
) -> Decisions {
    let Some((first, others)) = windows.split_first() else { return Decisions::default() };
    let looked: Decisions =
        others.iter().map(|window| of.get(window, now).with_cost(cost)).collect();
    // Who is refused further on must not take from the first meanwhile: others would go without.
    let first = if looked.allowed() {
        of.take(first, cost, now)
    } else {
        of.get(first, now).with_cost(cost)
    };
    let refused = !(looked.allowed() && first.allowed());
    let mut told = Decisions::from(first);
    looked.iter().for_each(|decision| told.push(*decision));
    if refused {
        return told;
    }
    for (at, window) in windows.iter().enumerate().skip(1) {
        let decision = of.take(window, cost, now);
        told.set(at, decision);
        // Somebody else was here since it was looked at.
        if !decision.allowed() {
            for (earlier, window) in windows[..at].iter().enumerate() {
                of.refund(window, cost, now);
                told.set(earlier, of.get(window, now).with_cost(cost));
            }
            break;
        }
    }
    told
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
