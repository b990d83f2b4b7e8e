//! Tries again what failed, where that is safe, and never so often that it makes things worse.

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
