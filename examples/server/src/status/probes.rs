//! The part of `/status` that is about health.

use std::time::Instant;

use palisade::health::{Health, Item, Phase, Probe, Report};
use serde::Serialize;

use crate::limits::seconds;

#[derive(Debug, Serialize)]
pub(super) struct Standing {
    /// How far a shutdown has come: `serving`, `draining`, `refusing` or `drained`.
    phase: &'static str,
    in_flight: u64,
    /// How often a check has changed its status.
    transitions: u64,
    liveness: Answer,
    readiness: Answer,
    startup: Answer,
}

/// What a probe is answered, and of what.
#[derive(Debug, Serialize)]
struct Answer {
    status: &'static str,
    checks: Vec<Checked>,
}

#[derive(Debug, Serialize)]
struct Checked {
    name: String,
    status: &'static str,
    /// Whether the probe fails with it.
    critical: bool,
    /// For how long it has had this status.
    since: f64,
    detail: Option<String>,
}

impl Standing {
    pub(super) fn of(health: &Health, now: Instant) -> Self {
        let report = health.report();
        let answer = |probe| Answer::of(&report, probe, now);
        Self {
            phase: match health.phase() {
                Phase::Serving => "serving",
                Phase::Draining => "draining",
                Phase::Refusing => "refusing",
                Phase::Drained => "drained",
            },
            in_flight: health.in_flight(),
            transitions: report.transitions(),
            liveness: answer(Probe::Liveness),
            readiness: answer(Probe::Readiness),
            startup: answer(Probe::Startup),
        }
    }
}

impl Answer {
    fn of(report: &Report, probe: Probe, now: Instant) -> Self {
        let checked = |item: &Item| Checked {
            name: item.name().to_owned(),
            status: item.status().as_str(),
            critical: item.is_critical(),
            since: seconds(item.age(now)),
            detail: item.detail().map(str::to_owned),
        };
        Self {
            status: report.status(probe).as_str(),
            checks: report.of(probe).map(checked).collect(),
        }
    }
}
