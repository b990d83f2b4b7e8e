//! limit-concurrency under hyper alone, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod scenarios;

use std::convert::Infallible;

use http::{Request, Version};
use hyper::body::Incoming;
use palisade::limit_concurrency::LimitConcurrencyLayer;
use palisade_testkit::{Gate, sockets::Server};
use scenarios::{Served, VERSIONS, answer};
use tower::{Layer, service_fn};

/// hyper clones the service for each request; the limit starts as 1.
fn served(version: Version) -> Served {
    let (gate, layer) = (Gate::new(), LimitConcurrencyLayer::new(1));
    let in_flight = layer.handle();
    let inner_gate = gate.clone();
    let service = layer.layer(service_fn(move |request: Request<Incoming>| {
        let gate = inner_gate.clone();
        async { Ok::<_, Infallible>(answer(gate, request).await) }
    }));
    Served {
        server: Server::hyper(service),
        gate,
        in_flight,
        version,
    }
}

#[tokio::test]
async fn all_but_one_are_admitted_over_all_connections() {
    for version in VERSIONS {
        scenarios::all_but_one_are_admitted_over_all_routes_and_connections(served(version)).await;
    }
}

#[tokio::test]
async fn a_slow_reader_holds_its_permit() {
    for version in VERSIONS {
        scenarios::a_slow_reader_holds_its_permit(served(version)).await;
    }
}

#[tokio::test]
async fn a_client_that_disconnects_frees_its_permit() {
    for version in VERSIONS {
        scenarios::a_client_that_disconnects_frees_its_permit(served(version)).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_frees_its_permit() {
    scenarios::a_stream_that_is_reset_frees_its_permit(served(Version::HTTP_2)).await;
}

#[tokio::test]
async fn a_handler_that_panics_frees_its_permit() {
    for version in VERSIONS {
        scenarios::a_handler_that_panics_frees_its_permit(served(version)).await;
    }
}

#[tokio::test]
async fn an_upgraded_connection_keeps_the_permit_it_is_given() {
    let served = served(Version::HTTP_11);
    scenarios::an_upgraded_connection_keeps_the_permit_it_is_given(served).await;
}

#[tokio::test]
async fn an_upgraded_connection_without_the_permit_holds_none() {
    let served = served(Version::HTTP_11);
    scenarios::an_upgraded_connection_without_the_permit_holds_none(served).await;
}
