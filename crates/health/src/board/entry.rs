use std::{mem, sync::Arc, time::Instant};

use tokio::task::AbortHandle;

use crate::{
    Status,
    heart::{Gone, Heart},
    latch::LatchState,
    report::{Item, Probe},
    standing::{Look, Standing},
    told::Told,
};

/// One thing that is looked at.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) source: Source,
    /// As it was last told.
    pub(super) item: Item,
    pub(super) task: Option<AbortHandle>,
    pub(super) told: Told,
    /// Whether it was seen to be lost, and nobody had taken its place.
    pub(super) missed: bool,
}

/// Where it is known from how something stands.
#[derive(Debug)]
pub(crate) enum Source {
    Check(Standing),
    Heart(Arc<Heart>),
    Latch(Arc<LatchState>),
}

impl Source {
    /// `None` if it is over.
    pub(super) fn look(&self, now: Instant, draining: bool) -> Option<Look> {
        match self {
            // What ends while all is being left is meant to, also if it hears of that a moment earlier.
            Self::Heart(heart) if draining && heart.gone() == Some(Gone::Lost) => {
                let detail = Some("its owner is gone, as all is being left".into());
                Some(Look { status: Status::Pass, detail, until: None })
            }
            Self::Check(standing) => Some(standing.look(now)),
            Self::Heart(heart) => heart.look(now),
            Self::Latch(latch) => Some(latch.look()),
        }
    }

    /// Whether its owner is gone without a word.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Check(_) => false,
            Self::Heart(heart) => heart.gone().is_some_and(|gone| gone != Gone::Retired),
            Self::Latch(latch) => latch.is_lost(),
        }
    }

    /// Whether nothing is to be said of it any more.
    fn is_over(&self) -> bool {
        matches!(self, Self::Heart(heart) if heart.gone() == Some(Gone::Retired))
    }
}

impl Entry {
    pub(super) fn is_named(&self, name: &str, probe: Probe, source: &Source) -> bool {
        // One of another kind is another thing: a heart says nothing of what a check looks at.
        mem::discriminant(&self.source) == mem::discriminant(source)
            && self.item.probe == probe
            && *self.item.name == *name
    }

    /// Whether this is the other one, begun anew.
    pub(super) fn succeeds(&self, other: &Self) -> bool {
        self.id > other.id
            && !self.source.is_over()
            && self.is_named(&other.item.name, other.item.probe, &other.source)
    }
}
