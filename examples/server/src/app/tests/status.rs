//! What the operator is told of all layers, and the limits that can be changed meanwhile.

use serde_json::json;

use super::*;

async fn status(app: &App) -> Value {
    let response = here(app, "GET", "/status", "").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["cache-control"], "no-store");
    serde_json::from_str(&text(response).await).unwrap()
}

/// The names of all that is in it, those within others after a dot; in a list, those of its first.
fn names(value: &Value, at: &str, names_of: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                names(value, &format!("{at}.{name}"), names_of);
            }
        }
        Value::Array(values) if !values.is_empty() => names(&values[0], at, names_of),
        _ => names_of.push(at[1..].to_owned()),
    }
}

#[tokio::test(start_paused = true)]
async fn it_has_every_layer_under_its_name() {
    let app = with(&[]);
    let mut names_of = Vec::new();
    names(&status(&app).await, "", &mut names_of);
    names_of.sort_unstable();
    assert_eq!(names_of.join("\n"), include_str!("status.txt").trim_end());
}

#[tokio::test(start_paused = true)]
async fn what_other_routes_tell_it_tells_in_the_same_words() {
    let app = with(&["--rate", "5/s", "--rate-windows", "daily=9/d"]);
    for _ in 0..7 {
        here(&app, "GET", "/nowhere", "").await;
    }
    let status = status(&app).await;
    for (part, route) in [
        (&status["limit_rate"]["you"], "/limits"),
        (&json!({ "upstream": status["upstream"]["retry"] }), "/retries"),
        (&json!({ "upstream": status["upstream"]["breaker"] }), "/breakers"),
    ] {
        // Another client's request, for which this one is not charged.
        let told = match route {
            "/limits" => here(&app, "GET", route, "").await,
            _ => get(&app, route).await,
        };
        let told: Value = serde_json::from_str(&text(told).await).unwrap();
        assert_eq!(*part, told, "{route}");
    }
    assert_eq!(status["limit_rate"]["quotas"][1], json!({ "name": "daily", "policy": "9/d" }));
}

