//! `POST /demo/hang` and `POST /demo/resume`: stop the heart of the background task, and let it beat again.

use axum::{Json, extract::State};
use palisade::health::{Health, Probe};
use serde::Serialize;

use crate::{sampler::Sampler, settings::Period};

/// What a visitor may do to the server's health.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    pub(crate) sampler: Sampler,
    pub(crate) health: Health,
    /// How long the task may be silent.
    pub(crate) heartbeat: Period,
}

/// How the task is, and what to do about it.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    sampler: &'static str,
    samples: u64,
    most_in_flight: u64,
    readiness: &'static str,
    next: String,
}

impl Demo {
    fn standing(&self) -> Standing {
        let Self { sampler, health, heartbeat } = self;
        let next = if sampler.is_hung() {
            format!(
                "/readyz fails when the last beat is {heartbeat} ago; POST /demo/resume takes it back."
            )
        } else {
            "/readyz passes within a second or two.".into()
        };
        Standing {
            sampler: sampler.state(),
            samples: sampler.samples(),
            most_in_flight: sampler.most(),
            readiness: health.status(Probe::Readiness).as_str(),
            next,
        }
    }
}

/// `POST /demo/hang`: the task does nothing any more. A second time changes nothing.
pub(crate) async fn hang(State(demo): State<Demo>) -> Json<Standing> {
    demo.sampler.set_hung(true);
    Json(demo.standing())
}

/// `POST /demo/resume`: it goes on.
pub(crate) async fn resume(State(demo): State<Demo>) -> Json<Standing> {
    demo.sampler.set_hung(false);
    Json(demo.standing())
}
