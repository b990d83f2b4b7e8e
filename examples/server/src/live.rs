//! `PUT /demo/limits`: changes limits while the server serves.

use axum::{
    Json,
    extract::State,
    http::{Request, request::Parts},
};
use palisade::{Head, key::ExtractKey, limit_concurrency::InFlight, limit_rate::Quota};
use serde::Serialize;
use serde_json::Value;

use crate::{
    fields::{Fields, invalid},
    health::Operator,
    limits::Limits,
    problem::InvalidField,
};

/// The limits that a visitor may change, and what they were at the start.
#[derive(Clone)]
pub(crate) struct Live {
    in_flight: InFlight,
    limits: Limits,
    upstream: InFlight,
    start: Asked,
}

/// What the limits are to be.
#[derive(Clone, Copy, Debug)]
struct Asked {
    max_in_flight: usize,
    rate: Quota,
    upstream_max_in_flight: usize,
}

/// The same, as it is told.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    max_in_flight: usize,
    rate: String,
    upstream_max_in_flight: usize,
}

const MAX_IN_FLIGHT: &str = "max_in_flight";

const RATE: &str = "rate";

const UPSTREAM_MAX_IN_FLIGHT: &str = "upstream_max_in_flight";

impl Live {
    /// As they are now they were at the start.
    pub(crate) fn new(in_flight: InFlight, limits: Limits, upstream: InFlight) -> Self {
        let start = Asked {
            max_in_flight: in_flight.max(),
            rate: limits.buckets.quota(),
            upstream_max_in_flight: upstream.max(),
        };
        Self { in_flight, limits, upstream, start }
    }

    /// What is not said is as at the start.
    fn asked(&self, fields: Fields) -> Result<Asked, InvalidField> {
        let Asked { max_in_flight, rate, upstream_max_in_flight } = self.start;
        let [max, quota, upstream] = fields.known([MAX_IN_FLIGHT, RATE, UPSTREAM_MAX_IN_FLIGHT])?;
        Ok(Asked {
            max_in_flight: count(MAX_IN_FLIGHT, max, max_in_flight)?,
            rate: quota_of(quota, rate)?,
            upstream_max_in_flight: count(
                UPSTREAM_MAX_IN_FLIGHT,
                upstream,
                upstream_max_in_flight,
            )?,
        })
    }
}

/// As the flag accepts it.
fn count(name: &str, value: Option<Value>, start: usize) -> Result<usize, InvalidField> {
    let Some(value) = value else { return Ok(start) };
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| invalid(name, &value, format!("a whole number from 0 to {}", u32::MAX)))
}

/// As the flag accepts it.
fn quota_of(value: Option<Value>, start: Quota) -> Result<Quota, InvalidField> {
    let Some(value) = value else { return Ok(start) };
    let quota = value.as_str().and_then(|text| text.parse().ok());
    quota.ok_or_else(|| invalid(RATE, &value, "a quota, such as 20/s or 5/min burst 2".to_owned()))
}

impl Limits {
    /// With this quota. The caller has a full bucket: what it took for an hour's it would owe for an hour.
    fn begin_anew(&self, quota: Quota, head: Head<'_>) {
        self.buckets.set_quota(quota);
        self.client.with(head, |key| {
            if let Some(key) = key {
                self.buckets.windows().for_each(|window| window.reset(key));
            }
        });
    }
}

/// `PUT /demo/limits`: from the next request on they are these. Nobody in flight is cut off by it.
pub(crate) async fn set_limits(
    _: Operator,
    State(live): State<Live>,
    caller: Parts,
    fields: Fields,
) -> Result<Json<Told>, InvalidField> {
    let Asked { max_in_flight, rate, upstream_max_in_flight } = live.asked(fields)?;
    live.in_flight.set_max(max_in_flight);
    live.limits.begin_anew(rate, Head::of(&Request::from_parts(caller, ())));
    live.upstream.set_max(upstream_max_in_flight);
    Ok(Json(Told { max_in_flight, rate: rate.to_string(), upstream_max_in_flight }))
}
