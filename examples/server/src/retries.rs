//! `GET /retries`: the operator's end of the retry.

use axum::{Json, extract::State, http::header::CACHE_CONTROL, response::IntoResponse};
use palisade::retry::{self, Budget};
use serde::Serialize;

/// Each retry by what it calls, of which this server has one.
#[derive(Debug, Serialize)]
struct Retries {
    upstream: Standing,
}

/// How a retry stands. Numbers are since it was made, but for those that say otherwise.
#[derive(Debug, Serialize)]
pub(crate) struct Standing {
    retried: u64,
    recovered: u64,
    /// Why there was no other attempt, as the next six.
    not_eligible: u64,
    begun: u64,
    exhausted: u64,
    refused: u64,
    too_late: u64,
    not_ready: u64,
    no_body: u64,
    /// In bytes, now.
    buffered: usize,
    budget: Left,
}

/// What is left of a budget.
#[derive(Debug, Serialize)]
struct Left {
    /// In retries, as of the last one that was asked for; nothing if they are unlimited.
    balance: Option<f64>,
    taken: u64,
    refused: u64,
    /// Now.
    in_use: u32,
}

impl Standing {
    pub(crate) fn of(retries: &retry::Retries) -> Self {
        Self {
            retried: retries.retried(),
            recovered: retries.recovered(),
            not_eligible: retries.not_eligible(),
            begun: retries.begun(),
            exhausted: retries.exhausted(),
            refused: retries.refused(),
            too_late: retries.too_late(),
            not_ready: retries.not_ready(),
            no_body: retries.no_body(),
            buffered: retries.buffered(),
            budget: Left::of(retries.budget()),
        }
    }
}

impl Left {
    fn of(budget: &Budget) -> Self {
        // To the thousandth: more is for nobody to read.
        let balance = (budget.balance() * 1000.0).round() / 1000.0;
        Self {
            balance: Some(balance).filter(|balance| balance.is_finite()),
            taken: budget.taken(),
            refused: budget.refused(),
            in_use: budget.in_use(),
        }
    }
}

/// `GET /retries`: how each stands.
pub(crate) async fn retries(State(retries): State<retry::Retries>) -> impl IntoResponse {
    // Of this moment.
    ([(CACHE_CONTROL, "no-store")], Json(Retries { upstream: Standing::of(&retries) }))
}
