//! How the server is: what it takes to be well, and who may see all of it.

use std::{
    error::Error,
    net::{IpAddr, SocketAddr},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, FromRequestParts},
    http::{Extensions, HeaderMap, StatusCode, Uri, header::HOST, request::Parts, uri::Authority},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::{
    breaker::{self, Switch},
    health::{Check, Finding, Health, HealthLayer, Heartbeat, Status},
    limit_concurrency::InFlight,
};

use crate::{calls::uri, problem::Problem, sampler::Sampler, settings::Settings, upstream::READY};

/// The registry, and the background task whose heart is in it. To be called where there is a runtime.
pub(crate) fn health(
    settings: &Settings,
    switch: Switch,
    in_flight: InFlight,
) -> (Health, Sampler) {
    let health = Health::new();
    // Not ready without it, to be seen here, and alive. One that was registered at `liveness`
    // would have the server restarted.
    let heartbeat = settings.health.heartbeat.0;
    let pulse = health.readiness().pulse(Heartbeat::every("sampler", heartbeat).critical());
    let sampler = Sampler::start(in_flight, pulse, heartbeat / 3);
    // All instances share the upstream. So when it is not well, they are degraded and stay ready: all but
    // `/upstream` works without it.
    let client = Client::builder(TokioExecutor::new()).build_http();
    let ready = uri(settings.upstream.listen, READY);
    let ask = move || is_ready(client.clone(), ready.clone());
    let every = settings.health.check_every.0;
    health.readiness().check(Check::new("upstream", ask).every(every).failures(2));
    health.readiness().check(Check::reading("breaker", move || stands(&switch)));
    (health, sampler)
}

/// Shows details to callers on this machine. Behind a proxy that is here too, that would be everybody.
pub(crate) fn layer(health: &Health) -> HealthLayer {
    HealthLayer::new(health).with_details(|head| {
        is_from_here(head.extensions()) && is_by_address(head.uri(), head.headers())
    })
}

fn is_from_here(extensions: &Extensions) -> bool {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback())
}

/// Whether it was asked for by an address or as `localhost`, or over HTTP/1.0 by nothing.
///
/// A page of somebody else's, whose name leads to 127.0.0.1 once a browser has it, asks from this machine; to the
/// browser it is then a page of this server's, which may read the answer. But it asks by that name.
fn is_by_address(uri: &Uri, headers: &HeaderMap) -> bool {
    let asked = match uri.authority() {
        Some(authority) => Ok(authority.clone()),
        None => match headers.get(HOST) {
            Some(host) => Authority::try_from(host.as_bytes()),
            None => return true,
        },
    };
    let Ok(authority) = asked else { return false };
    let host = authority.host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    address.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost")
}

/// A caller that asks from this machine, by its address, as the operator does; 403 to all others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator;

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let path = parts.uri.path();
        let detail = if !is_from_here(&parts.extensions) {
            format!("{path} is for callers on the server's own machine, by its loopback address.")
        } else if !is_by_address(&parts.uri, &parts.headers) {
            format!(
                "{path} is for callers that ask for localhost or an address, such as 127.0.0.1, and by no other name."
            )
        } else {
            return Ok(Self);
        };
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// Past the layers around the server's own calls: what they make of the upstream is not how it is.
async fn is_ready(
    client: Client<HttpConnector, Body>,
    uri: Uri,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let answer = client.get(uri).await?;
    match answer.status() {
        StatusCode::OK => Ok(()),
        status => Err(format!("it answered {status}").into()),
    }
}

fn stands(switch: &Switch) -> Finding {
    let warning = |detail| Finding::from(Status::Warn).with_detail(detail);
    match switch.state() {
        breaker::State::Closed => Status::Pass.into(),
        breaker::State::Open => warning("open: calls to the upstream are refused"),
        breaker::State::HalfOpen => warning("half-open: few calls to the upstream are let through"),
    }
}
