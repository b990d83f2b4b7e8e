//! Probes, the task whose heart can be stopped, and how the server leaves; in paused time.

use palisade::health::{Phase, Probe, Status};
use tokio::{net::TcpListener, time::sleep};

use super::{
    breakers::{json, told},
    *,
};
use crate::upstream::Running;

const SECOND: Duration = Duration::from_secs(1);

/// The status and the body of an answer.
async fn read(response: Response<Body>) -> (u16, String) {
    (response.status().as_u16(), text(response).await)
}

/// What somebody at this address is told of readiness who asks for all of it.
async fn told_all(app: &App, peer: &str) -> (u16, String) {
    let mut request = Request::get("/readyz?verbose").body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.parse().unwrap()));
    read(send(app, request).await).await
}

/// With an upstream that is there.
async fn with_upstream(flags: &[&str]) -> (App, Running) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = with(&[flags, &["--upstream-listen", &address]].concat());
    let running = Running::start(listener, app.handles.behaviour.clone());
    (app, running)
}

/// Until readiness is this. Not in paused time, in which no socket gets anywhere.
async fn until(app: &App, status: Status) {
    let mut reports = app.handles.health.subscribe();
    let is_so = reports.wait_for(|report| report.status(Probe::Readiness) == status);
    tokio::time::timeout(60 * SECOND, is_so).await.unwrap().unwrap();
}

