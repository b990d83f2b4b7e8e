//! Stops calling what is broken, and finds out with care when it is well again.
//!
//! # Without tower
//!
//! [`Circuit`] is the machine. It is told the time; so that tests can pause it, read it as
//! `tokio::time::Instant::now().into_std()`.
//!
//! ```
//! use palisade_breaker::{Circuit, Policy, Probes, Signal, State, Trip};
//! use palisade_core::Backoff;
//! use std::time::{Duration, Instant};
//!
//! const SECOND: Duration = Duration::from_secs(1);
//!
//! let policy = Policy::new(Trip::rate(0.5).min(10).or(Trip::slow(2 * SECOND, 0.8)))
//!     .with_open(Backoff::constant(5 * SECOND))
//!     .with_probes(Probes::new(1));
//! # let now = Instant::now();
//! let circuit = Circuit::new(policy, now);
//!
//! // Half of ten calls fail.
//! for failed in [true, false].repeat(5) {
//!     let ticket = circuit.admit(now).unwrap();
//!     circuit.record(ticket, if failed { Signal::Failure } else { Signal::Success }, now);
//! }
//! assert_eq!(circuit.admit(now).unwrap_err().retry_after(), Some(5 * SECOND));
//! assert_eq!(circuit.state(now + 4 * SECOND), State::Open);
//! assert_eq!(circuit.state(now + 5 * SECOND), State::HalfOpen);
//!
//! // One probe is let through, and no other call until it has come back.
//! let later = now + 6 * SECOND;
//! let probe = circuit.admit(later).unwrap();
//! assert!(probe.is_probe() && circuit.admit(later).is_err());
//! circuit.record(probe, Signal::Success, later);
//! assert_eq!(circuit.state(later), State::Closed);
//!
//! let stats = circuit.stats(later);
//! assert_eq!((stats.opened, stats.refused, stats.total_calls), (1, 2, 11));
//! ```

mod call;
mod circuit;
pub mod future;
mod gate;
mod handle;
mod keyed;
mod layer;
mod policy;
mod probes;
mod refused;
mod service;
mod share;
mod state;
mod stats;
mod switches;
mod sync;
mod ticket;
mod transition;
mod trip;
mod wired;

pub use call::Recording;
pub use circuit::Circuit;
pub use gate::{Gate, GateLayer};
pub use handle::{Switch, Transitions};
pub use keyed::{KeyedBreaker, KeyedBreakerLayer, circuits::Owner};
pub use layer::BreakerLayer;
pub use policy::Policy;
pub use probes::{InvalidProbes, Probes};
pub use refused::Refused;
pub use service::{Breaker, CIRCUIT_OPEN, ResponseBody};
pub use state::{Mode, Readiness, State};
pub use stats::Stats;
pub use switches::Switches;
pub use ticket::{Signal, Ticket};
pub use transition::{Cause, Transition};
pub use trip::{InvalidTrip, Trip};
