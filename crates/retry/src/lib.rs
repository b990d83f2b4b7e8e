//! Tries again what failed, where that is safe, and never so often that it makes things worse.

#[cfg_attr(any(not(test), palisade_loom), expect(dead_code, reason = "until there is a layer"))]
mod allowance;
mod replay;
mod request_body;
mod sync;

pub use replay::{Backup, ReplayBody};
pub use request_body::{AsRetryBody, Carry, RetryBody};
