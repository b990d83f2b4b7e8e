//! The atomics of the machine, which loom replaces to try every interleaving.

#[cfg(not(palisade_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, fence};

#[cfg(palisade_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, fence};
