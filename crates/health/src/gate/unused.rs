//! The gates that wait for an owner. Not on any request's path.

use super::Gate;
use crate::sync::{Mutex, lock, shared};

shared! {
    static UNUSED: Mutex<Vec<&'static Gate>> = Mutex::new(Vec::new());
}

pub(super) fn take() -> Option<&'static Gate> {
    lock(&UNUSED).pop()
}

pub(super) fn put(gate: &'static Gate) {
    lock(&UNUSED).push(gate);
}

#[cfg(all(test, palisade_loom))]
pub(super) fn len() -> usize {
    lock(&UNUSED).len()
}
