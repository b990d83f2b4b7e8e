//! Time limits for clients that are slow to send their requests.

mod body;
mod future;
mod layer;
mod link;
mod service;

pub use body::RequestBody;
pub use future::{RequestBodyFuture, ResponseBody};
pub use layer::{RequestBodyTimeoutLayer, Stalls};
pub use service::RequestBodyTimeout;
