//! The servers behind a connection. A new contender is one more entry.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use axum::{Router, error_handling::HandleErrorLayer, routing::get};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use palisade::{
    health::{Health, HealthLayer},
    key::HeaderKey as BorrowedHeaderKey,
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::LimitRateLayer,
    timeout::TimeoutLayer,
};
use tower::{
    Service, ServiceBuilder, layer::util::Identity, limit::ConcurrencyLimitLayer,
    load_shed::LoadShedLayer, timeout::TimeoutLayer as TowerTimeoutLayer,
};

use crate::{
    adapters::{HeaderKey, unavailable},
    inner::KEY,
    pipe::over_pipe,
    row::{Driver, Row},
    settings::{
        AMPLE, HOUR, bulkhead, circuit_breaker, governor, quota, rate_limiter, time_limiter,
    },
    socket::{Told, over_sockets},
};

const AXUM: &str = "axum/bare";
pub(crate) const IDENTITY: &str = "axum/identity layer";
const GOVERNOR: &str = "axum/tower+governor";
const HYPER: &str = "hyper/bare";

/// What is to be held of the requests a second, as a bound of the time that one takes.
const LEAST_OF_BARE: f64 = 1.0 / 0.90;
const LEAST_OF_GOVERNOR: f64 = 1.0 / 1.05;

/// `palisade` is all of our layers for servers, `palisade, three` those of them that the peers have too.
pub(crate) fn apps() -> Vec<Row> {
    vec![
        axum(AXUM, app),
        axum("axum/bare again", app),
        axum(IDENTITY, || app().layer(Identity::new())),
        axum("axum/palisade", || {
            let stack = ServiceBuilder::new()
                .layer(HealthLayer::new(&Health::new()))
                .layer(TimeoutLayer::server(HOUR))
                .layer(LimitConcurrencyLayer::new(AMPLE))
                .layer(LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY)));
            app().layer(stack)
        })
        .bound(Driver::Pipe, IDENTITY, 1.12)
        .bound(Driver::Socket, AXUM, LEAST_OF_BARE)
        .bound(Driver::Socket, GOVERNOR, LEAST_OF_GOVERNOR),
        axum("axum/palisade, three", || {
            let stack = ServiceBuilder::new()
                .layer(TimeoutLayer::server(HOUR))
                .layer(LimitConcurrencyLayer::new(AMPLE))
                .layer(LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY)));
            app().layer(stack)
        })
        .bound(Driver::Pipe, IDENTITY, 1.12)
        .bound(Driver::Socket, AXUM, LEAST_OF_BARE)
        .bound(Driver::Socket, GOVERNOR, LEAST_OF_GOVERNOR),
        axum("axum/tower", || {
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                .layer(TowerTimeoutLayer::new(HOUR))
                .layer(LoadShedLayer::new())
                .layer(ConcurrencyLimitLayer::new(AMPLE));
            app().layer(stack)
        }),
        axum(GOVERNOR, || {
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                .layer(TowerTimeoutLayer::new(HOUR))
                .layer(LoadShedLayer::new())
                .layer(ConcurrencyLimitLayer::new(AMPLE))
                .layer(governor(HeaderKey));
            app().layer(stack)
        }),
        axum("axum/tower-resilience", || {
            let stack = ServiceBuilder::new()
                .layer(HandleErrorLayer::new(unavailable))
                .layer(time_limiter())
                .layer(bulkhead())
                .layer(rate_limiter())
                .layer(circuit_breaker());
            app().layer(stack)
        }),
        Row::named(HYPER, HYPER).driven(Driver::Pipe, || over_pipe(Hello)),
        Row::named("hyper/bare again", HYPER).driven(Driver::Pipe, || over_pipe(Hello)),
        Row::named("hyper/palisade", HYPER)
            .driven(Driver::Pipe, || {
                let stack = ServiceBuilder::new()
                    .layer(HealthLayer::new(&Health::new()))
                    .layer(TimeoutLayer::server(HOUR))
                    .layer(LimitConcurrencyLayer::new(AMPLE))
                    .layer(LimitRateLayer::new(quota(), BorrowedHeaderKey::new(KEY)));
                over_pipe(stack.service(Hello))
            })
            .bound(Driver::Pipe, HYPER, 1.10),
        Row::named("hyper/tower", HYPER).driven(Driver::Pipe, || {
            let stack = ServiceBuilder::new()
                .layer(TowerTimeoutLayer::new(HOUR))
                .layer(LoadShedLayer::new())
                .layer(ConcurrencyLimitLayer::new(AMPLE));
            over_pipe(stack.service(Hello))
        }),
        Row::named("hyper/tower-resilience", HYPER).driven(Driver::Pipe, || {
            let stack = ServiceBuilder::new()
                .layer(time_limiter())
                .layer(bulkhead())
                .layer(rate_limiter())
                .layer(circuit_breaker());
            over_pipe(stack.service(Hello))
        }),
    ]
}

fn axum(name: &'static str, app: fn() -> Router) -> Row {
    Row::named(name, AXUM)
        .driven(Driver::Pipe, move || over_pipe(app()))
        .driven(Driver::Socket, move || over_sockets(name, Told::Elapsed))
        .driven(Driver::SocketBusy, move || over_sockets(name, Told::Busy))
        .serving(app)
}

fn app() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// The same answer without axum.
#[derive(Clone, Copy)]
struct Hello;

impl<B> Service<Request<B>> for Hello {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::new(Bytes::from_static(b"hello")))))
    }
}
