//! What an operator may say to the upstream and its breaker, and what comes of it.

use std::net::TcpListener;

use serde_json::json;

use super::*;

pub(super) async fn told(app: &App, method: &str, uri: &str, body: &'static str) -> Response<Body> {
    let request = Request::builder().method(method).uri(uri);
    let request = request.header("content-type", "application/json; charset=utf-8");
    send(app, request.body(Body::from(body)).unwrap()).await
}

pub(super) async fn json(response: Response<Body>) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    serde_json::from_str(&text(response).await).unwrap()
}

async fn standing(app: &App) -> Value {
    let response = get(app, "/breakers").await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    json(response).await["upstream"].clone()
}

/// With an upstream on a port where nobody listens.
pub(super) fn without_upstream(flags: &[&str]) -> App {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    with(&[flags, &["--upstream-listen", &nobody.to_string()]].concat())
}

/// What is about the breaker alone.
const ONCE: [&str; 2] = ["--retry-max-attempts", "1"];

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_502_until_the_breaker_opens() {
    let app = without_upstream(&[&ONCE[..], &["--breaker-consecutive", "2"]].concat());
    for _ in 0..2 {
        let response = get(&app, "/upstream").await;
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(problem(response).await["type"], "about:blank");
    }
    let response = get(&app, "/upstream").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=8).contains(&wait), "{wait}");
    assert_eq!(problem(response).await["type"], "urn:palisade:circuit-open");
    let standing = standing(&app).await;
    assert_eq!((&standing["state"], &standing["force"]), (&"open".into(), &"auto".into()));
    assert_eq!([&standing["total_failures"], &standing["refused"], &standing["opened"]], [2, 1, 1]);
}

#[tokio::test]
async fn a_refusal_bears_the_id_of_the_request_that_it_refuses() {
    let app = without_upstream(&[]);
    app.handles.upstream.switch.force_open();
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let request = Request::get("/upstream").header("x-request-id", id);
    let response = send(&app, request.body(Body::empty()).unwrap()).await;
    assert_eq!(problem(response).await["instance"], format!("urn:uuid:{id}"));
}

#[tokio::test]
async fn calls_for_which_there_is_no_room_are_503_and_say_nothing_of_the_upstream() {
    let none = ["--upstream-max-in-flight", "0", "--breaker-consecutive", "1"];
    let app = with(&[&ONCE[..], &none].concat());
    for _ in 0..3 {
        let response = get(&app, "/upstream").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(problem(response).await["type"], "urn:palisade:at-capacity");
    }
    let standing = standing(&app).await;
    assert_eq!((&standing["state"], &standing["ignored"]), (&"closed".into(), &3.into()));
}

