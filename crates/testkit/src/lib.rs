//! What Palisade's own tests share. Not published.
//!
//! [`Probe`] is an inner service that does what a test plans and remembers what was done to it.

mod plan;
mod probe;
mod tally;

pub use plan::{Act, BodyPlan, Pace, Plan};
pub use probe::{Probe, ProbeBody, ProbeError, ProbeFuture};
pub use tally::Tally;
