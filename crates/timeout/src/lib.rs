//! timeout
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
