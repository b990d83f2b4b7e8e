//! Tries again what failed, where that is safe, and never so often that it makes things worse.

#[cfg_attr(not(test), expect(dead_code, reason = "until a body that is kept reserves its bytes"))]
mod allowance;
mod budget;
mod sync;

pub use budget::{Budget, InvalidBudget, Token};
