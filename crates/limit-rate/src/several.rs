//! What is asked of a request where there are several windows, or one that is not the same for all.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use palisade_core::Head;
use palisade_key::{Asker, ExtractKey};
use tokio::time::Instant;

use crate::{
    Decisions, RateLimitHeaders, Store, Window,
    asked::Asked,
    future::ResponseFuture,
    layer::Settings,
    service::Owned,
    told::{After, Charge, Told},
};

/// Why a request is not let in.
pub(crate) enum Refusal {
    Keyless,
    Violated(Box<(Asked, Decisions)>),
}

/// What the buckets, or the want of one, say of a request.
enum Verdict<K> {
    /// By the buckets of this key, or of those without one.
    Decided(Option<K>),
    Keyless,
    Uncounted,
}

impl<K, St> Settings<K, St>
where
    K: ExtractKey,
    St: Store<K::Key>,
{
    /// What is to be done with the answer of a request that is let in.
    // Both results are a word or two: a response's future is larger than all else here.
    #[inline(never)]
    pub(crate) fn decide_on_all(
        &self,
        head: Head<'_>,
        now: Instant,
    ) -> Result<Option<Box<After<Owned<K>, St>>>, Refusal> {
        // In their places from the first: both are so large that moving them would show.
        let (mut asked, mut decisions) = (Asked::none(), Decisions::default());
        if !self.goes_by(head, &mut asked) {
            return Ok(None);
        }
        let cost = self.cost(head);
        let verdict = self.key.with(head, |key| match self.missing.of(key) {
            Asker::Key(key) => {
                decisions = self.ask(&*self.state.store, key, &asked, cost, now);
                if !decisions.allowed() {
                    self.state.offenders.refused(key, now.into_std());
                }
                let owned = self.charge_when.is_some().then(|| key.to_owned());
                Verdict::Decided(owned)
            }
            Asker::Shared => {
                decisions = self.ask(&self.state.keyless, &(), &asked, cost, now);
                Verdict::Decided(None)
            }
            Asker::Rejected => Verdict::Keyless,
            Asker::Skipped => Verdict::Uncounted,
        });
        let key = match verdict {
            Verdict::Uncounted => return Ok(None),
            Verdict::Keyless if self.shadow => {
                self.state.counts.shadowed.fetch_add(1, Relaxed);
                return Ok(None);
            }
            Verdict::Keyless => return Err(Refusal::Keyless),
            Verdict::Decided(key) => key,
        };
        let allowed = decisions.allowed();
        if !allowed {
            if !self.shadow {
                return Err(Refusal::Violated(Box::new((asked, decisions))));
            }
            self.state.counts.shadowed.fetch_add(1, Relaxed);
        }
        let told = (self.headers == RateLimitHeaders::Draft)
            .then(|| Told::of(&self.state, &asked, &decisions));
        Ok(match self.charge_when.clone() {
            Some(when) if allowed => {
                let (state, apply) = (Arc::clone(&self.state), Charge::charge::<K::Key>);
                let charge = Charge { when, state, key, asked, cost, apply, told };
                Some(Box::new(After::Charge(charge)))
            }
            _ => told.map(|told| Box::new(After::Tell(told))),
        })
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refuse_all<F>(
        &self,
        refusal: &Refusal,
        head: Head<'_>,
        now: Instant,
    ) -> ResponseFuture<F, Owned<K>, St> {
        match refusal {
            Refusal::Keyless => self.refuse_keyless(head, now),
            Refusal::Violated(all) => self.refuse(&all.0, &all.1, head, now),
        }
    }

    /// Adds the windows that a request goes by. Not so if it is to pass by all of them.
    fn goes_by(&self, head: Head<'_>, asked: &mut Asked) -> bool {
        for (at, window) in self.state.windows().enumerate() {
            let tier = self.tiers.iter().find(|(known, _)| *known == at);
            match tier.map(|(_, quota_for)| quota_for(head)) {
                None => asked.push(Window::new(window.number, window.quota.get())),
                Some(Some(quota)) => asked.push(Window::new(window.number, quota)),
                Some(None) if at == 0 => return false,
                Some(None) => {}
            }
        }
        true
    }

    /// Takes, or looks whether there would be enough where it is charged later.
    fn ask<Q: Hash + ?Sized>(
        &self,
        store: &impl Store<Q>,
        key: &Q,
        asked: &Asked,
        cost: NonZeroU32,
        now: Instant,
    ) -> Decisions {
        let now = now.into_std();
        if self.charge_when.is_none() {
            return store.take_all(key, asked, cost, now);
        }
        asked.iter().map(|window| store.get(key, *window, now).with_cost(cost)).collect()
    }
}
