use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Acquire},
        },
    },
};

use crate::{Status, registry::Registry, standing::Look};

/// Something that must happen once before the service has started, as a migration; see
/// [`Startup::latch`](crate::Startup::latch).
///
/// Dropped before it is [set](Self::set), as by a task that failed, it is a failure, and the service stays
/// down, until a latch of the same name takes its place, or if one has already.
#[must_use = "dropped before it is set, the service never starts"]
pub struct Latch {
    state: Arc<LatchState>,
    registry: Weak<Registry>,
}

/// Whether it has happened.
#[derive(Debug, Default)]
pub(crate) struct LatchState(AtomicU8);

const SET: u8 = 1;
const LOST: u8 = 2;

impl LatchState {
    pub(crate) fn look(&self) -> Look {
        let (status, detail) = match self.0.load(Acquire) {
            SET => (Status::Pass, None),
            LOST => (Status::Fail, Some("it was dropped before it was set".into())),
            _ => (Status::Unknown, Some("it is not set yet".into())),
        };
        Look { status, detail, until: None }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.0.load(Acquire) == LOST
    }
}

impl Latch {
    pub(crate) fn new(state: Arc<LatchState>, registry: Weak<Registry>) -> Self {
        Self { state, registry }
    }

    /// It has happened, for good.
    pub fn set(self) {
        self.end(SET);
    }

    fn end(&self, as_state: u8) {
        let first = self.state.0.compare_exchange(0, as_state, AcqRel, Acquire).is_ok();
        if first && let Some(registry) = self.registry.upgrade() {
            registry.evaluate();
        }
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.end(LOST);
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Latch").field(&self.state).finish()
    }
}
