//! A keyed token bucket.

mod bucket;
mod collector;
mod decision;
#[cfg(all(test, not(palisade_loom)))]
mod model;
mod overrides;
mod quota;
mod store;
mod sync;
mod table;

pub use bucket::Bucket;
pub use collector::{Collector, Sweep};
pub use decision::Decision;
pub use quota::{InvalidQuota, Quota};
pub use store::{Store, TooManyOverrides, Window};
pub use table::TableStore;