#[tokio::test(start_paused = true)]
async fn to_ask_moves_nothing_and_works_while_all_else_is_refused() {
    let app = with(&["--max-in-flight", "0", "--rate", "1/h", "--timeout", "0s"]);
    assert_eq!(get(&app, "/").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    app.handles.health.drain(Duration::ZERO);
    let before = status(&app).await;
    for _ in 0..9 {
        assert_eq!(status(&app).await, before);
    }
    assert_eq!(before["health"]["phase"], "drained");
    assert_eq!(before["limit_rate"]["buckets"], 0);
}

#[tokio::test]
async fn the_operators_routes_are_for_callers_on_this_machine() {
    let app = with(&[]);
    let limits = ("PUT", "/demo/limits");
    for (method, uri) in [("GET", "/status"), limits] {
        for peer in [Some("192.0.2.1:1"), Some("[2001:db8::1]:1"), None] {
            let mut request = Request::builder().method(method).uri(uri);
            if let Some(peer) = peer {
                request = request.extension(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
            }
            let request = request.header("content-type", "application/json");
            let body = Body::from(r#"{"max_in_flight": 0}"#);
            let response = send(&app, request.body(body).unwrap()).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{uri} {peer:?}");
            let detail = problem(response).await["detail"].to_string();
            assert!(detail.contains("on the server's own machine"), "{detail}");
        }
    }
    assert_eq!(app.handles.in_flight.max(), 100);
    let response = here(&app, "DELETE", "/status", "").await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(problem(response).await["detail"].to_string().contains("does not take DELETE"));
}

#[tokio::test]
async fn a_page_whose_name_leads_to_this_machine_sees_nothing_and_sets_nothing() {
    let app = with(&[]);
    let peer: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let ask = async |method: &str, uri: &str, host: Option<&str>| {
        let request = Request::builder().method(method).uri(uri).extension(ConnectInfo(peer));
        let request = request.header("content-type", "application/json");
        let request = host.into_iter().fold(request, |request, host| request.header("host", host));
        send(&app, request.body(Body::from("{}")).unwrap()).await
    };
    // The same over HTTP/2.
    let by_name = "http://rebound.example:3000/status";
    for (method, uri, host) in [
        ("GET", "/status", "rebound.example:3000"),
        ("GET", "/status", "127.0.0.1.rebound.example"),
        ("GET", "/status", "localhost.rebound.example"),
        ("GET", "/status", ""),
        ("GET", by_name, "127.0.0.1:3000"),
        ("PUT", "/demo/limits", "rebound.example"),
    ] {
        let response = ask(method, uri, Some(host)).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{uri} {host}");
        let detail = problem(response).await["detail"].to_string();
        assert!(detail.contains("localhost or an address"), "{detail}");
    }
    let verbose = async |host| text(ask("GET", "/readyz?verbose", Some(host)).await).await;
    assert!(!verbose("rebound.example").await.contains("sampler"));
    assert!(verbose("localhost").await.contains("sampler"));
    for host in ["127.0.0.1:3000", "LocalHost:3000", "[::1]:3000", "[::1]", "192.0.2.1"] {
        assert_eq!(ask("GET", "/status", Some(host)).await.status(), StatusCode::OK, "{host}");
    }
    assert_eq!(ask("GET", "/status", None).await.status(), StatusCode::OK);
    assert_eq!(ask("GET", "http://[::1]:3000/status", None).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn limits_change_from_the_next_request_on_and_come_back() {
    let app = with(&["--max-in-flight", "9", "--rate", "7/s burst 8"]);
    let start = json!({ "max_in_flight": 9, "rate": "7/s burst 8", "upstream_max_in_flight": 50 });
    let set = async |body: &str| -> Value {
        let response = here(&app, "PUT", "/demo/limits", body).await;
        assert_eq!(response.status(), StatusCode::OK);
        serde_json::from_str(&text(response).await).unwrap()
    };
    let low = r#"{"max_in_flight": 1, "rate": "2/h", "upstream_max_in_flight": 0}"#;
    let told = set(low).await;
    assert_eq!(told, json!({ "max_in_flight": 1, "rate": "2/h", "upstream_max_in_flight": 0 }));
    let refused = async |uri: &str| problem(here(&app, "GET", uri, "").await).await["type"].clone();
    let held = here(&app, "GET", "/stream", "").await;
    assert_eq!(refused("/work").await, "urn:palisade:at-capacity");
    drop(held);
    assert_eq!(refused("/upstream").await, "urn:palisade:at-capacity");
    assert_eq!(refused("/work").await, "urn:palisade:quota-exceeded");

    // A limit of none can be lifted, for it does not apply to who lifts it.
    set(r#"{"max_in_flight": 0}"#).await;
    assert_eq!(set("{}").await, start);
    // What the caller took of two an hour it does not owe for hours.
    assert_eq!(here(&app, "GET", "/work", "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn of_wrong_limits_none_is_set() {
    let app = with(&[]);
    let whole = "a whole number from 0 to 4294967295";
    let quota = "a quota, such as 20/s or 5/min burst 2";
    let known = "left out: known is only max_in_flight, rate and upstream_max_in_flight";
    for (body, field, value, accepted) in [
        (r#"{"max_in_flight": -1}"#, "max_in_flight", "-1", whole),
        (r#"{"max_in_flight": 4294967296}"#, "max_in_flight", "4294967296", whole),
        (
            r#"{"max_in_flight": 1, "upstream_max_in_flight": "2"}"#,
            "upstream_max_in_flight",
            "2",
            whole,
        ),
        (r#"{"max_in_flight": 1, "rate": 5}"#, "rate", "5", quota),
        (r#"{"max_in_flight": 1, "rate": "0/s"}"#, "rate", "0/s", quota),
        (r#"{"max": 1}"#, "max", "1", known),
    ] {
        let response = here(&app, "PUT", "/demo/limits", body).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
        let problem = problem(response).await;
        assert_eq!(
            (&problem["field"], &problem["value"], &problem["accepted"]),
            (&field.into(), &value.into(), &accepted.into())
        );
    }
    assert_eq!(app.handles.in_flight.max(), 100);
}