#[tokio::test]
async fn an_operator_forces_it_and_is_told_how_it_stands() {
    let app = limited(9);
    for (force, state) in
        [("open", "open"), ("closed", "closed"), ("observe", "closed"), ("auto", "closed")]
    {
        let body = format!(r#"{{"force": "{force}"}}"#).leak();
        let told = json(told(&app, "POST", "/breakers/upstream", body).await).await;
        assert_eq!((&told["force"], &told["state"]), (&force.into(), &state.into()));
        assert_eq!(told, standing(&app).await);
    }
}

#[tokio::test]
async fn reset_it_is_left_to_itself_and_has_forgotten_what_was() {
    let app = without_upstream(&[&ONCE[..], &["--breaker-consecutive", "2"]].concat());
    for _ in 0..2 {
        get(&app, "/upstream").await;
    }
    told(&app, "POST", "/breakers/upstream", r#"{"force": "observe"}"#).await;
    let before = standing(&app).await;
    assert_eq!((&before["state"], &before["failures"]), (&"open".into(), &2.into()));
    let after = json(told(&app, "POST", "/breakers/upstream", r#"{"force": "reset"}"#).await).await;
    assert_eq!((&after["state"], &after["force"]), (&"closed".into(), &"auto".into()));
    assert_eq!([&after["failures"], &after["consecutive_failures"]], [0, 0]);
    // What it has counted since the start it keeps.
    assert_eq!(after["total_failures"], 2);
}

#[tokio::test]
async fn a_mode_is_told_back_and_what_is_not_said_is_as_when_all_is_well() {
    let app = limited(9);
    for (body, fail, latency_ms, status) in [
        (r#"{"fail": 0.5, "latency_ms": 100}"#, 0.5, 100, 503),
        (r#"{"fail": 1}"#, 1.0, 0, 503),
        (r#"{"latency_ms": 60000}"#, 0.0, 60_000, 503),
        (r#"{"status": 500, "fail": 0.25}"#, 0.25, 0, 500),
        ("{}", 0.0, 0, 503),
    ] {
        let mode = json(told(&app, "PUT", "/upstream/mode", body).await).await;
        assert_eq!(mode, json!({ "fail": fail, "latency_ms": latency_ms, "status": status }));
    }
}

#[tokio::test]
async fn a_wrong_field_is_answered_by_its_name_its_value_and_what_is_accepted() {
    let app = limited(9);
    let share = "a number from 0 to 1";
    let whole = "a whole number from 0 to 60000";
    let status = "500, 502, 503 or 504";
    let known = "left out: known is only fail, latency_ms and status";
    let force = "open, closed, auto, observe or reset";
    let (mode, breaker) = (("PUT", "/upstream/mode"), ("POST", "/breakers/upstream"));
    for ((method, uri), body, field, value, accepted) in [
        (mode, r#"{"fail": 1.5}"#, "fail", "1.5", share),
        (mode, r#"{"fail": -0.1}"#, "fail", "-0.1", share),
        (mode, r#"{"fail": "0.5"}"#, "fail", "0.5", share),
        (mode, r#"{"fail": null}"#, "fail", "null", share),
        (mode, r#"{"latency_ms": 60001}"#, "latency_ms", "60001", whole),
        (mode, r#"{"latency_ms": 0.5}"#, "latency_ms", "0.5", whole),
        (mode, r#"{"latency_ms": [1]}"#, "latency_ms", "[1]", whole),
        (mode, r#"{"status": 501}"#, "status", "501", status),
        (mode, r#"{"status": "503"}"#, "status", "503", status),
        (mode, r#"{"status": 200}"#, "status", "200", status),
        (mode, r#"{"failing": 1}"#, "failing", "1", known),
        (mode, r#"{"fail": 1, "fail": 0}"#, "fail", "0", "given only once"),
        (breaker, r#"{"force": "Open"}"#, "force", "Open", force),
        (breaker, r#"{"force": true}"#, "force", "true", force),
        (breaker, r#"{"state": "open"}"#, "state", "open", "left out: known is only force"),
    ] {
        let response = told(&app, method, uri, body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let problem = problem(response).await;
        assert_eq!(
            (&problem["field"], &problem["value"], &problem["accepted"]),
            (&field.into(), &value.into(), &accepted.into())
        );
        assert_eq!(problem["detail"], format!("{field} is {value:?}, but must be {accepted}."));
    }
    // Nothing of it was done.
    assert_eq!(standing(&app).await["force"], "auto");
}

#[tokio::test]
async fn what_is_no_json_object_is_answered_by_what_is_expected() {
    let app = limited(9);
    let long = format!(r#"{{"fail": "{}"}}"#, "a".repeat(5000)).leak();
    for (body, status, said) in [
        ("", 400, "a JSON object: EOF"),
        ("{", 400, "a JSON object: EOF"),
        ("[0.5]", 400, "expected an object"),
        ("0.5", 400, "expected an object"),
        ("{} {}", 400, "trailing characters"),
        (long, 413, "length limit"),
    ] {
        let response = told(&app, "PUT", "/upstream/mode", body).await;
        assert_eq!(response.status(), status, "{body}");
        let detail = problem(response).await["detail"].to_string();
        assert!(detail.contains(said), "{detail}");
    }
    let response = told(&app, "POST", "/breakers/upstream", "{}").await;
    let detail = problem(response).await["detail"].clone();
    assert_eq!(detail, "force is missing; it must be open, closed, auto, observe or reset.");
}

#[tokio::test]
async fn what_does_not_say_that_it_is_json_is_not_read() {
    let app = limited(9);
    for content_type in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"]
    {
        let request = Request::post("/breakers/upstream").header("content-type", content_type);
        let request = request.body(Body::from(r#"{"force": "open"}"#)).unwrap();
        let response = send(&app, request).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let detail = problem(response).await["detail"].to_string();
        assert!(detail.contains("must be application/json"), "{detail}");
    }
    assert_eq!(standing(&app).await["state"], "closed");
}

#[tokio::test]
async fn the_page_says_how_to_see_the_breaker_open() {
    let page = async |flags: &[&str]| text(get(&with(flags), "/").await).await;
    let usual = page(&["--upstream-listen", "127.0.0.1:4711"]).await;
    for part in
        ["http://127.0.0.1:4711 answers", "/upstream?[1-8]", "5 failures in a row", "0.5 of 20"]
    {
        assert!(usual.contains(part), "{part}");
    }
    assert!(page(&["--breaker-consecutive", "1000"]).await.contains("--breaker-consecutive 5"));
}
