//! Says of each request whether its client has **asked too often**: a token bucket for each of
//! millions of clients, in fixed memory.
//!
//! A client has a bucket of tokens, a request takes some, and new ones flow in at the rate of its
//! [`Quota`]. While too few are there, it is told when to come back. [`TableStore`] keeps the buckets
//! of all clients, found by any key that can be hashed: 16 bytes each, without locks, without
//! allocations, and without a moment in which anybody waits for old ones to be thrown away.
//!
//! # When to use it
//!
//! On a server, so that no client takes what is there for all: by address, API key or account. For a
//! bound on what is in flight at once, whoever asks, there is `palisade-limit-concurrency`.
//!
//! # How it differs
//!
//! `tower::limit::RateLimit` makes everybody wait for one common quota, and counts anew for each
//! clone, so that under axum it limits nothing. Keyed limiters elsewhere keep a map that grows until
//! somebody sweeps it, or that forgets the oldest and so gives a blocked client a full bucket when
//! others flood it. Here memory is fixed, buckets go when they are full, and under pressure the
//! least indebted goes first.
//!
//! # What it costs
//!
//! A client that is known: one hash of its key, one cache line, one compare-and-swap; one that is
//! refused: the same without the compare-and-swap. A new one: a look at two lines, two
//! compare-and-swaps, three counters, and the sweep of a third line. With any key [on a quota of its own](Store::set), those few
//! keys that look like it take a lock.
//!
//! # Good to know
//!
//! * The verbs are told the time. Tests pause it; so read it as
//!   `tokio::time::Instant::now().into_std()`. A clock that steps back only delays.
//! * A client may use its burst at once, and then its rate: `burst + rate · t` in any span of `t`.
//!   Where the burst is the limit that is up to twice the limit in an interval.
//! * A request that costs more than the burst is refused for ever: [`Decision::is_never`].
//! * Refused requests cost nothing.
//!
//! # Example
//!
//! ```
//! use palisade_limit_rate::{Quota, Store, TableStore};
//! use std::{num::NonZeroU32, time::Duration};
//!
//! const ONE: NonZeroU32 = NonZeroU32::MIN;
//! const PER_CLIENT: Quota = Quota::per_minute(NonZeroU32::new(60).unwrap()).with_burst(ONE);
//!
//! let store = TableStore::new();
//! let now = tokio::time::Instant::now().into_std();
//! assert!(store.take("192.0.2.1", PER_CLIENT.into(), ONE, now).allowed());
//!
//! let again = store.take("192.0.2.1", PER_CLIENT.into(), ONE, now);
//! assert!(!again.allowed());
//! assert_eq!(again.retry_after(), Some(Duration::from_secs(1)));
//! assert!(store.take("192.0.2.2", PER_CLIENT.into(), ONE, now).allowed());
//! ```
//!
//! # Customised
//!
//! A million clients with two windows each, one of them on a quota of its own, collected behind the
//! scenes, and told how they stand:
//!
//! ```
//! use palisade_limit_rate::{Quota, RateLimitHeaders, Store, TableStore, Window};
//! use std::{num::NonZeroU32, sync::Arc, time::Duration};
//!
//! let (burst, daily): (Quota, Quota) = ("20/s".parse()?, "5000/d burst 500".parse()?);
//! let store = Arc::new(
//!     TableStore::new().with_capacity(2_000_000).with_sweep_interval(Duration::from_secs(30)),
//! );
//! store.start(); // does nothing here, where there is no runtime
//! let now = tokio::time::Instant::now().into_std();
//!
//! store.set("alice", Window::new(1, "50000/d".parse()?), None, now)?;
//! let export = NonZeroU32::new(100).unwrap();
//! let decision = store.take("alice", Window::new(1, daily), export, now);
//! assert_eq!((decision.limit(), decision.remaining()), (50_000, 49_900));
//! assert!(store.take("alice", Window::new(0, burst), export, now).is_never());
//!
//! let told = RateLimitHeaders::limit([("daily", decision)]);
//! assert_eq!(told, r#""daily";r=49900;t=2"#);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod bucket;
mod collector;
mod decision;
pub mod future;
mod handle;
mod headers;
mod layer;
#[cfg(all(test, not(palisade_loom)))]
mod model;
mod overrides;
mod quota;
mod quota_cell;
mod service;
mod store;
mod sync;
mod table;

pub use bucket::Bucket;
pub use collector::{Collector, Sweep};
pub use decision::Decision;
pub use handle::Buckets;
pub use headers::{RATELIMIT, RATELIMIT_POLICY, RateLimitHeaders};
pub use layer::LimitRateLayer;
pub use quota::{InvalidQuota, Quota};
pub use service::{COST_OVER_BURST, LimitRate, QUOTA_EXCEEDED, ResponseBody};
pub use store::{Store, TooManyOverrides, Window};
pub use table::TableStore;
