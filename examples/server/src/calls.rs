//! `GET /upstream`: a call to the upstream, through the layers of a client.

use std::error::Error;

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderName, Request, Response, StatusCode, Uri,
        header::{CONNECTION, TRANSFER_ENCODING},
        request::Parts,
    },
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::{
    breaker::{Breaker, BreakerLayer, Switch},
    limit_concurrency::{LimitConcurrency, LimitConcurrencyLayer},
    timeout::{Timeout, TimeoutLayer},
};
use tower::{ServiceBuilder, ServiceExt};

use crate::{problem::Problem, settings::Settings};

/// The layers around a client of hyper's. All of them have one state, whoever calls.
type Stack = Breaker<LimitConcurrency<Timeout<Client<HttpConnector, Body>>>>;

/// A way to call the upstream.
#[derive(Clone)]
pub(crate) struct Calls {
    stack: Stack,
    uri: Uri,
}

impl Calls {
    /// And the operator's end of the breaker. Opens no connection before the first call.
    pub(crate) fn new(settings: &Settings) -> (Self, Switch) {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);

        let breaker = BreakerLayer::new(settings.breaker.policy());
        let switch = breaker.handle();
        let upstream = &settings.upstream;
        // Outermost first. Whatever tries again stands outside of these.
        let stack = ServiceBuilder::new()
            // Answers 503 at once while the upstream is not well.
            .layer(breaker)
            // Answers 503 when so many calls wait already, which is not the caller's fault as a 429
            // would say. Inside of the breaker, to which that says nothing.
            .layer(
                LimitConcurrencyLayer::new(upstream.max)
                    .with_status(StatusCode::SERVICE_UNAVAILABLE),
            )
            // Answers 504 when the upstream takes too long, for each call by itself. Inside of the
            // breaker, to which that is a failure.
            .layer(TimeoutLayer::client(upstream.timeout.0))
            .service(client);
        let uri = Uri::builder()
            .scheme("http")
            .authority(upstream.listen.to_string())
            .path_and_query("/")
            .build()
            .expect("an address is an authority");
        (Self { stack, uri }, switch)
    }

    fn request(&self, caller: &Parts) -> Request<Body> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri.clone();
        for name in &IDS {
            if let Some(id) = caller.headers.get(name) {
                request.headers_mut().insert(name, id.clone());
            }
        }
        request
    }
}

/// What goes along, so that a refusal bears the id of whom it refuses, and the upstream's log has it.
const IDS: [HeaderName; 2] =
    [HeaderName::from_static("traceparent"), HeaderName::from_static("x-request-id")];

/// What is about one connection, and not about what is sent over it (RFC 9110 §7.6.1).
const HOP: [HeaderName; 3] = [CONNECTION, HeaderName::from_static("keep-alive"), TRANSFER_ENCODING];

/// `GET /upstream`: the upstream's answer, or a refusal by a layer, as it is.
pub(crate) async fn upstream(
    State(calls): State<Calls>,
    caller: Parts,
) -> Result<Response<Body>, Problem> {
    let request = calls.request(&caller);
    match calls.stack.oneshot(request).await {
        Ok(response) => {
            let mut response = response.map(Body::new);
            for name in &HOP {
                response.headers_mut().remove(name);
            }
            Ok(response)
        }
        Err(error) => {
            // Not louder, or a flood of calls to a dead upstream would fill the log.
            tracing::debug!(error = &error as &dyn Error, "The upstream gave no answer");
            let detail = "The upstream could not be reached, or broke off. Please try again later.";
            Err(Problem::new(StatusCode::BAD_GATEWAY, detail.to_owned()))
        }
    }
}
