//! Answers **429 Too Many Requests** at once while too many requests are in flight.
//!
//! A request that is admitted holds a permit until its response's *body* is over: read to the end,
//! failed, or dropped because the client went away. While all permits are out, further requests are
//! answered at once with a `Retry-After`, over gRPC with `RESOURCE_EXHAUSTED`; they never queue and
//! never reach the inner service. The inner service's error type stays what it is.
//!
//! # When to use it
//!
//! On a server, to keep latency and memory bounded under overload: choose a `max` at which the
//! service still answers fast. On a client, to bound what one upstream may tie up.
//!
//! # How it differs
//!
//! `tower::limit::ConcurrencyLimit` makes requests *wait* for a permit, without bound, and gives the
//! permit back at the head of the response, while a body may still be streaming.
//! `tower::load_shed` in front of it refuses instead, but with a boxed error that the server must
//! map, and it refuses whenever *anything* inside is not ready.
//!
//! # What it costs
//!
//! An admitted request: one compare-and-swap and one decrement of one word; no allocation, no lock, no
//! clock. A refused one: a load of that word, and on cache lines of their own a count and a short lock
//! for the estimate in `Retry-After`; a clock read, and the response. Requests that ask to
//! [upgrade](Held) allocate once or twice. `cargo bench --bench overhead` measures it;
//! `benches/README.md` has the figures, beside the peers'.
//!
//! # Where it stands
//!
//! On a server inside health and timeout, so that probes are answered and a request that ran out of time gives
//! its permit back, and outside rate limits. On a client inside retry and breaker, outside the timeout of an
//! attempt.
//!
//! # Good to know
//!
//! * "Over" is when the server took the body's last frame, not when the client has read it. hyper
//!   takes a body of a single frame at once, whatever its size; a body of many frames goes as slowly
//!   as its reader, and holds its permit for as long. No layer can end one that stalls for ever, since
//!   the server stops asking for the body. Over HTTP/1 use `TCP_USER_TIMEOUT` or another limit of the
//!   socket; over HTTP/2 hyper offers none.
//! * Everything the layer is applied to is under the limit. On axum that includes the fallback, and
//!   probes: route those outside of it.
//! * A service that was ready and is then refused here stays ready: what the inner service reserved for
//!   it (a place in a `Buffer`, a permit of tower's `ConcurrencyLimit`) waits for this instance's next
//!   call, or its drop. Servers drop it at once; a client that keeps one instance keeps one place.
//! * axum applies a layer to each route, and again for each connection; all of them share one limit.
//! * `tower::util::option_layer` needs the same response type with and without the layer, and this
//!   one changes the body. Apply it always, and lift the limit with [`InFlight::set_max`].
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use palisade_limit_concurrency::LimitConcurrencyLayer;
//! use std::convert::Infallible;
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! let hello = service_fn(async |_: Request<()>| {
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
//! });
//! let mut service = LimitConcurrencyLayer::new(1).layer(hello);
//!
//! let first = service.ready().await?.call(Request::new(())).await?;
//! assert_eq!(first.status(), 200);
//! // The first response's body is still there, and with it the only permit.
//! let second = service.ready().await?.call(Request::new(())).await?;
//! assert_eq!(second.status(), 429);
//! assert_eq!(second.headers()["retry-after"], "1");
//!
//! drop(first);
//! let third = service.ready().await?.call(Request::new(())).await?;
//! assert_eq!(third.status(), 200);
//! # Ok::<_, Infallible>(()) }).unwrap();
//! ```
//!
//! # Customised
//!
//! A limit that protects the whole server, frees the permit as soon as the head is out, and is
//! watched and changed while it runs:
//!
//! ```
//! use http::StatusCode;
//! use palisade_limit_concurrency::{LimitConcurrencyLayer, Release};
//!
//! let layer = LimitConcurrencyLayer::new(512)
//!     .with_status(StatusCode::SERVICE_UNAVAILABLE)
//!     .with_release(Release::Head);
//! let in_flight = layer.handle();
//!
//! in_flight.set_max(0); // maintenance: refuse everything
//! assert_eq!((in_flight.in_flight(), in_flight.max()), (0, 0));
//! in_flight.set_max(512);
//! assert_eq!((in_flight.admitted(), in_flight.rejected()), (0, 0));
//! ```

mod counters;
pub mod future;
mod handle;
mod held;
mod layer;
mod limit;
mod service;
mod sync;
mod turnover;

pub use handle::InFlight;
pub use held::{Admission, Held};
pub use layer::{LimitConcurrencyLayer, Release};
pub use limit::{Limit, Permit};
pub use service::{AT_CAPACITY, LimitConcurrency, ResponseBody};

#[doc(no_inline)]
pub use palisade_core::{GrpcCode, Reason, Rejection, Sent};
