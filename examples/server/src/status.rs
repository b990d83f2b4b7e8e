//! `GET /status`: how every layer stands, and what it has counted.
//!
//! It is answered outside of all layers. So it can be asked while they refuse everything else, which is when
//! one wants to know; and asking, each second from the page, moves none of the numbers that it tells. Nothing
//! bounds it there, and it tells what is inside; so it is, like the details of the probes, for callers on
//! this machine, and anybody else is answered 403, which costs less than a refusal by a layer.

use axum::{
    Json,
    extract::{Request, State},
    http::header::CACHE_CONTROL,
    response::IntoResponse,
};
use palisade::{
    Head,
    health::Health,
    limit_concurrency::InFlight,
    timeout::{Timeouts, request_body::Stalls},
};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    breakers,
    calls::Ends,
    health::Operator,
    limits::{self, Limits, seconds},
    retries,
    sampler::Sampler,
    upstream::{Behaviour, Mode},
};

mod probes;

/// What the operator holds of every layer, outermost first.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) health: Health,
    pub(crate) timeouts: Timeouts,
    pub(crate) in_flight: InFlight,
    pub(crate) limits: Limits,
    pub(crate) stalls: Stalls,
    pub(crate) upstream: Ends,
    pub(crate) behaviour: Behaviour,
    pub(crate) sampler: Sampler,
    pub(crate) began: Instant,
}

/// All of it. What is counted is since the start; times are in seconds.
#[derive(Debug, Serialize)]
struct Status {
    uptime: f64,
    health: probes::Standing,
    timeout: Timeout,
    limit_concurrency: LimitConcurrency,
    limit_rate: LimitRate,
    request_body_timeout: RequestBodyTimeout,
    upstream: Upstream,
    sampler: Task,
}

#[derive(Debug, Serialize)]
struct Timeout {
    limit: f64,
    timed_out: u64,
    expired: u64,
    cut: u64,
}

#[derive(Debug, Serialize)]
struct LimitConcurrency {
    max: usize,
    in_flight: usize,
    admitted: u64,
    rejected: u64,
}

#[derive(Debug, Serialize)]
struct LimitRate {
    /// Of each window, for all that have no other.
    quotas: Vec<Quota>,
    refused: u64,
    /// Buckets that are remembered, and for how many there is room.
    buckets: usize,
    capacity: usize,
    /// Those that had to go before they were full again.
    evicted_live: u64,
    memory_bytes: usize,
    /// As at `/limits`.
    you: limits::Standing,
}

#[derive(Debug, Serialize)]
struct Quota {
    name: String,
    policy: String,
}

#[derive(Debug, Serialize)]
struct RequestBodyTimeout {
    limit: f64,
    stalled: u64,
}

/// The upstream, and the layers around the calls to it.
#[derive(Debug, Serialize)]
struct Upstream {
    mode: Mode,
    timeout: Timeout,
    retry: retries::Standing,
    breaker: breakers::Standing,
    limit_concurrency: LimitConcurrency,
    attempt_timeout: Timeout,
}

#[derive(Debug, Serialize)]
struct Task {
    state: &'static str,
    samples: u64,
    most_in_flight: u64,
}

impl Handles {
    fn status(&self, head: Head<'_>) -> Status {
        let ends = &self.upstream;
        let now = Instant::now();
        Status {
            uptime: seconds(now - self.began),
            health: probes::Standing::of(&self.health, now.into_std()),
            timeout: Timeout::of(&self.timeouts),
            limit_concurrency: LimitConcurrency::of(&self.in_flight),
            limit_rate: LimitRate::of(&self.limits, head),
            request_body_timeout: RequestBodyTimeout {
                limit: seconds(self.stalls.limit()),
                stalled: self.stalls.stalled(),
            },
            upstream: Upstream {
                mode: self.behaviour.mode(),
                timeout: Timeout::of(&ends.total),
                retry: retries::Standing::of(&ends.retries),
                breaker: breakers::Standing::of(&ends.switch),
                limit_concurrency: LimitConcurrency::of(&ends.in_flight),
                attempt_timeout: Timeout::of(&ends.attempt),
            },
            sampler: Task {
                state: self.sampler.state(),
                samples: self.sampler.samples(),
                most_in_flight: self.sampler.most(),
            },
        }
    }
}

impl Timeout {
    fn of(timeouts: &Timeouts) -> Self {
        Self {
            limit: seconds(timeouts.limit()),
            timed_out: timeouts.timed_out(),
            expired: timeouts.expired(),
            cut: timeouts.cut(),
        }
    }
}

impl LimitConcurrency {
    fn of(limit: &InFlight) -> Self {
        Self {
            max: limit.max(),
            in_flight: limit.in_flight(),
            admitted: limit.admitted(),
            rejected: limit.rejected(),
        }
    }
}

impl LimitRate {
    fn of(limits: &Limits, head: Head<'_>) -> Self {
        let buckets = &limits.buckets;
        let quotas = buckets.windows().map(|window| Quota {
            name: window.name().to_owned(),
            policy: window.quota().to_string(),
        });
        Self {
            quotas: quotas.collect(),
            refused: buckets.refused(),
            buckets: buckets.len(),
            capacity: buckets.store().capacity(),
            evicted_live: buckets.store().evicted_live(),
            memory_bytes: buckets.store().memory(),
            you: limits.standing(head),
        }
    }
}

/// `GET /status`.
pub(crate) async fn status(
    _: Operator,
    State(handles): State<Handles>,
    request: Request,
) -> impl IntoResponse {
    // Of this moment.
    ([(CACHE_CONTROL, "no-store")], Json(handles.status(Head::of(&request))))
}
