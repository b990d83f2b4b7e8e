//! Health in front of axum, over real sockets: on a router, and around one.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod healths;

use healths::{Served, all, scenarios};
use http::Version;

const SERVERS: [fn(Version) -> Served; 2] = [Served::router, Served::around_a_router];

#[tokio::test]
async fn probes_are_answered_and_all_else_goes_through() {
    for served in all(&SERVERS) {
        scenarios::probes_are_answered_and_all_else_goes_through(served).await;
    }
}

#[tokio::test]
async fn head_has_the_length_of_get_and_no_body() {
    for served in all(&SERVERS) {
        scenarios::head_has_the_length_of_get_and_no_body(served).await;
    }
}

#[tokio::test]
async fn it_leaves_step_by_step() {
    for served in all(&SERVERS) {
        scenarios::it_leaves_step_by_step(served).await;
    }
}

#[tokio::test]
async fn a_server_ends_though_somebody_watches() {
    for served in all(&SERVERS) {
        scenarios::a_server_ends_though_somebody_watches(served).await;
    }
}

#[tokio::test]
async fn a_bound_ends_the_watch_and_cuts_nothing_off() {
    for served in all(&SERVERS) {
        scenarios::a_bound_ends_the_watch_and_cuts_nothing_off(served).await;
    }
}

#[tokio::test]
async fn garbage_is_told_so_and_harms_nobody_beside_it() {
    for serve in SERVERS {
        scenarios::garbage_is_told_so_and_harms_nobody_beside_it(serve(Version::HTTP_2)).await;
    }
}

#[tokio::test]
async fn a_slow_message_holds_nobody_up() {
    for served in all(&SERVERS) {
        scenarios::a_slow_message_holds_nobody_up(served).await;
    }
}

#[tokio::test]
async fn nothing_is_left_of_who_watched_and_went_away() {
    for serve in SERVERS {
        scenarios::nothing_is_left_of_who_watched_and_went_away(serve(Version::HTTP_2)).await;
    }
}

/// So a probe needs no route, also where a layer stands only on routes.
#[tokio::test]
async fn probes_are_answered_where_there_is_no_route() {
    use axum::{Router, body::Body, routing::get};
    use http::Request;
    use palisade::health::{Health, HealthLayer};
    use tower::ServiceExt;

    let layer = HealthLayer::new(&Health::new());
    let app = || Router::<()>::new().route("/", get(async || "hello"));
    let ask = async |app: Router, path| {
        app.oneshot(Request::get(path).body(Body::empty()).unwrap())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(ask(app().layer(layer.clone()), "/livez").await, 200);
    assert_eq!(ask(app().layer(layer.clone()), "/").await, 200);
    assert_eq!(ask(app().layer(layer.clone()), "/none").await, 404);
    assert_eq!(ask(app().route_layer(layer.clone()), "/livez").await, 404);
    let nested = Router::new().nest("/api", app().layer(layer.clone()));
    assert_eq!(ask(nested.clone(), "/livez").await, 404);
    assert_eq!(ask(nested.fallback_service(layer.into_service()), "/livez").await, 200);
}
