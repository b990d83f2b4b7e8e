//! What the machines synchronise with, which loom replaces to try every interleaving.

use std::sync::PoisonError;

#[cfg(not(palisade_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, fence},
};

#[cfg(palisade_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, fence},
};

/// A static that loom makes anew for each interleaving.
#[cfg(not(palisade_loom))]
macro_rules! shared {
    (static $name:ident: $type:ty = $value:expr;) => {
        static $name: $type = $value;
    };
}

#[cfg(palisade_loom)]
macro_rules! shared {
    (static $name:ident: $type:ty = $value:expr;) => {
        loom::lazy_static! {
            static ref $name: $type = $value;
        }
    };
}

pub(crate) use shared;

/// What these locks guard is whole between any two statements, so a panic elsewhere changes nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
