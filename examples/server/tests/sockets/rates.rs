//! Who asks too often, over real connections.

use axum::{body::Body, http::Method};
use serde_json::Value;

use crate::process::{Answer, Browser, Server};

/// So slow that no token comes while a test runs.
const TWO_AN_HOUR: [&str; 4] = ["--rate", "2/h", "--burst", "2"];

async fn start(flags: &[&str]) -> Server {
    Server::start(&[&TWO_AN_HOUR, flags].concat()).await
}

async fn get(browser: &Browser, path: &str, (name, value): (&str, &str)) -> Answer {
    let request = browser.request(Method::GET, path).header(name, value);
    browser.ask(request.body(Body::empty()).unwrap()).await
}

/// Which of three requests are let in.
async fn statuses(browser: &Browser, header: (&str, &str)) -> [u16; 3] {
    let mut statuses = [0; 3];
    for status in &mut statuses {
        *status = get(browser, "/work?ms=0", header).await.status();
    }
    statuses
}

async fn limits(browser: &Browser, header: (&str, &str)) -> Value {
    let answer = get(browser, "/limits", header).await;
    assert_eq!(answer.status(), 200);
    serde_json::from_str(&answer.text().await).unwrap()
}

const NOTHING: (&str, &str) = ("accept", "*/*");

#[tokio::test]
async fn a_peer_is_one_client_over_all_its_connections_and_is_told_when_to_come_back() {
    let server = start(&[]).await;
    let (first, second, third) = (server.http1(), server.http2(), server.http1());
    for (browser, left) in [(&first, "1"), (&second, "0")] {
        let answer = browser.get("/work?ms=0").await;
        assert_eq!(answer.status(), 200);
        assert!(answer.header("ratelimit").starts_with(&format!(r#""default";r={left};t="#)));
    }
    for browser in [first, second, third] {
        let refused = browser.get("/work?ms=0").await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.header("ratelimit-policy"), r#""default";q=2;w=3600"#);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1700..=1800).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit"), format!(r#""default";r=0;t={wait}"#));
        assert!(refused.text().await.contains(r#""type":"urn:palisade:quota-exceeded""#));
    }
}

#[tokio::test]
async fn tenants_are_independent_of_each_other() {
    let server = start(&["--rate-key", "header:x-api-key"]).await;
    for (browser, tenants) in [(server.http1(), ["ann", "ben"]), (server.http2(), ["cid", "dee"])] {
        for tenant in tenants {
            assert_eq!(statuses(&browser, ("x-api-key", tenant)).await, [200, 200, 429]);
        }
    }
}

#[tokio::test]
async fn who_is_no_trusted_proxy_cannot_be_somebody_else() {
    for key in ["peer", "forwarded:10.0.0.0/8,2001:db8::/32"] {
        let server = start(&["--rate-key", key]).await;
        let browser = server.http1();
        let mut statuses = [0; 4];
        for (number, status) in statuses.iter_mut().enumerate() {
            let client = format!("192.0.2.{number}");
            *status = get(&browser, "/work?ms=0", ("x-forwarded-for", &client)).await.status();
        }
        assert_eq!(statuses, [200, 200, 429, 429], "{key}");
        assert_eq!(limits(&browser, ("x-forwarded-for", "10.0.0.1")).await["key"], "127.0.0.1");
    }
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_itself() {
    let server = start(&["--rate-key", "forwarded:127.0.0.1"]).await;
    let browser = server.http2();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        assert_eq!(statuses(&browser, ("x-forwarded-for", client)).await, [200, 200, 429]);
    }
    let known = limits(&browser, ("x-forwarded-for", "2001:db8::7")).await;
    assert_eq!((&known["key"], &known["remaining"]), (&"2001:db8::/64".into(), &0.into()));
    assert_eq!(limits(&browser, NOTHING).await["remaining"], 2);
}

#[tokio::test]
async fn each_window_counts_and_a_refusal_names_those_that_refused() {
    let server = start(&["--rate-windows", "daily=3/d, weekly=7/7d"]).await;
    let policy = r#""default";q=2;w=3600, "daily";q=3;w=86400, "weekly";q=7;w=604800"#;
    for browser in [server.http1(), server.http2()] {
        let answer = browser.get("/work?ms=0").await;
        assert_eq!((answer.status(), answer.header("ratelimit-policy")), (200, policy));
    }
    for browser in [server.http1(), server.http2()] {
        let refused = browser.get("/work?ms=0").await;
        assert_eq!((refused.status(), refused.header("ratelimit-policy")), (429, policy));
        assert!(refused.header("ratelimit").starts_with(r#""default";r=0;t="#));
        assert!(refused.text().await.contains(r#""violated-policies":["default"]"#));
    }
    let standing = limits(&server.http1(), NOTHING).await;
    let left = |window: usize| &standing["windows"][window]["remaining"];
    assert_eq!([left(0), left(1), left(2)], [&0, &1, &5]);
    // What binds is the first.
    assert_eq!(standing["name"], "default");
    assert_eq!(standing["retry_after"], standing["windows"][0]["retry_after"]);
    let [offender] = &standing["offenders"].as_array().unwrap()[..] else { panic!("{standing}") };
    assert_eq!((&offender["refused"], &offender["you"]), (&2.into(), &true.into()));
}

#[tokio::test]
async fn to_ask_how_one_stands_is_free_and_never_refused() {
    let server = start(&[]).await;
    for browser in [server.http1(), server.http2()] {
        for _ in 0..5 {
            let standing = limits(&browser, NOTHING).await;
            assert_eq!((&standing["key"], &standing["limit"]), (&"127.0.0.1".into(), &2.into()));
            assert_eq!(standing["policy"], "2/h");
        }
    }
    let browser = server.http1();
    assert_eq!(limits(&browser, NOTHING).await["remaining"], 2);
    assert_eq!(statuses(&browser, NOTHING).await, [200, 200, 429]);
    let standing = limits(&browser, NOTHING).await;
    assert_eq!(standing["remaining"], 0);
    let times = ["retry_after", "reset_after"].map(|time| standing[time].as_f64().unwrap());
    assert!((1700.0..=1800.0).contains(&times[0]) && (3500.0..=3600.0).contains(&times[1]));
    let wrong = browser.send(Method::POST, "/limits", Body::empty()).await;
    assert_eq!((wrong.status(), wrong.header("allow")), (405, "GET,HEAD"));
}
