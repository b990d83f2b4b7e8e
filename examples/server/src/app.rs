//! The service: its routes behind its layers.

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post, put},
};
use palisade::{
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{LimitRateLayer, TableStore},
    timeout::{RequestBodyTimeoutLayer, TimeoutLayer},
};
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower_http::trace::TraceLayer;

use crate::{
    breakers,
    calls::{self, Calls},
    client::Client,
    demo::{self, Demo},
    health,
    limits::{Limits, limits},
    live::{self, Live},
    page, retries, routes,
    settings::{LimitRate, Settings},
    status::{Handles, status},
    upstream::{self, Behaviour},
};

/// The service, and what its operator holds of it.
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) handles: Handles,
}

/// The routes behind the layers, as `settings` has them. Listens nowhere. Starts what looks after the
/// server's health, for which there must be a runtime.
pub(crate) fn app(settings: &Settings) -> App {
    let timeout =
        TimeoutLayer::server(settings.timeout.limit.0).with_body(settings.timeout.body.into());
    let limit_concurrency = LimitConcurrencyLayer::new(settings.limit_concurrency.max);
    let in_flight = limit_concurrency.handle();
    let client = Client::from(&settings.limit_rate.key);
    let limit_rate = limit_rate(&settings.limit_rate, client.clone());
    let request_body_timeout = RequestBodyTimeoutLayer::new(settings.request_body_timeout.idle.0);
    let (calls, ends) = Calls::new(settings);
    let (health, sampler) = health::health(settings, ends.switch.clone(), in_flight.clone());
    let handles = Handles {
        health,
        timeouts: timeout.handle(),
        in_flight,
        limits: Limits { client, buckets: limit_rate.handle() },
        stalls: request_body_timeout.handle(),
        upstream: ends,
        behaviour: Behaviour::default(),
        sampler,
        began: Instant::now(),
    };

    // Outermost first: a request passes them from top to bottom, its response from bottom to top.
    let for_all = ServiceBuilder::new()
        // Answers probes, and 503 to all else once it is to leave. Outside of all that could refuse a
        // probe, and of the log, which they would fill.
        .layer(health::layer(&handles.health))
        // Logs each request and response at debug; no failures, as any client can cause those.
        .layer(TraceLayer::new_for_http().on_failure(()))
        // Answers 503 when the time is up. Outside of the limit, so that by then the place is free.
        .layer(timeout)
        // Answers 429 at once while too many others are in flight.
        .layer(limit_concurrency);
    let for_most = ServiceBuilder::new()
        // Answers 429 to a client that asks too often. Only here, as nobody pays for being refused.
        .layer(limit_rate)
        // Answers 408 when the client stops sending. Only here, as what is refused is never read.
        .layer(request_body_timeout);

    // Whoever was refused may ask why, and is not charged for it.
    let limits = get(limits).with_state(handles.limits.clone());
    let router = routes(settings, calls, &handles).merge(demo_routes(settings, &handles));
    let router = router.layer(for_most).route("/limits", limits);
    let router = router.method_not_allowed_fallback(routes::wrong_method).layer(for_all);
    let router = router.merge(operator_routes(&handles));
    App { router, handles }
}

/// Each client by all of the windows, or by the one that there always is.
fn limit_rate(settings: &LimitRate, client: Client) -> LimitRateLayer<Client> {
    let quota = settings.whole().expect("it was checked when it was loaded");
    let layer = LimitRateLayer::new(quota, client).with_headers(settings.headers.into());
    // A client has a bucket in each window, so that there is room for as many clients as ever.
    let store = TableStore::new();
    let capacity = store.capacity() * (1 + settings.windows.len());
    let layer = layer.with_store(store.with_capacity(capacity));
    let windows = settings.windows.iter();
    windows.fold(layer, |layer, (name, quota)| layer.with_quota(name.clone(), *quota))
}

/// More than an operator can have to say, and little enough to be told again if it is wrong.
const SAID: usize = 4096;

/// The fallbacks are set here, before the layers, so that they apply to them as well.
fn routes(settings: &Settings, calls: Calls, handles: &Handles) -> Router {
    let (retries, switch) = (&handles.upstream.retries, &handles.upstream.switch);
    let short = || DefaultBodyLimit::max(SAID);
    let call = get(calls::ask).post(calls::send).layer(short()).with_state(calls);
    let set_mode = put(upstream::set_mode).layer(short()).with_state(handles.behaviour.clone());
    let force = post(breakers::force).layer(short()).with_state(switch.clone());
    Router::new()
        .route("/", get(page::page))
        .route("/work", get(routes::work))
        .route("/stream", get(routes::stream))
        .route("/echo", post(routes::echo))
        .route("/upstream", call)
        .route("/upstream/mode", set_mode)
        .route("/retries", get(retries::retries).with_state(retries.clone()))
        .route("/breakers", get(breakers::breakers).with_state(switch.clone()))
        .route("/breakers/upstream", force)
        .fallback(routes::nowhere)
        .method_not_allowed_fallback(routes::wrong_method)
        .with_state(settings.clone())
}

fn demo_routes(settings: &Settings, handles: &Handles) -> Router {
    let demo = Demo {
        sampler: handles.sampler.clone(),
        health: handles.health.clone(),
        heartbeat: settings.health.heartbeat,
    };
    Router::new()
        .route("/demo/hang", post(demo::hang))
        .route("/demo/resume", post(demo::resume))
        .with_state(demo)
}

/// Outside of all layers, for callers on this machine: that a limit is full must not keep its operator from
/// seeing so, nor a limit of none from raising it.
fn operator_routes(handles: &Handles) -> Router {
    let Handles { in_flight, limits, upstream, .. } = handles;
    let live = Live::new(in_flight.clone(), limits.clone(), upstream.in_flight.clone());
    let set_limits = put(live::set_limits).layer(DefaultBodyLimit::max(SAID)).with_state(live);
    Router::new()
        .route("/status", get(status).with_state(handles.clone()))
        .route("/demo/limits", set_limits)
        .method_not_allowed_fallback(routes::wrong_method)
}

#[cfg(test)]
mod tests;