#[tokio::test]
async fn probes_are_answered_while_all_else_is_refused() {
    let app = with(&["--max-in-flight", "0", "--rate", "1/h"]);
    for uri in ["/livez", "/startupz", "/livez", "/livez?verbose"] {
        let response = get(&app, uri).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(read(response).await, (200, "pass\n".into()), "{uri}");
    }
    // Nothing is known of the upstream yet.
    assert_eq!(read(get(&app, "/readyz").await).await, (200, "warn\n".into()));
    let response = send(&app, Request::post("/readyz").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn grpc_health_is_answered_at_the_same_place() {
    let request = Request::post("/grpc.health.v1.Health/Check");
    let request = request.header("content-type", "application/grpc");
    let body = Body::from(&[0_u8; 5][..]);
    let response = send(&limited(0), request.body(body).unwrap()).await;
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(&collected.to_bytes()[..], [0, 0, 0, 0, 2, 8, 1]);
}

#[tokio::test]
async fn an_upstream_that_fails_degrades_the_server_and_a_share_of_failures_does_not() {
    let (app, upstream) = with_upstream(&["--check-every", "5ms"]).await;
    until(&app, Status::Pass).await;
    let (status, report) = told_all(&app, "127.0.0.1:1").await;
    assert_eq!((status, report.lines().last()), (200, Some("pass")), "{report}");
    for item in ["[+] sampler pass", "[+] upstream pass", "[+] breaker pass"] {
        assert!(report.contains(item), "{report}");
    }

    told(&app, "PUT", "/upstream/mode", r#"{"fail": 1}"#).await;
    until(&app, Status::Warn).await;
    let (status, report) = told_all(&app, "[::ffff:127.0.0.1]:1").await;
    assert_eq!((status, report.lines().last()), (200, Some("warn")), "{report}");
    assert!(report.contains("it answered 503 Service Unavailable\n"), "{report}");

    told(&app, "PUT", "/upstream/mode", r#"{"fail": 0.5}"#).await;
    until(&app, Status::Pass).await;
    // Each second call fails, and none of those of the check counts.
    let answers = [get(&app, "/upstream").await, get(&app, "/upstream").await];
    let mut attempts = Vec::new();
    for answer in answers {
        attempts.push(json(answer).await["attempts"].clone());
    }
    assert_eq!(attempts, [1, 2]);
    upstream.stop().await;
    until(&app, Status::Warn).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_degrades_it_and_never_makes_it_not_ready() {
    let app = with(&[]);
    app.handles.upstream.switch.force_open();
    sleep(2 * SECOND).await;
    let (status, report) = told_all(&app, "127.0.0.1:1").await;
    assert_eq!(status, 200, "{report}");
    assert!(report.contains("[+] breaker warn"), "{report}");
    assert!(report.contains(" s: open: calls to the upstream are refused\n"), "{report}");
    app.handles.upstream.switch.force_closed();
    sleep(2 * SECOND).await;
    assert!(told_all(&app, "127.0.0.1:1").await.1.contains("[+] breaker pass"));
}

#[tokio::test]
async fn details_are_for_who_asks_from_this_machine() {
    let app = with(&[]);
    for (peer, may) in [
        ("127.0.0.1:1", true),
        ("[::1]:1", true),
        ("192.0.2.1:1", false),
        ("[2001:db8::1]:1", false),
    ] {
        let (_, report) = told_all(&app, peer).await;
        assert_eq!(report.contains("upstream"), may, "{peer}: {report}");
    }
    // Who is not known is nobody's neighbour.
    assert_eq!(text(get(&app, "/readyz?verbose").await).await, "warn\n");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_hangs_makes_it_not_ready_until_it_goes_on() {
    let app = with(&[]);
    let post = async |uri: &str| {
        let request = Request::post(uri).body(Body::empty()).unwrap();
        json(send(&app, request).await).await
    };
    sleep(10 * SECOND).await;
    assert!(app.handles.health.status(Probe::Readiness).is_up());

    let said = post("/demo/hang").await;
    assert_eq!((&said["sampler"], &said["readiness"]), (&"hung".into(), &"warn".into()));
    assert!(said["next"].to_string().contains("3s ago; POST /demo/resume"), "{said}");
    let samples = said["samples"].as_u64().unwrap();
    assert!((10..=11).contains(&samples), "{samples}");
    sleep(SECOND).await;
    assert!(app.handles.health.status(Probe::Readiness).is_up(), "it beat a moment ago");
    sleep(2 * SECOND).await;
    assert_eq!(read(get(&app, "/readyz").await).await, (503, "fail\n".into()));
    assert_eq!(get(&app, "/livez").await.status(), StatusCode::OK);
    // It is asked for less, and serves all the same.
    assert_eq!(get(&app, "/work").await.status(), StatusCode::OK);

    let said = post("/demo/resume").await;
    assert_eq!((&said["sampler"], &said["samples"]), (&"runs".into(), &samples.into()));
    sleep(2 * SECOND).await;
    assert!(get(&app, "/readyz").await.status().is_success());
    assert!(post("/demo/resume").await["samples"].as_u64() > Some(samples));
}

#[tokio::test(start_paused = true)]
async fn the_sampler_sees_how_many_requests_are_in_flight() {
    let app = with(&[]);
    let held = [get(&app, "/stream?every_ms=2000").await, get(&app, "/stream?every_ms=2000").await];
    sleep(2 * SECOND).await;
    drop(held);
    sleep(2 * SECOND).await;
    assert_eq!(app.handles.sampler.most(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_leaves_not_ready_first_then_refusing_then_gone() {
    let app = with(&[]);
    let held = get(&app, "/stream").await;
    app.handles.health.drain(5 * SECOND);
    assert_eq!(read(get(&app, "/readyz").await).await, (503, "fail\n".into()));
    assert_eq!(get(&app, "/livez").await.status(), StatusCode::OK);
    assert_eq!(get(&app, "/work").await.status(), StatusCode::OK);
    assert_eq!(app.handles.health.phase(), Phase::Draining);

    sleep(5 * SECOND).await;
    let refused = get(&app, "/work").await;
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(
        (refused.status().as_u16(), &problem(refused).await["type"]),
        (503, &"urn:palisade:shutting-down".into())
    );
    assert_eq!(get(&app, "/livez").await.status(), StatusCode::OK);
    assert_eq!(app.handles.health.in_flight(), 1);
    drop(held);
    app.handles.health.drained().await;
    assert_eq!(app.handles.health.phase(), Phase::Drained);
}

#[tokio::test]
async fn the_page_says_how_to_probe_it_and_how_it_leaves() {
    let flags = ["--heartbeat", "7s", "--drain-delay", "8s", "--grace", "9s"];
    let page = text(get(&with(&flags), "/").await).await;
    for part in ["/startupz", "/grpc.health.v1.Health/Check", "7s later", "after 8s", "after 9s"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains(&format!("kill -TERM {}", std::process::id())));
}
