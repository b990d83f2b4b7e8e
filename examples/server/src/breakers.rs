//! `GET /breakers` and `POST /breakers/upstream`: the operator's end of the breaker.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
};
use palisade::breaker::{self, Mode, Switch};
use serde::Serialize;
use serde_json::Value;

use crate::{
    fields::{Fields, invalid},
    limits::seconds,
    problem::Problem,
};

/// Each breaker by its name, of which this server has one.
#[derive(Debug, Serialize)]
struct Breakers {
    upstream: Standing,
}

/// How a breaker stands. Numbers are since it was made, but for those that say otherwise.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    state: &'static str,
    force: &'static str,
    /// In seconds, until it is probed; nothing if it is not open, or if that takes an operator.
    retry_after: Option<f64>,
    /// In its window, as the next two.
    calls: u64,
    failures: u64,
    failure_rate: f64,
    /// Since the last success.
    consecutive_failures: u32,
    probes_in_flight: u32,
    total_calls: u64,
    total_failures: u64,
    ignored: u64,
    late: u64,
    refused: u64,
    observed: u64,
    opened: u64,
}

impl Standing {
    pub(crate) fn of(switch: &Switch) -> Self {
        let stats = switch.stats();
        Self {
            state: match stats.state {
                breaker::State::Closed => "closed",
                breaker::State::Open => "open",
                breaker::State::HalfOpen => "half-open",
            },
            force: word(stats.mode),
            retry_after: stats.retry_after.map(seconds),
            calls: stats.calls,
            failures: stats.failures,
            failure_rate: stats.failure_rate(),
            consecutive_failures: stats.consecutive,
            probes_in_flight: stats.probes_in_flight,
            total_calls: stats.total_calls,
            total_failures: stats.total_failures,
            ignored: stats.ignored,
            late: stats.late,
            refused: stats.refused,
            observed: stats.observed,
            opened: stats.opened,
        }
    }
}

const FORCE: &str = "force";

/// No mode: it begins anew, and is left to itself.
const RESET: &str = "reset";

const ACCEPTED: &str = "open, closed, auto, observe or reset";

/// `GET /breakers`: how each stands.
pub(crate) async fn breakers(State(switch): State<Switch>) -> impl IntoResponse {
    // Of this moment.
    ([(CACHE_CONTROL, "no-store")], Json(Breakers { upstream: Standing::of(&switch) }))
}

/// `POST /breakers/upstream`: lays a mode over the breaker, or lets it begin anew, and tells how it stands then.
pub(crate) async fn force(
    State(switch): State<Switch>,
    fields: Fields,
) -> Result<impl IntoResponse, Problem> {
    let [force] = fields.known([FORCE])?;
    let Some(force) = force else {
        let detail = format!("{FORCE} is missing; it must be {ACCEPTED}.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    };
    if force == RESET {
        switch.reset();
    } else {
        let mode = mode(&force).ok_or_else(|| invalid(FORCE, &force, ACCEPTED.to_owned()))?;
        switch.set_mode(mode);
    }
    Ok(([(CACHE_CONTROL, "no-store")], Json(Standing::of(&switch))))
}

fn mode(force: &Value) -> Option<Mode> {
    let modes = [Mode::ForcedOpen, Mode::ForcedClosed, Mode::Automatic, Mode::ObserveOnly];
    modes.into_iter().find(|mode| force == word(*mode))
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::ForcedOpen => "open",
        Mode::ForcedClosed => "closed",
        Mode::Automatic => "auto",
        Mode::ObserveOnly => "observe",
    }
}
