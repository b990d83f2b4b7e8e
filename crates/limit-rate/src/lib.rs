//! Answers **429 Too Many Requests** to clients that ask too often: a token bucket for each of millions of
//! clients, in fixed memory.
//!
//! A client has a bucket of tokens, a request takes some, and new ones flow in at the rate of its
//! [`Quota`]. While too few are there, it is refused at once, and told when to come back: in
//! `Retry-After` and `RateLimit`, over gRPC by `RESOURCE_EXHAUSTED` with the time to wait. An
//! [extractor](palisade_key) says who a client is: by its address, also behind proxies, by a header, or by any
//! closure. The inner service's error type stays what it is.
//!
//! Several windows may count at once, [so many a second and so many a day](LimitRateLayer::with_quota); each
//! client may have the quota of [its plan](LimitRateLayer::with_quota_for), or [one of its own](Buckets::set);
//! and what is charged may [depend on the answer](LimitRateLayer::charge_when), so that only failed attempts to
//! log in count.
//!
//! # When to use it
//!
//! On a server, so that no client takes what is there for all: by address before authentication, by user
//! or API key after it. On a client, to keep to what an upstream allows. To bound what is in flight at once,
//! whoever asks, use `palisade-limit-concurrency`.
//!
//! # How it differs
//!
//! `tower::limit::RateLimit` makes everybody wait for one common quota, and cannot be cloned, so that axum
//! cannot take it. Keyed limiters elsewhere keep a map that grows until
//! somebody sweeps it, or that forgets the oldest and so gives a blocked client a full bucket when
//! others flood it. Here memory is fixed, buckets go when they are full, and under pressure the
//! least indebted goes first.
//!
//! # What it costs
//!
//! A request that is let in: one clock read, one hash of its key, one cache line, one compare-and-swap. A
//! refusal: the same without the compare-and-swap, a count, and the response. A client that is new: a
//! look at two lines, two compare-and-swaps and three counters. No allocation, no lock, but: while
//! clients have [quotas of their own](Buckets::set), those few that look like one of them take a lock,
//! [headers](LimitRateLayer::with_headers) on what is let in take one and allocate, over an
//! [`ExactStore`] every request takes one of many, and a client that is new is copied; and what is
//! [charged by the answer](LimitRateLayer::charge_when) allocates. Of several windows each costs what one
//! does, and all but the first a look before; more than four allocate. `cargo bench --bench keys` and
//! `--bench overhead` measure it; `benches/README.md` has the figures, beside the peers'.
//!
//! # Where it stands
//!
//! On a server inside health, timeout and `palisade-limit-concurrency`: a request that is turned away there
//! has used up none of its client's tokens. Where it [charges by the answer](LimitRateLayer::charge_when), outside
//! the timeout, whose answers it would otherwise not see.
//!
//! # Good to know
//!
//! * A client may use its burst at once, and then its rate: `burst + rate · t` in any span of `t`.
//!   Where the burst is the limit that is up to twice the limit in an interval.
//! * Refused requests cost their client nothing. Allowed ones are not refunded, whatever becomes of them.
//! * [Which clients are refused most](Buckets::offenders) is counted without their names, in bounded memory.
//! * A request that costs more than the burst can never be let in, and is answered 400 without a word on
//!   when to come back.
//! * Requests without a key share one bucket unless [told otherwise](LimitRateLayer::with_missing).
//! * axum applies a layer to each route, and again for each connection; all of them share one state.
//! * The [collector](TableStore::with_ttl) is a task that is spawned with the first request inside a
//!   runtime and ends with the last layer. Where there is none, inserts collect. The runtime needs its
//!   timer (`enable_time`).
//! * A clock that steps back only delays.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{HeaderName, Request, Response};
//! use http_body_util::Full;
//! use palisade_key::HeaderKey;
//! use palisade_limit_rate::{LimitRateLayer, Quota};
//! use std::{convert::Infallible, num::NonZeroU32};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # tokio_test::block_on(async {
//! const PER_CLIENT: Quota = Quota::per_minute(NonZeroU32::new(60).unwrap())
//!     .with_burst(NonZeroU32::MIN);
//!
//! let hello = service_fn(async |_: Request<()>| {
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
//! });
//! let key = HeaderKey::new(HeaderName::from_static("x-api-key"));
//! let mut service = LimitRateLayer::new(PER_CLIENT, key).layer(hello);
//!
//! let from = |client: &str| Request::get("/").header("x-api-key", client).body(()).unwrap();
//! assert_eq!(service.ready().await?.call(from("blue")).await?.status(), 200);
//! assert_eq!(service.ready().await?.call(from("red")).await?.status(), 200);
//! let refused = service.ready().await?.call(from("blue")).await?;
//! assert_eq!(refused.status(), 429);
//! assert_eq!(refused.headers()["retry-after"], "1");
//! assert_eq!(refused.headers()["ratelimit"], r#""default";r=0;t=1"#);
//! # Ok::<_, Infallible>(()) }).unwrap();
//! ```
//!
//! # Customised
//!
//! Room for a million clients, exports that count as ten, everybody told how they stand, and one client
//! on a quota of its own, all of it without refusing anybody yet:
//!
//! ```
//! use http::HeaderName;
//! use palisade_key::{HeaderKey, Missing};
//! use palisade_limit_rate::{LimitRateLayer, RateLimitHeaders, TableStore};
//! use std::{num::NonZeroU32, time::Duration};
//!
//! const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
//! let key = HeaderKey::new(HeaderName::from_static("x-api-key"));
//! let layer = LimitRateLayer::new("5000/h burst 200".parse()?, key)
//!     .with_cost(|head| if head.uri().path() == "/export" { TEN } else { NonZeroU32::MIN })
//!     .with_missing(Missing::Reject)
//!     .with_headers(RateLimitHeaders::Draft)
//!     .with_store(TableStore::new().with_capacity(1_000_000).with_ttl(Duration::from_secs(60)))
//!     .with_shadow();
//!
//! let buckets = layer.handle();
//! buckets.set(b"blue", "50000/h".parse()?, None)?;
//! assert_eq!(buckets.get(b"blue").remaining(), 50_000);
//! assert_eq!(buckets.take(b"red", TEN).remaining(), 190);
//! assert_eq!((buckets.shadowed(), buckets.refused(), buckets.len()), (0, 0, 1));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Plans, and more than one window
//!
//! ```
//! use http::{HeaderName, StatusCode};
//! use palisade_key::{Head, HeaderKey};
//! use palisade_limit_rate::{LimitRateLayer, Quota};
//! use std::num::NonZeroU32;
//!
//! /// What whoever knows the client has put into its request's extensions.
//! #[derive(Clone, Copy)]
//! enum Plan { Free, Paid, Internal }
//!
//! const FREE: Quota = Quota::per_second(NonZeroU32::new(5).unwrap());
//! const PAID: Quota = Quota::per_second(NonZeroU32::new(100).unwrap());
//! const HOURLY: Quota = Quota::per_hour(NonZeroU32::new(1000).unwrap());
//!
//! let user = HeaderKey::new(HeaderName::from_static("x-user"));
//! let api = LimitRateLayer::new(FREE, user)
//!     .with_name("burst")
//!     .with_quota("hourly", HOURLY)
//!     .with_quota_for(|head: Head<'_>| match head.extensions().get().unwrap_or(&Plan::Free) {
//!         Plan::Free => Some(FREE),
//!         Plan::Paid => Some(PAID),
//!         // By all windows.
//!         Plan::Internal => None,
//!     });
//! let hourly = api.handle().window("hourly").unwrap();
//! hourly.set(b"blue", "20000/h".parse()?, None)?;
//! assert_eq!(hourly.get(b"blue").remaining(), 20_000);
//!
//! let logins = LimitRateLayer::new("5/h".parse()?, HeaderKey::new(HeaderName::from_static("x-user")))
//!     .charge_when(|answer| answer.status == StatusCode::UNAUTHORIZED);
//! # let _ = logins;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # Without tower
//!
//! [`TableStore`] is usable by itself, with keys of any kind and several windows for each, and so are
//! [`ExactStore`], which also knows its keys, and a single [`Bucket`]. They are told the time; so that tests can pause it, read it as
//! `tokio::time::Instant::now().into_std()`.
//!
//! ```
//! use palisade_limit_rate::{Quota, Store, TableStore, Window};
//! use std::num::NonZeroU32;
//!
//! let (burst, daily): (Quota, Quota) = ("20/s".parse()?, "5000/d burst 500".parse()?);
//! let store = TableStore::new();
//! let now = tokio::time::Instant::now().into_std();
//!
//! let export = NonZeroU32::new(100).unwrap();
//! assert_eq!(store.take("blue", Window::new(1, daily), export, now).remaining(), 400);
//! assert!(store.take("blue", Window::new(0, burst), export, now).is_never());
//!
//! // From both, or from none.
//! let windows = [Window::new(0, burst), Window::new(1, daily)];
//! assert!(!store.take_all("blue", &windows, export, now).allowed());
//! assert_eq!(store.get("blue", windows[1], now).remaining(), 400);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod asked;
mod bucket;
mod collector;
mod decision;
mod decisions;
mod exact;
pub mod future;
mod handle;
mod headers;
mod layer;
#[cfg(all(test, not(palisade_loom)))]
mod model;
mod offenders;
mod overrides;
mod quota;
mod quota_cell;
mod service;
mod several;
mod state;
mod store;
mod sync;
mod table;
mod told;

pub use bucket::Bucket;
pub use collector::{Collector, Sweep};
pub use decision::Decision;
pub use decisions::Decisions;
pub use exact::{ExactStore, Iter};
pub use handle::Buckets;
pub use headers::{RATELIMIT, RATELIMIT_POLICY, RateLimitHeaders};
pub use layer::LimitRateLayer;
pub use offenders::Offender;
pub use quota::{InvalidQuota, Quota};
pub use service::{COST_OVER_BURST, LimitRate, QUOTA_EXCEEDED, ResponseBody};
pub use store::{Store, TooManyOverrides, Window};
pub use table::TableStore;
