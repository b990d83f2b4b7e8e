//! The vocabulary that every Palisade layer shares.
//!
//! A layer that turns a request away builds a [`Rejection`] and answers with
//! [`Rejection::respond`]: an RFC 9457 problem over HTTP, a trailers-only status over gRPC. A layer
//! that must know when an exchange is over wraps the response's body in a [`GuardedBody`]. A closure
//! that looks at a request is given its [`Head`]. When an answer is no longer waited for is a
//! [`Deadline`] in the request's extensions.
//!
//! You need this crate to write a layer of your own in the same shape, or to read what a layer of
//! Palisade answered. To use the layers, depend on `palisade` or on a layer's own crate; both
//! re-export what their users meet.
//!
//! Two small layers act on the refusals of a whole stack: [`RenderLayer`] renders them in a house
//! format, [`RejectionErrorLayer`] makes errors of them. What layers write to the log is in [`log`].
//!
//! A layer that must know whether the service is well asks a [`Classify`] for the [`Outcome`] of each
//! exchange; when the service wants to be asked again is a [`RetryHint`].
//!
//! It has no runtime, and takes a lock or reads a clock only while a request is being refused, or was by
//! the service.
//!
//! | feature | whose errors are read for proof that nothing was sent |
//! | --- | --- |
//! | `hyper-util` | hyper-util's client and hyper |
//! | `h2` | h2 and hyper |
//! | `tonic` | tonic and its transport, and all of the others |
//!
//! # Refusing
//!
//! ```
//! use http::{Request, StatusCode};
//! use palisade_core::{Head, Protocol, Reason, Rejection};
//!
//! const CLOSED: Reason = Reason::new("closed-for-lunch");
//!
//! let request = Request::get("/menu").body(()).unwrap();
//! let response = Rejection::new(CLOSED, StatusCode::SERVICE_UNAVAILABLE)
//!     .with_detail("The kitchen opens again at two.")
//!     .for_request(Head::of(&request))
//!     .respond(Protocol::of(Head::of(&request)));
//!
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.headers()["content-type"], "application/problem+json");
//! // Whoever handles the response later can tell our refusal from an answer of the service.
//! assert_eq!(Rejection::of(&response).unwrap().reason(), CLOSED);
//! ```
//!
//! # Learning how an exchange ended
//!
//! ```
//! use bytes::Bytes;
//! use http::{Method, Response};
//! use http_body_util::{BodyExt, Full};
//! use palisade_core::{BodyRule, End, Guard, GuardedBody};
//! use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
//!
//! struct Complete(Arc<AtomicBool>);
//! impl Guard for Complete {
//!     fn ended(self, end: End<'_>) {
//!         self.0.store(matches!(end, End::Complete { .. }), Ordering::Relaxed);
//!     }
//! }
//!
//! # tokio_test::block_on(async {
//! let complete = Arc::new(AtomicBool::new(false));
//! let guard = Complete(Arc::clone(&complete));
//! let inner = Response::new(Full::new(Bytes::from_static(b"soup")));
//! let response = GuardedBody::guard(inner, BodyRule::of(&Method::GET), guard);
//!
//! assert!(!complete.load(Ordering::Relaxed));
//! let soup = response.into_body().collect().await.unwrap().to_bytes();
//! assert_eq!(soup, "soup");
//! assert!(complete.load(Ordering::Relaxed));
//! # });
//! ```
//!
//! # Judging an exchange
//!
//! ```
//! use http::{Request, Response};
//! use palisade_core::{AutoClassifier, Classify, ClassifyEnd, End, Head, Outcome, Verdict};
//! use std::{io, time::Duration};
//!
//! fn judge<C: Classify<io::Error>>(judge: &C, request: &Request<()>, answer: Response<()>) -> Outcome {
//!     let call = judge.request(Head::of(request));
//!     match judge.response(call, &answer.into_parts().0) {
//!         Verdict::Now(outcome) => outcome,
//!         // What a guard is told when the body ends.
//!         Verdict::AtEnd(eos) => eos.end(End::Failed),
//!     }
//! }
//!
//! let request = Request::get("/menu").body(()).unwrap();
//! let busy = Response::builder().status(429).header("retry-after", "7").body(()).unwrap();
//! let retry_after = Some(Duration::from_secs(7));
//! assert_eq!(judge(&AutoClassifier, &request, busy), Outcome::Throttled { retry_after });
//!
//! let call = Request::post("/menu.Menu/Today").header("content-type", "application/grpc");
//! let call = call.body(()).unwrap();
//! assert_eq!(judge(&AutoClassifier, &call, Response::new(())), Outcome::Failure);
//! ```

mod backoff;
mod body;
mod classify;
mod deadline;
mod details;
mod grpc;
mod grpc_timeout;
mod head;
mod hint;
mod id;
pub mod log;
mod outcome;
mod protocol;
mod reason;
mod rejection;
mod rejection_error;
mod render;
mod wire;

pub use backoff::{Backoff, Delays, Jitter, Rng};
pub use body::{BodyRule, End, Guard, GuardedBody};
pub use classify::{
    AutoClassifier, Classify, ClassifyEnd, GrpcClassifier, GrpcEnd, HttpClassifier, Verdict,
    WithSent,
};
pub use deadline::Deadline;
pub use grpc::GrpcCode;
pub use grpc_timeout::GrpcTimeout;
pub use head::Head;
pub use hint::RetryHint;
pub use id::Id;
pub use outcome::Outcome;
pub use protocol::Protocol;
pub use reason::{Reason, Sent};
pub use rejection::Rejection;
pub use rejection_error::{RejectionError, RejectionErrorFuture, RejectionErrorLayer};
pub use render::{Render, RenderFuture, RenderLayer, Unwatched};

/// An error of any type, as tower's own `BoxError`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
