//! `GET /limits`: what the rate limit knows of whoever asks.

use std::time::Duration;

use axum::{
    Json,
    extract::{Request, State},
    http::header::CACHE_CONTROL,
    response::IntoResponse,
};
use palisade::{Head, key::ExtractKey, limit_rate::Buckets};
use serde::Serialize;

use crate::client::Client;

/// The rate limit, and how it tells clients apart.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) client: Client,
    pub(crate) buckets: Buckets<[u8]>,
}

/// How a client stands.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    /// Nothing for one without a key, who shares a bucket with all others of them.
    key: Option<String>,
    policy: String,
    limit: u32,
    remaining: u32,
    /// In seconds; nothing if the next request is let in.
    retry_after: Option<f64>,
    /// In seconds.
    reset_after: f64,
}

/// `GET /limits`: how the caller stands, for which it is charged nothing.
pub(crate) async fn limits(State(limits): State<Limits>, request: Request) -> impl IntoResponse {
    let Limits { client, buckets } = limits;
    let head = Head::of(&request);
    let decision = client.with(head, |key| match key {
        Some(key) => buckets.get(key),
        None => buckets.get_shared(),
    });
    let standing = Standing {
        key: client.shown(head),
        policy: decision.policy().to_string(),
        limit: decision.limit(),
        remaining: decision.remaining(),
        retry_after: decision.retry_after().map(seconds),
        reset_after: seconds(decision.reset_after()),
    };
    // Of this caller, and of this moment.
    ([(CACHE_CONTROL, "no-store")], Json(standing))
}

/// Rounded up to the millisecond, so that who waits as long does not come too early.
fn seconds(time: Duration) -> f64 {
    let milliseconds = time.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)).as_secs_f64()
}
