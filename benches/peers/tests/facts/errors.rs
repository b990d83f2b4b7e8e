//! What axum, which asks for `Infallible`, needs to take a layer.

use std::{convert::Infallible, num::NonZeroU32};

use axum::{
    Router,
    body::Body,
    error_handling::HandleErrorLayer,
    extract::Request,
    routing::{Route, get},
};
use http::{Response, StatusCode};
use palisade::{
    breaker::BreakerLayer,
    health::{Health, HealthLayer},
    key::Global,
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{LimitRateLayer, Quota},
    retry::{RetryBody, RetryLayer},
    timeout::TimeoutLayer,
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, limit::GlobalConcurrencyLimitLayer,
    load_shed::LoadShedLayer, service_fn, timeout::TimeoutLayer as TowerTimeoutLayer,
};
use tower_governor::{GovernorLayer, governor::GovernorConfig};
use tower_http::timeout::TimeoutLayer as HttpTimeoutLayer;
use tower_resilience_bulkhead::{BulkheadLayer, BulkheadServiceError};
use tower_resilience_circuitbreaker::{CircuitBreakerError, CircuitBreakerLayer};
use tower_resilience_ratelimiter::{RateLimiterLayer, RateLimiterServiceError};
use tower_resilience_timelimiter::{TimeLimiterError, TimeLimiterLayer};

use crate::upstream::{HOUR, SECOND};

fn app() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// It compiles where the layer, around what cannot fail, fails with `E`.
fn fails_with<E, L>(_: &L)
where
    L: Layer<Route<Infallible>, Service: Service<Request, Error = E>>,
{
}

fn keeps<S: Service<http::Request<Body>, Error = Infallible>>(_: &S) {}

#[test]
fn axum_takes_palisade_s_layers_as_they_are() {
    let quota = Quota::per_second(NonZeroU32::MIN);
    let _app: Router = app()
        .layer(HealthLayer::new(&Health::new()))
        .layer(TimeoutLayer::server(SECOND))
        .layer(LimitConcurrencyLayer::new(1))
        .layer(LimitRateLayer::new(quota, Global))
        .layer(BreakerLayer::default());
}

#[test]
fn palisade_leaves_an_error_type_of_any_kind_as_it_is() {
    let inner = service_fn(async |_: http::Request<RetryBody<Body>>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let service = RetryLayer::default().layer(inner);
    keeps(&service);
}

#[test]
fn tower_fails_with_boxed_errors_for_which_axum_wants_a_handler() {
    let shed = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .into_inner();
    fails_with::<BoxError, _>(&shed);
    fails_with::<BoxError, _>(&TowerTimeoutLayer::new(SECOND));
    let handler = HandleErrorLayer::new(async |_: BoxError| StatusCode::SERVICE_UNAVAILABLE);
    let _app: Router = app().layer(ServiceBuilder::new().layer(handler).layer(shed));
}

#[test]
fn axum_takes_tower_http_s_timeout_as_it_is() {
    let layer = HttpTimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, SECOND);
    fails_with::<Infallible, _>(&layer);
    let _app: Router = app().layer(layer);
}

#[test]
fn axum_takes_tower_governor_as_it_is() {
    let layer = GovernorLayer::new(GovernorConfig::default());
    fails_with::<Infallible, _>(&layer);
    let _app: Router = app().layer(layer);
}

#[test]
fn tower_resilience_fails_with_an_error_of_each_layer_for_which_axum_wants_a_handler() {
    fails_with::<BulkheadServiceError<Infallible>, _>(&BulkheadLayer::builder().build().unwrap());
    fails_with::<RateLimiterServiceError<Infallible>, _>(
        &RateLimiterLayer::builder().build().unwrap(),
    );
    fails_with::<CircuitBreakerError<Infallible>, _>(
        &CircuitBreakerLayer::builder().build().unwrap(),
    );
    fails_with::<TimeLimiterError<Infallible>, _>(
        &TimeLimiterLayer::builder().timeout_duration(HOUR).build(),
    );
}
