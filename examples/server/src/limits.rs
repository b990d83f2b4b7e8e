//! `GET /limits`: what the rate limit knows of whoever asks.

use std::{iter, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::header::CACHE_CONTROL,
    response::IntoResponse,
};
use palisade::{
    Head,
    key::ExtractKey,
    limit_rate::{Buckets, Decision, Decisions, Offender},
};
use serde::Serialize;

use crate::client::Client;

/// The rate limit, and how it tells clients apart.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) client: Client,
    pub(crate) buckets: Buckets<[u8]>,
}

/// How a client stands, and who asks too often.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    /// Nothing for one without a key, who shares a bucket with all others of them.
    key: Option<String>,
    /// In the window that matters most to it.
    #[serde(flatten)]
    binding: Option<InWindow>,
    windows: Vec<InWindow>,
    /// Of all clients, the most refused first.
    offenders: Vec<Counted>,
}

/// How a client stands in one window.
#[derive(Clone, Debug, Serialize)]
struct InWindow {
    name: String,
    policy: String,
    limit: u32,
    remaining: u32,
    /// In seconds; nothing if the next request is let in.
    retry_after: Option<f64>,
    /// In seconds.
    reset_after: f64,
}

impl InWindow {
    fn of(name: &str, decision: &Decision) -> Self {
        Self {
            name: name.to_owned(),
            policy: decision.policy().to_string(),
            limit: decision.limit(),
            remaining: decision.remaining(),
            retry_after: decision.retry_after().map(seconds),
            reset_after: seconds(decision.reset_after()),
        }
    }
}

/// A client that was refused often of late, which is told by a number and not by its key.
#[derive(Debug, Serialize)]
struct Counted {
    /// In hexadecimal, since many readers of JSON round numbers as large.
    id: String,
    /// At most, and at least.
    refused: u64,
    at_least: u64,
    /// Whether it is the caller.
    you: bool,
}

impl Limits {
    /// How whoever sent this stands.
    pub(crate) fn standing(&self, head: Head<'_>) -> Standing {
        let Self { client, buckets } = self;
        client.with(head, |key| {
            let stands = |window: Buckets<[u8]>| match key {
                Some(key) => window.get(key),
                None => window.get_shared(),
            };
            let decisions: Decisions = buckets.windows().map(stands).collect();
            let windows: Vec<_> = iter::zip(buckets.windows(), decisions.iter())
                .map(|(window, decision)| InWindow::of(window.name(), decision))
                .collect();
            let you = key.and_then(|key| buckets.offender(key)).map(|you| you.id());
            let shown = |one: Offender| Counted {
                id: format!("{:016x}", one.id()),
                refused: one.refused(),
                at_least: one.at_least(),
                you: you == Some(one.id()),
            };
            Standing {
                key: client.shown(head),
                binding: decisions.binding().and_then(|(at, _)| windows.get(at).cloned()),
                windows,
                offenders: buckets.offenders().into_iter().map(shown).collect(),
            }
        })
    }
}

/// `GET /limits`: how the caller stands, for which it is charged nothing.
///
/// Who is refused most is shown to everybody here, so that there is something to see. Elsewhere that is
/// the operator's business.
pub(crate) async fn limits(State(limits): State<Limits>, request: Request) -> impl IntoResponse {
    // Of this caller, and of this moment.
    ([(CACHE_CONTROL, "no-store")], Json(limits.standing(Head::of(&request))))
}

/// Rounded up to the millisecond, so that who waits as long does not come too early.
#[allow(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
pub(crate) fn seconds(time: Duration) -> f64 {
    let milliseconds = time.as_nanos().div_ceil(1_000_000);
    // Divided as a whole: 5.706, where the seconds and the rest of them add up to 5.7059999999999995.
    milliseconds as f64 / 1000.0
}
