//! Who asks too often, and what each client is told of it.

use super::*;

mod windows;

/// A request as from this address, with these headers.
fn from(peer: &str, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    let request = headers
        .iter()
        .fold(Request::get(uri), |request, &(name, value)| request.header(name, value));
    request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap()
}

/// Which of three requests, sent at once, are let in.
async fn statuses(app: &App, peer: &str, headers: &[(&str, &str)]) -> [u16; 3] {
    let mut statuses = [0; 3];
    for status in &mut statuses {
        *status = send(app, from(peer, "/", headers)).await.status().as_u16();
    }
    statuses
}

async fn limits(app: &App, peer: &str, headers: &[(&str, &str)]) -> Value {
    let response = send(app, from(peer, "/limits", headers)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(!response.headers().contains_key("ratelimit"));
    serde_json::from_str(&text(response).await).unwrap()
}

const ANN: &str = "192.0.2.1:1";
const BEN: &str = "192.0.2.2:1";
const PROXY: &str = "10.0.0.1:1";
const LET_IN: [u16; 3] = [200, 200, 429];

#[tokio::test(start_paused = true)]
async fn each_peer_has_its_rate_and_a_refusal_says_when_to_come_back() {
    let app = with(&["--rate", "6/min", "--burst", "2"]);
    assert_eq!(statuses(&app, ANN, &[]).await, LET_IN);
    assert_eq!(statuses(&app, BEN, &[]).await, LET_IN);
    let refused = send(&app, from("192.0.2.1:2", "/nowhere", &[])).await;
    assert_eq!(refused.headers()["retry-after"], "10");
    assert_eq!(refused.headers()["ratelimit"], r#""default";r=0;t=10"#);
    assert_eq!(refused.headers()["ratelimit-policy"], r#""default";q=6;w=60"#);
    assert_eq!(problem(refused).await["type"], "urn:palisade:quota-exceeded");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(statuses(&app, ANN, &[]).await, [200, 429, 429]);
    assert_eq!(app.handles.limits.buckets.refused(), 5);
}

#[tokio::test(start_paused = true)]
async fn an_answer_tells_how_its_client_stands_unless_it_is_not_to() {
    for (headers, told) in [("draft", true), ("off", false)] {
        let app = with(&["--rate", "2/s", "--rate-headers", headers]);
        let response = send(&app, from(ANN, "/nowhere", &[])).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers().contains_key("ratelimit"), told);
        assert_eq!(statuses(&app, ANN, &[]).await, [200, 429, 429]);
        // A refusal tells it in any case.
        let refused = send(&app, from(ANN, "/", &[])).await;
        assert_eq!(refused.headers()["ratelimit"], r#""default";r=0;t=1"#);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_how_it_stands_for_nothing_however_it_stands() {
    let app = with(&["--rate", "2/s"]);
    let window = serde_json::json!({
        "name": "default", "policy": "2/s", "limit": 2, "remaining": 2,
        "retry_after": null, "reset_after": 0.0,
    });
    let mut full = window.clone();
    full["key"] = "192.0.2.1".into();
    full["windows"] = vec![window].into();
    full["offenders"] = Value::Array(Vec::new());
    for _ in 0..9 {
        assert_eq!(limits(&app, ANN, &[]).await, full);
    }
    assert_eq!(statuses(&app, ANN, &[]).await, LET_IN);
    tokio::time::advance(Duration::from_micros(99_001)).await;
    let spent = limits(&app, ANN, &[]).await;
    assert_eq!((&spent["remaining"], &spent["limit"]), (&0.into(), &2.into()));
    // Rounded up.
    assert_eq!(spent["retry_after"], 0.401);
    assert_eq!(spent["reset_after"], 0.901);
    assert_eq!(app.handles.limits.buckets.refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn by_a_header_tenants_are_told_apart_and_what_they_sent_is_not_shown() {
    let app = with(&["--rate", "5/min burst 2", "--rate-key", "header:X-API-Key"]);
    let (ann, ben) = ([("x-api-key", "s3cret")], [("x-api-key", "ben")]);
    assert_eq!(statuses(&app, ANN, &ann).await, LET_IN);
    assert_eq!(statuses(&app, ANN, &ben).await, LET_IN);
    let known = limits(&app, BEN, &ann).await;
    assert_eq!((&known["key"], &known["remaining"]), (&"header:x-api-key".into(), &0.into()));
    assert_eq!(known["policy"], "5/min burst 2");
    assert!(!known.to_string().contains("s3cret"));

    // Those who do not say who they are share what there is.
    assert_eq!(limits(&app, ANN, &[]).await["remaining"], 2);
    assert_eq!(statuses(&app, ANN, &[]).await, LET_IN);
    let shared = limits(&app, BEN, &[]).await;
    assert_eq!((&shared["key"], &shared["remaining"]), (&Value::Null, &0.into()));
}

#[tokio::test(start_paused = true)]
async fn behind_a_proxy_clients_are_whom_it_names_and_elsewhere_nobody_is_believed() {
    let app = with(&["--rate", "2/s", "--rate-key", "forwarded:10.0.0.0/8"]);
    let forwarded = |client| [("x-forwarded-for", client)];
    assert_eq!(statuses(&app, PROXY, &forwarded("192.0.2.1")).await, LET_IN);
    assert_eq!(statuses(&app, PROXY, &forwarded("2001:db8::1")).await, LET_IN);
    assert_eq!(statuses(&app, PROXY, &forwarded("2001:db8::2")).await, [429; 3]);
    let known = limits(&app, PROXY, &forwarded("2001:db8::3")).await;
    assert_eq!((&known["key"], &known["remaining"]), (&"2001:db8::/64".into(), &0.into()));

    // Ann herself, whoever she says she is.
    assert_eq!(statuses(&app, ANN, &forwarded("192.0.2.9")).await, [429; 3]);
    let known = limits(&app, ANN, &forwarded("192.0.2.9")).await;
    assert_eq!((&known["key"], &known["remaining"]), (&"192.0.2.1".into(), &0.into()));
    assert_eq!(statuses(&app, PROXY, &forwarded("192.0.2.9")).await, LET_IN);
}

#[tokio::test(start_paused = true)]
async fn an_ipv4_client_is_the_same_on_a_listener_for_both() {
    let app = with(&["--rate", "2/s"]);
    assert_eq!(statuses(&app, "[::ffff:192.0.2.1]:1", &[]).await, LET_IN);
    assert_eq!(statuses(&app, ANN, &[]).await, [429; 3]);
    assert_eq!(statuses(&app, "[::ffff:192.0.2.2]:1", &[]).await, LET_IN);
    assert_eq!(limits(&app, "[::ffff:192.0.2.2]:1", &[]).await["key"], "192.0.2.2");
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_for_want_of_room_pays_nothing() {
    let app = with(&["--max-in-flight", "0", "--rate", "2/s"]);
    assert_eq!(statuses(&app, ANN, &[]).await, [429; 3]);
    assert!(app.handles.limits.buckets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_meets_the_rate_who_has_not_set_it_lower() {
    let app = with(&[]);
    for _ in 0..1000 {
        assert_eq!(get(&app, "/nowhere").await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn the_page_says_how_to_ask_too_often_and_as_whom() {
    async fn page(flags: &[&str]) -> String {
        text(get(&with(flags), "/").await).await
    }
    let usual = page(&[]).await;
    for part in ["<code>GET /limits</code>", "than 1000/s", "cargo run -- --rate 20/s"] {
        assert!(usual.contains(part), "{part}");
    }
    let slow = page(&["--rate", "9/s", "--burst", "3", "--rate-key", "header:x-o'key"]).await;
    for part in ["than 9/s burst 3", "/?[1-8]'", r"-H 'x-o'\''key: me' http"] {
        assert!(slow.contains(part), "{part}");
    }
    assert!(page(&["--rate", "9/s", "--burst", "996"]).await.contains("--rate 20/s"));
}
