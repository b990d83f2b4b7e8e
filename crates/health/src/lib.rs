//! Says honestly how a service is, and lets it leave in good order: the probes of Kubernetes, gRPC health,
//! heartbeats of background tasks, and a shutdown that waits for what is in flight.
//!
//! [`Health`] is the registry. What it takes to be well is registered there, is looked at in the background,
//! and comes to one [`Status`] for each [`Probe`]. A probe is answered from memory: no check ever runs for
//! it, so that somebody who asks often, or without leave, costs a database nothing.
//!
//! # When to use it
//!
//! On every server that somebody else starts, watches and ends: under Kubernetes, behind a load balancer, or where
//! gRPC clients watch the servers they call. [`Health`] without the layer serves a worker that has no server too.
//!
//! # How it differs
//!
//! tower has nothing of the kind. A handler for `/healthz` stands behind the limits, which refuse it just when it
//! matters, and runs its checks for everybody who asks. The graceful shutdowns of axum and tonic wait for what is in
//! flight, but tell nobody beforehand to send nothing more. Here readiness, probes, gRPC health and the shutdown go
//! by one state.
//!
//! # What is asked, and what answers
//!
//! | [`Probe`] | asks | registered there | is up when |
//! | --- | --- | --- | --- |
//! | liveness | would a restart help? | [hearts](Liveness::pulse) | none has stopped |
//! | readiness | is it to be sent traffic? | [checks](Readiness::check), [hearts](Readiness::pulse) | it has started, is alive, does not drain, and nothing critical fails |
//! | startup | has it started? | [latches](Startup::latch), [checks](Startup::check) | each has been set, or has passed once |
//!
//! Liveness takes hearts and nothing else, by its type. Were it to depend on something that all instances
//! share, all would be restarted while that is down (the Kubernetes documentation warns of
//! cascading failures). For the same reason a check of readiness that fails [degrades](Check#degraded-or-critical) the
//! service, and takes it out of service only if it is declared critical. An open circuit breaker is a
//! [reading](Check::reading) that warns.
//!
//! What is not known is not up: before the first result of a critical check, or when its last one is too old,
//! the service is not ready. A status is worked out anew when a result comes, and also when time alone may
//! have changed it. A task of the registry's sees to the latter, and so does whoever asks, from the time of
//! asking: a runtime whose tasks do not get on is told of honestly all the same.
//!
//! # Over HTTP and gRPC
//!
//! [`HealthLayer`] answers `GET` and `HEAD` of `/livez`, `/readyz` and `/startupz` with 200 or 503 and the
//! status in a word, and the methods `Check`, `Watch` and `List` of `grpc.health.v1.Health`, without a gRPC
//! library. It does so also while the service inside is not ready for anything. All else goes through, and
//! is counted until its body is over, so that a [drain](Health::drain) knows when all is done; what comes after
//! that has begun to refuse is answered 503 with `Retry-After`, over gRPC `UNAVAILABLE`, while probes go on
//! being answered.
//!
//! # What it costs
//!
//! [`Health::status`] is a clock read and a load, without a lock; [`Pulse::beat`] a clock read and a store; a
//! request that is no probe a `fetch_add`, a `fetch_sub` and four comparisons of its path, without an allocation.
//! Checks and what becomes of them cost what they cost, in tasks of their own. `cargo bench --bench overhead`
//! measures it; `benches/README.md` has the figures.
//!
//! # Where it stands
//!
//! Outermost: outside limits, which would refuse probes just when they matter, and outside authentication, since a
//! probe cannot say who it is. A load balancer is told the status in a word; who may see more, [you
//! say](HealthLayer::with_details). On a port of its own it is a [service](HealthLayer::into_service).
//!
//! # Good to know
//!
//! * The layer is always ready. A request that finds the service inside not ready waits in its future, so that what
//!   bounds such waits is how many requests the server takes on at once; a `LoadShed` outside sees none of it,
//!   and a timeout inside does not count it. A timeout or a limit right inside bounds the rest.
//! * Two layers over one registry count a request that passes both twice, which a drain does not mind.
//! * A [`max_age`](Check::max_age) below the [interval](Check::every) makes a check unknown between its looks.
//! * What is still in flight when a bound has passed is told by [`drained_within`](Health::drained_within), and
//!   not logged.
//! * Probes are not exempt from what stands outside, and no other path is exempt from a refusal: metrics belong on
//!   a port of their own, as with [`into_service`](HealthLayer::into_service).
//!
//! # Example
//!
//! ```
//! use axum::{Router, routing::get};
//! use palisade_health::{Health, HealthLayer};
//! use tower::ServiceExt;
//!
//! # tokio_test::block_on(async {
//! let health = Health::new();
//! // `layer` stands in front of what has no route too, and so of probes; `route_layer` does not.
//! let app = Router::new().route("/", get(async || "hello")).layer(HealthLayer::new(&health));
//! # use axum::{body::Body, http::Request};
//! let probe = Request::get("/readyz").body(Body::empty()).unwrap();
//! assert_eq!(app.oneshot(probe).await.unwrap().status(), 200);
//! # });
//! ```
//!
//! # Customised
//!
//! A start that takes its time, a check that may fail without taking the service out, and a task with a heart:
//!
//! ```
//! use palisade_health::{Check, Health, Heartbeat, Probe, Status};
//! use std::time::Duration;
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # rt.block_on(async {
//! const SECOND: Duration = Duration::from_secs(1);
//! let health = Health::new();
//!
//! let migrations = health.startup().latch("migrations");
//! let broken = || std::future::ready(Err::<(), _>("connection refused"));
//! health.readiness().check(Check::new("database", broken).every(5 * SECOND).failures(1));
//! let pulse = health.liveness().pulse(Heartbeat::every("event loop", 30 * SECOND));
//!
//! assert_eq!(health.status(Probe::Startup), Status::Unknown);
//! migrations.set();
//! assert_eq!(health.status(Probe::Startup), Status::Pass);
//!
//! // It works without its database, though not well.
//! tokio::time::sleep(SECOND).await;
//! assert_eq!(health.status(Probe::Readiness), Status::Warn);
//! let report = health.report();
//! let database = report.of(Probe::Readiness).next().unwrap();
//! assert_eq!(database.detail(), Some("connection refused"));
//!
//! // Without its heart it does not.
//! pulse.beat();
//! tokio::time::sleep(30 * SECOND).await;
//! assert_eq!(health.status(Probe::Liveness), Status::Fail);
//! # pulse.retire();
//! # });
//! ```
//!
//! # Leaving
//!
//! ```
//! use palisade_health::{Health, Phase};
//! use std::time::Duration;
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # rt.block_on(async {
//! let health = Health::new();
//! // On SIGTERM it is not ready any more, and serves on for ten seconds.
//! health.drain(Duration::from_secs(10));
//! // The news spreads, and connections over HTTP/1 are closed by their clients.
//! tokio::time::sleep(Duration::from_secs(5)).await;
//! // Here the server is told to shut down gracefully, of which clients over HTTP/2 hear. Then what is in flight
//! // is waited for, for no longer than this.
//! let left = health.drained_within(Duration::from_secs(20)).await;
//! assert_eq!((left, health.phase()), (0, Phase::Drained));
//! # });
//! ```
//!
//! In this order nothing is lost that a server can keep:
//!
//! 1. [`drain`](Health::drain). Readiness fails, and load balancers send new connections elsewhere. Answers over
//!    HTTP/1 ask the client to close its connection, which then opens the next one elsewhere. Where a successor
//!    has the same listener, this one accepts no more from now on.
//! 2. After some seconds, and before it refuses: the server's graceful shutdown, as
//!    `axum::serve(..).with_graceful_shutdown(..)` has it. Over HTTP/2 it says `GOAWAY`, and answers what
//!    was sent before that was heard.
//! 3. When the delay is over, who is still there is refused, by an answer that says that nothing was done.
//! 4. [`drained`](Health::drained): nothing is in flight, and who watches gRPC health is told of the end. The server
//!    ends by itself.
//!
//! Three things are beyond it. An HTTP/1 connection on which nothing was asked since the first step is closed in
//! the second, perhaps under a request that is on its way: clients that keep connections try such a request
//! again (RFC 9112, section 9.3.1). One that was accepted right before the second step is closed as well, unless
//! its first request was there: so accepting should end first. And where each instance has a listener of its own on
//! one port (`SO_REUSEPORT`), the kernel resets what the one that is closed has not accepted yet.
//!
//! A gRPC client that watches, and lets nothing be sent to it, holds up the server's end, though not this
//! registry's: give that a bound of its own.
//!
//! # Sources
//!
//! the [probes of Kubernetes][probes], from which the defaults of checks are;
//! the [gRPC health checking protocol][grpc], gRFC A17 for what clients make of it and A90 for `List`.
//!
//! [probes]: https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
//! [grpc]: https://github.com/grpc/grpc/blob/master/doc/health-checking.md

mod answer;
mod board;
mod body;
mod call;
mod check;
mod clock;
mod drain;
pub mod future;
mod gate;
mod grpc;
mod handle;
mod heart;
mod held;
mod latch;
mod layer;
mod log;
mod not_found;
mod pulse;
mod registry;
mod report;
mod reports;
mod runner;
mod service;
mod services;
mod serving;
mod settings;
mod standing;
mod status;
mod summary;
mod sync;
mod threshold;
mod told;
mod views;
mod watches;

pub use body::ResponseBody;
pub use check::Check;
pub use gate::{Exchange, Phase};
pub use handle::Health;
pub use held::Held;
pub use latch::Latch;
pub use layer::HealthLayer;
pub use not_found::NotFound;
pub use pulse::{Heartbeat, Pulse, Unit};
pub use report::{Item, Probe, Report};
pub use reports::Reports;
pub use service::{HealthService, SHUTTING_DOWN};
pub use serving::{ServiceHealth, ServingStatus, ServingWatch};
pub use status::{Finding, Status};
pub use views::{Liveness, Readiness, Startup};
