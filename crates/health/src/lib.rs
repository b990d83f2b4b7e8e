//! Says honestly how a service is, and lets it leave in good order.

mod board;
mod check;
mod clock;
mod drain;
mod gate;
#[allow(dead_code, unused_imports, reason = "until the layer answers with it")]
mod grpc;
mod handle;
mod heart;
mod latch;
mod pulse;
mod registry;
mod report;
mod runner;
mod services;
mod serving;
mod standing;
mod status;
mod summary;
mod sync;
mod threshold;
mod views;

pub use check::Check;
pub use gate::{Exchange, Phase};
pub use handle::Health;
pub use latch::Latch;
pub use pulse::{Heartbeat, Pulse, Unit};
pub use report::{Item, Probe, Report};
pub use serving::{ServiceHealth, ServingStatus, ServingWatch};
pub use status::{Finding, Status};
pub use views::{Liveness, Readiness, Startup};
