//! A keyed token bucket.

mod bucket;
mod decision;
#[cfg(all(test, not(palisade_loom)))]
mod model;
mod quota;

pub use bucket::Bucket;
pub use decision::Decision;
pub use quota::{InvalidQuota, Quota};
