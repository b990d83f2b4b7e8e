//! What the server calls: a service on a port of its own that misbehaves when it is told to.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::sleep};

use crate::{
    fields::{Fields, invalid},
    problem::{InvalidField, Problem, number},
    query::Number,
};

/// How long it takes to answer. At most a minute, after which any caller has given up.
pub(crate) const LATENCY_MS: Number =
    Number { name: "latency_ms", default: 0, least: 0, most: 60_000 };

/// Where it says whether it is well, which changes nothing of whose turn it is to fail.
pub(crate) const READY: &str = "/readyz";

const FAIL: &str = "fail";

const STATUS: &str = "status";

/// What a failure may be. All but 500 say that another attempt may be better.
const FAILURES: [StatusCode; 4] = [
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Mode {
    /// The share of calls that fail, from 0 to 1.
    fail: f64,
    latency_ms: u64,
    /// What a call is answered that fails.
    #[serde(serialize_with = "number")]
    status: StatusCode,
}

impl Default for Mode {
    fn default() -> Self {
        Self { fail: 0.0, latency_ms: LATENCY_MS.default, status: StatusCode::SERVICE_UNAVAILABLE }
    }
}

impl Mode {
    /// What is not said is as in a service that is well.
    fn of(fields: Fields) -> Result<Self, InvalidField> {
        let [fail, latency_ms, status] = fields.known([FAIL, LATENCY_MS.name, STATUS])?;
        let mut mode = Self::default();
        if let Some(value) = fail {
            let share = value.as_f64().filter(|share| (0.0..=1.0).contains(share));
            mode.fail =
                share.ok_or_else(|| invalid(FAIL, &value, "a number from 0 to 1".to_owned()))?;
        }
        if let Some(value) = latency_ms {
            mode.latency_ms = value
                .as_u64()
                .filter(|ms| (LATENCY_MS.least..=LATENCY_MS.most).contains(ms))
                .ok_or_else(|| invalid(LATENCY_MS.name, &value, LATENCY_MS.to_string()))?;
        }
        if let Some(value) = status {
            let failure = FAILURES.into_iter().find(|failure| value == failure.as_u16());
            mode.status = failure
                .ok_or_else(|| invalid(STATUS, &value, "500, 502, 503 or 504".to_owned()))?;
        }
        Ok(mode)
    }
}

/// Shared by the upstream and whoever tells it how to behave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behaviour(Arc<Mutex<Current>>);

#[derive(Debug, Default)]
struct Current {
    mode: Mode,
    /// The part of a failure that is due: so one call in four fails exactly, and no die is cast.
    due: f64,
}

/// More than what rounding leaves of a whole failure.
const WHOLE: f64 = 1.0 - 1e-9;

impl Behaviour {
    fn set(&self, mode: Mode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Current { mode, due: 0.0 };
    }

    /// How the next call goes: how long it takes, and how it fails, if it does.
    fn next(&self) -> (Duration, Option<StatusCode>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        current.due += current.mode.fail;
        let fails = current.due >= WHOLE;
        if fails {
            current.due -= 1.0;
        }
        let Mode { latency_ms, status, .. } = current.mode;
        (Duration::from_millis(latency_ms), fails.then_some(status))
    }

    pub(crate) fn mode(&self) -> Mode {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).mode
    }
}

/// `PUT /upstream/mode`: from now on it behaves like this.
pub(crate) async fn set_mode(
    State(behaviour): State<Behaviour>,
    fields: Fields,
) -> Result<Json<Mode>, InvalidField> {
    let mode = Mode::of(fields)?;
    behaviour.set(mode);
    Ok(Json(mode))
}

/// The upstream itself, which has one route beside that of its health. What is posted there may not be done
/// twice.
pub(crate) fn router(behaviour: Behaviour) -> Router {
    Router::new().route("/", get(answer).post(take)).route(READY, get(ready)).with_state(behaviour)
}

async fn answer(State(behaviour): State<Behaviour>) -> Response {
    behave(&behaviour, json!({ "upstream": "is well" })).await
}

/// Says what it took.
async fn take(State(behaviour): State<Behaviour>, body: Bytes) -> Response {
    let took = String::from_utf8_lossy(&body);
    behave(&behaviour, json!({ "upstream": "is well", "took": took })).await
}

/// Whether there is a call that it would not fail. Takes as long to say so as for all else.
async fn ready(State(behaviour): State<Behaviour>) -> StatusCode {
    let Mode { fail, latency_ms, .. } = behaviour.mode();
    sleep(Duration::from_millis(latency_ms)).await;
    if fail < 1.0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn behave(behaviour: &Behaviour, answer: Value) -> Response {
    let (latency, failure) = behaviour.next();
    sleep(latency).await;
    match failure {
        Some(status) => {
            Problem::new(status, "The upstream was told to fail.".to_owned()).into_response()
        }
        None => Json(answer).into_response(),
    }
}

/// An upstream that serves.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(listener: TcpListener, behaviour: Behaviour) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(listener, router(behaviour)).with_graceful_shutdown(async {
            // A sender that is gone says the same as one that sent.
            let _ = stopped.await;
        });
        let serving = tokio::spawn(async {
            if let Err(error) = server.await {
                tracing::warn!(%error, "The upstream has ended");
            }
        });
        Self { stop, serving }
    }

    /// Lets it finish what it works on.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        // If it panicked, it has ended too.
        let _ = self.serving.await;
    }
}

#[cfg(test)]
mod tests;
