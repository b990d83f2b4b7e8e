//! What Palisade's own tests share. Not published.
//!
//! [`Probe`] is an inner service that does what a test plans and remembers what was done to it.
//! [`Gate`] holds real handlers back until the test lets them go. The feature `sockets` has servers
//! and clients over loopback sockets, the feature `grpc` a gRPC service with its client.

mod gate;
#[cfg(feature = "grpc")]
pub mod grpc;
mod plan;
mod probe;
#[cfg(feature = "sockets")]
pub mod sockets;
mod tally;

pub use gate::Gate;
pub use plan::{Act, BodyPlan, Pace, Plan};
pub use probe::{Probe, ProbeBody, ProbeError, ProbeFuture};
pub use tally::Tally;
