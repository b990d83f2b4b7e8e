//! Bounds what an exchange may take, **head and body**, and tells the next hop how much time is left.
//!
//! A request that is not answered in time is answered by the layer: 503 on a server, 504 on a client
//! or gateway, over gRPC `DEADLINE_EXCEEDED`. What the inner service was doing is dropped before that,
//! so what it held is free. A response that has begun in time must end in time as well; else it is cut
//! off. A caller may say how long it waits, as gRPC clients do: work for it ends when that time is up, and
//! does not begin if it is up already. The inner service's error type stays what it is.
//!
//! # When to use it
//!
//! On every server, so that a handler that hangs does not hold its connection, its memory and its
//! place in a limit for ever. On every client, once for the whole call, and once for each attempt
//! where there are several. [`RequestBodyTimeoutLayer`] is for clients that are slow to send: 408.
//!
//! # How it differs
//!
//! `tower::timeout` fails with a boxed error that the server must map, and ends at the head of the
//! response. tower-http's answers with a bare status, registers its timer even for answers that are
//! there at once, and restarts the clock for the body. tonic reports its own as `CANCELLED` and leaves
//! streams unbounded. None of them forwards what time is left, or refuses what is already too late.
//!
//! # What it costs
//!
//! An answer that is there at once: no timer, no clock, no allocation, no lock. One that has to be
//! waited for: a timer, made at the first wait, within the future. A body of one frame needs none
//! unless it waits; any other has its own, in an allocation, since every response would have to carry
//! its hundred bytes otherwise. Frames cost no timer operation; between frames, an
//! [idle limit](BodyLimit::Idle) reads the clock once for each wait. Where a deadline came with the
//! request, is [`shared`](TimeoutLayer::shared) or [forwarded](TimeoutLayer::forward), the clock is read
//! once, and what is attached to the request or written into its headers is allocated.
//! `cargo bench --bench overhead` measures it; `benches/README.md` has the figures, beside the peers'.
//!
//! # Where it stands
//!
//! On a server inside health, and outside everything that may hold a request up: limits, queues, the
//! handler. On a client twice: [`TimeoutLayer::client`]`(total).`[`shared()`](TimeoutLayer::shared) outermost, so that
//! a retry can see it, and one for each attempt right around the transport.
//!
//! # Where the time comes from
//!
//! 1. A [`Deadline`] in the request's extensions: from a layer further out, or from your own code.
//! 2. `grpc-timeout`, to gRPC's grammar: 1 to 8 digits and a unit. Else
//!    [a header of your choice](TimeoutLayer::with_header), if its sender is trusted.
//! 3. The layer's own limit, or what [`by`](TimeoutLayer::by) says for this request.
//!
//! The nearest counts. A caller may ask for less than the layer's own limit, and for more up to
//! [`with_max`](TimeoutLayer::with_max), but not where `by` has spoken. A header that cannot be
//! understood is as good as none, and logged at `debug`. 1 and 2 bound the whole exchange, also where
//! [`with_body`](TimeoutLayer::with_body) lets 3 bound the head alone.
//!
//! # Good to know
//!
//! * Time begins with the exchange's first wait, or with the second frame of a body that never waits; of
//!   a deadline that came or goes with the request, at the call. Waiting for readiness comes before, and
//!   is not counted: there is no request yet.
//! * The inner service is asked first: an answer that is there in the same tick wins.
//! * Dropping a future stops it at the `await` where it stands. Tasks that it spawned go on, and so does
//!   what runs in `spawn_blocking`: hand them the [`Deadline`], as also the requests they send.
//! * Of two of these layers around one request, where the outer one shares its deadline, only the nearer
//!   one has a timer. A middleware between them that spawns the inner call as a task of its own takes it
//!   out of the outer one's reach, and must bound it itself.
//! * tokio's timers tick in milliseconds.
//! * A body is only cut off when the server asks for its next frame, and it does not ask while its client
//!   does not read. Against a client that never reads, over HTTP/1 use `TCP_USER_TIMEOUT` or another limit of
//!   the socket; over HTTP/2 hyper offers none.
//! * A connection that was upgraded, a WebSocket say, is not bounded: its exchange ended with the 101.
//! * Clones of a layer share its limit and its counters, whatever is set on them afterwards.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use palisade_timeout::TimeoutLayer;
//! use std::{convert::Infallible, time::Duration};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # let mut runtime = tokio::runtime::Builder::new_current_thread();
//! # let runtime = runtime.enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! let hangs = service_fn(async |_: Request<()>| {
//!     tokio::time::sleep(Duration::from_secs(60)).await;
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"at last"))))
//! });
//! let layer = TimeoutLayer::server(Duration::from_secs(2));
//!
//! let response = layer.layer(hangs).oneshot(Request::new(())).await?;
//! assert_eq!(response.status(), 503);
//! assert_eq!(layer.handle().timed_out(), 1);
//! # Ok::<_, Infallible>(()) }).unwrap();
//! ```
//!
//! # Customised
//!
//! A gateway's server end: uploads may take longer, streams may stay open as long as they flow, callers
//! within the company say how long they wait, and nobody is worked for who is about to give up:
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderName, Request, Response};
//! use http_body_util::Full;
//! use palisade_timeout::{BodyLimit, Deadline, TimeoutLayer};
//! use std::{convert::Infallible, time::Duration};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # let mut runtime = tokio::runtime::Builder::new_current_thread();
//! # let runtime = runtime.enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! const UPLOAD: Duration = Duration::from_secs(120);
//! let layer = TimeoutLayer::server(Duration::from_secs(10))
//!     .by(|head| head.uri().path().starts_with("/upload/").then_some(UPLOAD))
//!     .with_body(BodyLimit::Idle(Duration::from_secs(30)))
//!     .with_header(HeaderName::from_static("x-request-timeout"), |head| {
//!         head.headers().contains_key("x-internal")
//!     })
//!     .with_min_useful(Duration::from_millis(20));
//!
//! let handler = service_fn(async |request: Request<()>| {
//!     // What the caller asked for is there for the handler, and for its own clients.
//!     let left = Deadline::of(&request).unwrap();
//!     # let left = left.remaining(tokio::time::Instant::now().into_std());
//!     # assert_eq!(left, Duration::from_millis(1500));
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! });
//! let request = Request::get("/").header("x-internal", "1").header("x-request-timeout", "1.5");
//! let response = layer.layer(handler.clone()).oneshot(request.body(()).unwrap()).await?;
//! assert_eq!(response.status(), 200);
//!
//! let too_late = Request::get("/").header("grpc-timeout", "19m").body(()).unwrap();
//! let response = layer.layer(handler).oneshot(too_late).await?;
//! assert_eq!((response.status().as_u16(), layer.handle().expired()), (503, 1));
//! # Ok::<_, Infallible>(()) }).unwrap();
//! ```

mod alarm;
mod body;
mod counters;
pub mod future;
mod glance;
mod handle;
mod layer;
mod refusal;
pub mod request_body;
mod service;
mod term;
mod watch;
mod wire;

pub use body::ResponseBody;
pub use handle::Timeouts;
pub use layer::{BodyLimit, TimeoutLayer};
pub use refusal::{DEADLINE_EXPIRED, REQUEST_STALLED, TIMED_OUT};
pub use request_body::{RequestBodyTimeout, RequestBodyTimeoutLayer};
pub use service::Timeout;
pub use term::HOP_SLACK;

#[doc(no_inline)]
pub use palisade_core::{Deadline, GrpcCode, Reason, Rejection, Sent};
