//! `GET /upstream` and `POST /upstream`: a call to the upstream, through the layers of a client.

use std::{error::Error, net::SocketAddr};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{State, rejection::BytesRejection},
    http::{
        HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
        header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
        request::Parts,
    },
    response::IntoResponse,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::{
    Rejection,
    breaker::{Breaker, BreakerLayer, Switch},
    limit_concurrency::{InFlight, LimitConcurrency, LimitConcurrencyLayer},
    retry::{Attempts, Retries, Retry, RetryBody, RetryLayer},
    timeout::{Timeout, TimeoutLayer, Timeouts},
};
use serde::Serialize;
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt};

use crate::{
    problem::{Problem, number},
    settings::Settings,
};

/// The layers around a client of hyper's. All of them have one state, whoever calls.
type Stack = Timeout<Retry<Breaker<LimitConcurrency<Timeout<Transport>>>>>;

type Transport = Client<HttpConnector, RetryBody<Body>>;

/// A way to call the upstream.
#[derive(Clone)]
pub(crate) struct Calls {
    stack: Stack,
    uri: Uri,
}

/// The operator's ends of the layers around a call, outermost first.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Of all attempts of a call together.
    pub(crate) total: Timeouts,
    pub(crate) retries: Retries,
    pub(crate) switch: Switch,
    pub(crate) in_flight: InFlight,
    /// Of each attempt by itself.
    pub(crate) attempt: Timeouts,
}

impl Calls {
    /// And the operator's ends. Opens no connection before the first call.
    pub(crate) fn new(settings: &Settings) -> (Self, Ends) {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);

        let upstream = &settings.upstream;
        let total = TimeoutLayer::client(upstream.total.0).shared();
        let retry = RetryLayer::new(settings.retry.policy());
        let breaker = BreakerLayer::new(settings.breaker.policy());
        let limit = LimitConcurrencyLayer::new(upstream.max);
        let attempt = TimeoutLayer::client(upstream.timeout.0);
        let ends = Ends {
            total: total.handle(),
            retries: retry.handle(),
            switch: breaker.handle(),
            in_flight: limit.handle(),
            attempt: attempt.handle(),
        };
        // Outermost first.
        let stack = ServiceBuilder::new()
            // Answers 504 when all attempts together take too long. Shared, so that the retry knows when
            // that is, and begins none that would come too late.
            .layer(total)
            // Tries again what failed for a moment. Outside of all that is about one attempt, so that each
            // is judged, counted and timed by itself, and none holds a place while it waits.
            .layer(retry)
            // Answers 503 at once while the upstream is not well.
            .layer(breaker)
            // Answers 503 when so many calls wait already, which is not the caller's fault as a 429
            // would say. Inside of the breaker, to which that says nothing.
            .layer(limit.with_status(StatusCode::SERVICE_UNAVAILABLE))
            // Answers 504 when the upstream takes too long, for each attempt by itself. Inside of the
            // breaker, to which that is a failure.
            .layer(attempt)
            .service(client);
        (Self { stack, uri: uri(upstream.listen, "/") }, ends)
    }

    fn request(&self, method: Method, caller: &Parts, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        for name in &ALONG {
            if let Some(value) = caller.headers.get(name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        request
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, Problem> {
        let response = self.stack.oneshot(request).await.map_err(|error| no_answer(&error))?;
        if Rejection::of(&response).is_some() {
            return Ok(response.map(Body::new));
        }
        let (mut parts, body) = response.into_parts();
        let bytes = to_bytes(Body::new(body), LONGEST).await.map_err(|error| no_answer(&error))?;
        let text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let answered = Answered {
            attempts: Attempts::of(&parts.extensions),
            status: parts.status,
            answer: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()),
        };
        for name in &NOT_ITS_OWN {
            parts.headers.remove(name);
        }
        let mut response = Json(answered).into_response();
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        Ok(response)
    }
}

/// Of this path at this address.
pub(crate) fn uri(address: SocketAddr, path: &'static str) -> Uri {
    Uri::builder()
        .scheme("http")
        .authority(address.to_string())
        .path_and_query(path)
        .build()
        .expect("an address is an authority")
}

/// What the upstream answered, and what that took.
#[derive(Debug, Serialize)]
struct Answered {
    /// How many times it was asked.
    attempts: u32,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    /// As it is if it is JSON, else as text.
    answer: Value,
}

/// More than the upstream has to say.
const LONGEST: usize = 64 << 10;

/// What goes along: ids, so that a refusal bears that of whom it refuses, and the upstream's log has it;
/// and what says that a call may be done twice.
const ALONG: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("idempotency-key"),
];

/// What is about one connection, and not about what is sent over it (RFC 9110 §7.6.1); and the length, as
/// more is said here.
const NOT_ITS_OWN: [HeaderName; 4] =
    [CONNECTION, HeaderName::from_static("keep-alive"), TRANSFER_ENCODING, CONTENT_LENGTH];

/// `GET /upstream`: the upstream's answer and the number of attempts it took, under its status; or a refusal
/// by a layer, as it is.
pub(crate) async fn ask(
    State(calls): State<Calls>,
    caller: Parts,
) -> Result<Response<Body>, Problem> {
    let request = calls.request(Method::GET, &caller, Body::empty());
    calls.answer(request).await
}

/// `POST /upstream`: the same for what may not be done twice, unless it has an `Idempotency-Key`.
pub(crate) async fn send(
    State(calls): State<Calls>,
    caller: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response<Body>, Problem> {
    let body = body.map_err(|rejection| {
        Problem::new(rejection.status(), format!("{}.", rejection.body_text()))
    })?;
    let request = calls.request(Method::POST, &caller, Body::from(body));
    calls.answer(request).await
}

fn no_answer(error: &(dyn Error + 'static)) -> Problem {
    // Not louder, or a flood of calls to a dead upstream would fill the log.
    tracing::debug!(error, "The upstream gave no answer");
    let detail = "The upstream could not be reached, or broke off. Please try again later.";
    Problem::new(StatusCode::BAD_GATEWAY, detail.to_owned())
}
