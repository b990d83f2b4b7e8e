//! Tries again what failed, where that is safe, and never so often that it makes things worse.
//!
//! A call that failed for a moment is made again, on the wire the same request with the same body, after a
//! random wait that grows. What may not be done twice is sent again only on proof that it never arrived. All
//! retries together stay within a [`Budget`], so that an upstream that fails is not sent several times its load
//! just when it can bear that least. When no other attempt is to be made, the answer in hand is given as it is; the
//! inner service's error type stays what it is.
//!
//! # When to use it
//!
//! On a client, around an upstream that fails now and then: while it restarts, sheds load, or loses a
//! connection. At one place in a chain of services, best where the request begins: three hops that try three
//! times each are 27 calls. It does not make answers faster, and does not help a request that is wrong.
//!
//! # How it differs
//!
//! tower's `Retry` asks for a policy that you write, and which has to copy the request; those of axum and
//! tonic cannot be cloned. Elsewhere a POST is sent twice because only the answer is looked at; `Retry-After` and
//! pushback are not read, or a wait goes on past the moment when nobody is there any more; a status in the
//! trailers is missed; the budget is a lock for every success; what was answered is lost when the budget
//! says no; and a retry is made by an instance that was never ready. Each of those is a test here.
//!
//! # What is tried again
//!
//! Before a request is sent it is of one of three [kinds](Eligible):
//!
//! | | [`RetryPolicy::http`] | [`RetryPolicy::grpc`] | is tried again |
//! | --- | --- | --- | --- |
//! | [`Always`](Eligible::Always) | GET, HEAD, OPTIONS, TRACE, PUT, DELETE, QUERY; with an `Idempotency-Key`; marked [`Idempotent`] | methods that are [named](RetryPolicy::idempotent); marked `Idempotent` | on the answers below, on errors, and as the next |
//! | [`IfNotSent`](Eligible::IfNotSent) | all others | all others | where a layer of ours inside refused it, the connection was refused, or the server says that it did not look at it (`REFUSED_STREAM`, `GOAWAY`) |
//! | [`Never`](Eligible::Never) | CONNECT, upgrades, another's retry | the same | not at all |
//!
//! The answers are 429, 502, 503 and 504; over gRPC `UNAVAILABLE`, and `RESOURCE_EXHAUSTED` if it says when to
//! come back. [Another classifier](RetryPolicy::classify), or a closure, says otherwise. Which of hyper's,
//! h2's and tonic's errors prove that nothing was sent is known with the features of those names in the
//! facade, or of `palisade-core`.
//!
//! There are [three attempts](RetryPolicy::max_attempts) at most, [waits](RetryPolicy::backoff) of up to 50 ms
//! and then twice as much (100 ms over gRPC), never less than the service asked for and up to half as long
//! again, and [none](RetryPolicy::honor_retry_after) if it asked for more than five seconds or its pushback says
//! never. Nobody waits for an attempt that would begin too late for the request's [`Deadline`], or for what its
//! `grpc-timeout` says, which each attempt is told what is left of.
//!
//! # Bodies
//!
//! What is read of a request's body is kept, up to [64 KiB](RetryPolicy::max_body) for each request and
//! [16 MiB](RetryPolicy::max_buffered) for all, until its answer is given. An upload that was cut off is
//! resumed: what was read is repeated, the rest read on. A larger one is sent once. The inner service sees a
//! [`RetryBody`]; where it takes one type only, as tonic's `Channel`, [`with_body`](RetryLayer::with_body)
//! makes that of it.
//!
//! An answer that is not good enough is read to its end if it is small and there, so that its connection and
//! permits are free; a larger one is held through the wait and dropped right before the next attempt.
//!
//! # What it costs
//!
//! A request that is never tried again: to be looked at, and its answer is moved once; no allocation. All
//! others: a copy of their head, a box for it, a clone of the inner service, and two allocations and more for
//! a body that is not empty; one for a gRPC answer whose status is to come, or three where that is looked for
//! behind its head. While all is well the budget is one load. `cargo bench --bench overhead` measures it;
//! `benches/README.md` has the figures, beside the peers'.
//!
//! # Where it stands
//!
//! Outside the breaker, the limit and the timeout of a single attempt, so that each attempt is judged, counted
//! and timed by itself, and no permit is held while it waits. Inside a timeout for the whole, which must
//! [share](https://docs.rs/palisade-timeout) its deadline to be seen: `timeout(total).shared() → retry →
//! breaker → limit-concurrency → timeout(attempt) → client`.
//!
//! # Good to know
//!
//! * Every retry costs the budget a token, also of what was not sent: that is load for whoever refused it.
//! * After the wait the inner service is asked once whether it is ready; if it is not, there is no retry. It
//!   does not queue.
//! * An answer to an upload that is still being sent, as HTTP/2 has it, is final unless the transport has let
//!   go of the body by the end of the wait.
//! * A retry carries [`Attempts`] in its extensions, over gRPC `grpc-previous-rpc-attempts`, and a header of
//!   your own if you [name](RetryPolicy::stamp) it. What carries one already is not tried again: of two layers
//!   by mistake the inner one tries first attempts only, which makes five calls of three times three.
//! * A gRPC status that comes after the first message is not seen: what was answered in part is final. See
//!   [`Peek`] for one that comes late.
//! * Every answer that is final earns its share of a retry, a 404 as well: it shows that somebody is there. A
//!   gRPC call does when its body is over. What is never tried again, or too large, tells the budget nothing.
//! * A refusal of ours inside is known by its extension, which travels with the response. A service in the same
//!   process that hands on another's answer should take [`Rejection`](palisade_core::Rejection) out of it, or its
//!   request may be sent again though it did its part. A
//!   [`RejectionErrorLayer`](palisade_core::RejectionErrorLayer) belongs outside: of an error, when to come
//!   again is not known.
//! * Clones of the extensions of a request that may be tried again are kept until it is answered.
//! * The layer needs `S: Clone`, as tower's does: the clone is asked for readiness, and called.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use palisade_retry::{Attempts, RetryLayer, RetryPolicy};
//! use std::{convert::Infallible, sync::atomic::{AtomicU32, Ordering::Relaxed}};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::http()))
//!     .service(service_fn(async |_: Request<_>| {
//!         let mut response = Response::new(Full::<Bytes>::default());
//!         if CALLS.fetch_add(1, Relaxed) == 0 {
//!             *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
//!         }
//!         Ok::<_, Infallible>(response)
//!     }));
//!
//! let request = Request::get("/menu").body(Full::<Bytes>::default()).unwrap();
//! let response = client.oneshot(request).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(Attempts::of(response.extensions()), 2);
//! # Ok::<_, Infallible>(()) }).unwrap();
//! ```
//!
//! # Customised
//!
//! Two layers, for calls and for lookups, that share a budget for the one upstream they call:
//!
//! ```
//! use palisade_core::Backoff;
//! use palisade_retry::{Budget, Eligible, Peek, RetryLayer, RetryPolicy};
//! use std::time::Duration;
//!
//! let budget = Budget::ratio(0.2).floor(1).burst(20).max_concurrent(50);
//!
//! let calls = RetryLayer::new(
//!     RetryPolicy::grpc()
//!         .idempotent(["menu.Menu/Today", "menu.v1.Search"])
//!         .peek(Peek::FirstFrame)
//!         .budget(budget.clone()),
//! );
//! let lookups = RetryLayer::new(
//!     RetryPolicy::http()
//!         .max_attempts(2)
//!         .backoff(Backoff::new(Duration::from_millis(5), Duration::from_millis(50)))
//!         .eligible(|head| match head.uri().path() {
//!             "/search" => Eligible::Always,
//!             _ => Eligible::of(head),
//!         })
//!         .budget(budget.clone()),
//! );
//! assert_eq!(calls.handle().budget().in_use(), 0);
//! assert_eq!(lookups.handle().retried(), 0);
//! ```

mod allowance;
mod answer;
mod attempts;
mod body;
mod budget;
mod counters;
mod eligible;
mod finding;
pub mod future;
mod handle;
mod kept;
mod layer;
mod lookup;
mod methods;
mod policy;
mod replay;
mod request_body;
mod retrying;
mod service;
mod state;
mod sync;
mod told;
mod transient;
mod waiting;
mod watch;

pub use attempts::Attempts;
pub use body::ResponseBody;
pub use budget::{Budget, InvalidBudget, Token};
pub use eligible::{Eligible, Idempotent};
pub use handle::Retries;
pub use layer::RetryLayer;
pub use methods::InvalidMethod;
pub use policy::{Peek, RetryPolicy};
pub use replay::{Backup, ReplayBody};
pub use request_body::{AsRetryBody, Carry, RetryBody};
pub use retrying::Retrying;
pub use service::Retry;
pub use transient::{TransientClassifier, TransientEnd};

#[doc(no_inline)]
pub use palisade_core::{Backoff, Classify, Deadline, Head, Jitter, Outcome};
