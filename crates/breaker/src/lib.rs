//! Stops calling what is broken: answers **503 Service Unavailable** at once instead, and finds out with care
//! when it is well again.
//!
//! While a service is well, its calls are counted and nothing else. When too many of them fail, its
//! *circuit* opens: calls are refused without being sent, over gRPC with `UNAVAILABLE`, and told when to come
//! back. After some seconds it is half-open: a few calls are let through as probes, and by what becomes of
//! them it closes, or opens again for longer. The inner service's error type stays what it is.
//!
//! # When to use it
//!
//! On a client, around each upstream that may be down, slow or overloaded while others are not: callers
//! are told at once instead of waiting for what will fail, and the upstream is left alone until it is well.
//! [`BreakerLayer`] has one circuit, [`KeyedBreakerLayer`] one for each upstream that a client calls. For an
//! endpoint inside a load balancer there is [`gate`](BreakerLayer::gate). Around a part of a server's own
//! work it does the same; to bound how much comes in, use a limit.
//!
//! # How it differs
//!
//! tower has no circuit breaker. Those elsewhere count outcomes of calls that began before the circuit
//! changed, so that an old answer closes or opens it; leave it half-open for ever when a probe is
//! dropped or hangs; take a caller's mistakes for failures, or for successes; and look at the head of
//! an answer only, where a gRPC call is always fine. Here a late outcome decides nothing, a probe gives its
//! place back however it ends and loses it when its lease is over, outcomes are judged as
//! [HTTP and gRPC mean them](AutoClassifier), to the end of the body, and the window slides by time, at a
//! cost that does not grow with calls.
//!
//! # What counts
//!
//! | what became of a call | counts as |
//! | --- | --- |
//! | 5xx but 501 and 505; `UNAVAILABLE`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNKNOWN`, `DATA_LOSS`; an error, an upstream that cannot be reached, a panic | a failure |
//! | 429, `RESOURCE_EXHAUSTED` | a failure in a rate and of a probe, but none in a row |
//! | other 4xx, 501, 505; `CANCELLED` and the caller's faults; a refusal by a layer of ours inside that was not sent; a request's body that failed, where the error says so | nothing; a probe gives its place back |
//! | given up by its caller before there was an answer | a failure if it took as long as a [slow](Trip::slow) call, or it is a probe and took as long as its lease; else nothing |
//! | all else | a success |
//!
//! Another [`Classify`], or a closure, [says otherwise](BreakerLayer::with_classifier).
//!
//! # What it costs
//!
//! Closed: two loads, a clock read and a `fetch_add`, a count of the circuit's owners, and the answer is moved
//! twice; no allocation, no lock. [`Trip::slow`] reads the clock once more, and for gRPC twice. A refusal
//! takes about a microsecond, nearly all of it for the answer. Changes of state take a lock, and the
//! [keyed](KeyedBreakerLayer) one takes a short one for each call. `cargo bench --bench overhead` and
//! `--bench contention` measure it; `benches/README.md` has the figures, beside the peers'.
//!
//! # Where it stands
//!
//! On a client inside a retry, so that what is refused is tried elsewhere or later, and outside a limit
//! and the timeout of a single attempt: a call that is timed out there is a failure. A timeout further out
//! only gives calls up, which says nothing unless they were [slow](Trip::slow).
//!
//! # Good to know
//!
//! * By [default](Policy) it opens at half of 20 or more calls in ten seconds, or at five failures in a row,
//!   for five seconds and up, and closes when two of three probes succeed.
//! * A call that is refused although the inner service was ready, since the circuit opened in between or it
//!   lost the race for a probe, leaves that service's reservation, as of tower's `ConcurrencyLimit`, with
//!   this instance, until it is called or dropped.
//! * A gRPC stream counts as a success when it ends. Where most go on for long, let a rate open the circuit,
//!   of as many calls as end in its window, rather than failures in a row. From its head on a call is
//!   neither slow nor, when it is given up, a failure.
//! * While it is half-open, answers that are nobody's failure, as 404, let the next probe go and decide
//!   nothing.
//! * An open circuit is no reason to be not ready for traffic: where all instances depend on what is down, all
//!   of them would be taken out of service.
//! * Transitions are logged at `info`, refusals at `debug` and summed up at `warn`.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use palisade_breaker::{BreakerLayer, State, Trip};
//! use std::convert::Infallible;
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let broken = service_fn(async |_: Request<()>| {
//!     let mut response = Response::new(Full::<Bytes>::default());
//!     *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
//!     Ok::<_, Infallible>(response)
//! });
//! let layer = BreakerLayer::new(Trip::rate(0.5).min(4).or(Trip::consecutive(2)));
//! let switch = layer.handle();
//! let mut service = layer.layer(broken);
//!
//! for _ in 0..2 {
//!     assert_eq!(service.ready().await?.call(Request::new(())).await?.status(), 500);
//! }
//! assert_eq!(switch.state(), State::Open);
//! let refused = service.ready().await?.call(Request::new(())).await?;
//! assert_eq!(refused.status(), 503);
//! assert!(refused.headers().contains_key("retry-after"));
//! # Ok::<_, Infallible>(()) }).unwrap();
//! ```
//!
//! # Customised
//!
//! A circuit for each upstream, that also opens when four of five calls take two seconds, asks a single
//! probe, and is watched by an operator:
//!
//! ```
//! use palisade_breaker::{KeyedBreakerLayer, Mode, Policy, Probes, Trip};
//! use palisade_core::Backoff;
//! use palisade_key::Authority;
//! use std::time::Duration;
//!
//! const SECOND: Duration = Duration::from_secs(1);
//! let policy = Policy::new(Trip::default().or(Trip::slow(SECOND.saturating_mul(2), 0.8)))
//!     .with_open(Backoff::new(SECOND, SECOND.saturating_mul(30)))
//!     .with_probes(Probes::new(1).lease(SECOND.saturating_mul(10)));
//! let layer = KeyedBreakerLayer::new(policy, Authority::new()).with_max(100);
//!
//! let billing = layer.handle().make("billing.example").unwrap();
//! billing.force_open();
//! assert_eq!(layer.handle().of("billing.example").unwrap().mode(), Mode::ForcedOpen);
//! ```
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

#[doc(no_inline)]
pub use palisade_core::{AutoClassifier, Backoff, Classify, Head, Outcome, Rejection};
