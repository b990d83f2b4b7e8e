//! The service without a socket, in paused time.

use std::net::SocketAddr;

use axum::{
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{Method, Request, Response, StatusCode},
};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::{Duration, Instant};
use tower::ServiceExt;

use super::*;
use crate::settings;

mod breakers;
mod health;
mod page;
mod rates;
mod retries;
mod status;
mod timeouts;

fn with(flags: &[&str]) -> App {
    let asked = settings::load(["server"].iter().chain(flags), []);
    app(&asked.unwrap().settings)
}

fn limited(max_in_flight: usize) -> App {
    with(&["--max-in-flight", &max_in_flight.to_string()])
}

async fn send(app: &App, request: Request<Body>) -> Response<Body> {
    app.router.clone().oneshot(request).await.unwrap()
}

async fn get(app: &App, uri: &str) -> Response<Body> {
    send(app, Request::get(uri).body(Body::empty()).unwrap()).await
}

/// As the operator, from this machine.
async fn here(app: &App, method: &str, uri: &str, body: &str) -> Response<Body> {
    let here: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let request = Request::builder().method(method).uri(uri).extension(ConnectInfo(here));
    let request = request.header("content-type", "application/json");
    send(app, request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn problem(response: Response<Body>) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    serde_json::from_str(&text(response).await).unwrap()
}

#[tokio::test(start_paused = true)]
async fn work_takes_as_long_as_it_is_asked_to() {
    let app = with(&["--timeout", "1h"]);
    for (uri, ms) in [("/work", 100), ("/work?ms=0", 0), ("/work?ms=60000", 60_000)] {
        let start = Instant::now();
        let response = get(&app, uri).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(text(response).await, format!(r#"{{"worked_ms":{ms}}}"#));
        let tick = Duration::from_millis(2);
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(ms) && took <= Duration::from_millis(ms) + tick);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_sends_its_first_chunk_at_once_and_the_others_in_their_time() {
    let start = Instant::now();
    let response = get(&limited(9), "/stream?chunks=3&every_ms=1000").await;
    let mut body = response.into_body();
    for chunk in 1..=3_u32 {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, format!("chunk {chunk} of 3\n"));
        assert_eq!(start.elapsed().as_secs(), u64::from(chunk) - 1);
    }
    assert!(body.frame().await.is_none());
    assert_eq!(text(get(&limited(9), "/stream").await).await.lines().count(), 10);
}

#[tokio::test(start_paused = true)]
async fn exactly_as_many_requests_as_allowed_are_served_at_once() {
    let app = limited(3);
    let answers = join_all((0..5).map(|_| get(&app, "/work?ms=1000"))).await;
    let served = |answer: &&Response<Body>| answer.status() == StatusCode::OK;
    assert_eq!(answers.iter().filter(served).count(), 3);
    for refused in answers.iter().filter(|answer| !served(answer)) {
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()["retry-after"], "1");
    }
    drop(answers);
    assert_eq!(app.handles.in_flight.in_flight(), 0);
    assert_eq!(get(&app, "/work").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_route_is_behind_the_limit_and_so_is_what_is_no_route() {
    let app = limited(0);
    for uri in ["/", "/work", "/work?ms=x", "/stream", "/echo", "/limits", "/nowhere"] {
        let response = get(&app, uri).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS, "{uri}");
        assert_eq!(problem(response).await["type"], "urn:palisade:at-capacity");
    }
    assert_eq!(app.handles.in_flight.rejected(), 7);
}

#[tokio::test]
async fn a_wrong_query_is_answered_by_the_field_the_value_and_what_is_accepted() {
    let app = limited(9);
    let whole = "a whole number from ";
    for (uri, field, value, accepted) in [
        ("/work?ms=abc", "ms", "abc", &*format!("{whole}0 to 60000")),
        ("/work?ms=60001", "ms", "60001", &format!("{whole}0 to 60000")),
        ("/stream?chunks=0", "chunks", "0", &format!("{whole}1 to 1000")),
        ("/stream?every_ms=-1", "every_ms", "-1", &format!("{whole}0 to 10000")),
        ("/work?ms=1&m%22s=2", "m\"s", "2", "left out: this route knows only ms"),
        ("/work?ms=1&ms=2", "ms", "2", "given only once"),
    ] {
        let response = get(&app, uri).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{uri}");
        let problem = problem(response).await;
        assert_eq!(problem["status"], 400);
        assert_eq!(problem["title"], "Bad Request");
        assert_eq!(
            (&problem["field"], &problem["value"], &problem["accepted"]),
            (&field.into(), &value.into(), &accepted.into())
        );
        let detail = format!("{field} is {value:?}, but must be {accepted}.");
        assert_eq!(problem["detail"], detail);
    }
}

#[tokio::test]
async fn what_is_nowhere_is_a_problem_and_a_wrong_method_names_the_right_ones() {
    let app = limited(9);
    let response = get(&app, "/favicon.ico").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let detail = problem(response).await["detail"].to_string();
    assert!(detail.contains("/favicon.ico"), "{detail}");

    let response = get(&app, "/echo").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "POST");

    let response = send(&app, Request::delete("/limits").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(problem(response).await["detail"].to_string().contains("does not take DELETE"));
}

#[tokio::test]
async fn an_echo_keeps_the_content_type() {
    let request = |content_type: Option<&str>| {
        let request = Request::post("/echo");
        let request = match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        };
        request.body(Body::from(Bytes::from_static(b"a=b"))).unwrap()
    };
    let app = limited(9);
    let response = send(&app, request(Some("text/csv"))).await;
    assert_eq!(response.headers()["content-type"], "text/csv");
    assert_eq!(response.headers()["content-length"], "3");
    assert_eq!(text(response).await, "a=b");
    let response = send(&app, request(None)).await;
    assert_eq!(response.headers()["content-type"], "application/octet-stream");
}

#[tokio::test]
async fn the_page_names_the_host_it_was_asked_for_unless_that_could_do_harm() {
    let app = limited(7);
    let page = async |host: &str| {
        let request = Request::get("/").header("host", host);
        text(send(&app, request.body(Body::empty()).unwrap()).await).await
    };
    for host in ["example.com", "tower.example:8080", "[::1]:3000"] {
        assert!(page(host).await.contains(&format!("curl http://{host}/")));
    }
    for host in ["<script>", "$(reboot)", "a b", "a'b", ""] {
        let page = page(host).await;
        assert!(page.contains("curl http://127.0.0.1:3000/"), "{host}");
        assert!(host.is_empty() || !page.contains(&format!("http://{host}")), "{host}");
    }
    let page = page("h").await;
    for part in
        ["<!doctype html>", "<code>POST /echo</code>", "seq 27 | xargs -P 27", "&amp;every_ms="]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("{list}"));
}

#[tokio::test]
async fn a_refused_head_has_no_body() {
    let request = Request::builder().method(Method::HEAD).uri("/work");
    let response = send(&limited(0), request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(text(response).await, "");
}
