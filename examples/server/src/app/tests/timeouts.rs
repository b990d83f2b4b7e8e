//! What takes too long, or never comes.

use std::convert::Infallible;

use axum::http::HeaderValue;
use futures_util::{StreamExt, stream};

use super::*;

/// A body that sends these pieces, then nothing for an hour.
fn stalling(pieces: &'static [&'static str]) -> Body {
    let silence = stream::once(tokio::time::sleep(Duration::from_secs(3600))).map(|()| "late");
    let pieces = stream::iter(pieces.iter().copied()).chain(silence);
    Body::from_stream(pieces.map(Ok::<_, Infallible>))
}

async fn echo(app: &App, body: Body) -> Response<Body> {
    send(app, Request::post("/echo").body(body).unwrap()).await
}

/// How many pieces of the body come, and whether it then ends as it should.
async fn pieces(response: Response<Body>) -> (usize, bool) {
    let mut body = response.into_body();
    let mut came = 0;
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return (came, false);
        }
        came += 1;
    }
    (came, true)
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_answered_503_and_has_left_its_place() {
    let app = with(&["--timeout", "2s"]);
    let start = Instant::now();
    let response = get(&app, "/work?ms=5000").await;
    assert_eq!(start.elapsed().as_secs(), 2);
    assert_eq!(app.handles.in_flight.in_flight(), 0);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(response).await["type"], "urn:palisade:timed-out");
    assert_eq!(get(&app, "/work?ms=1000").await.status(), StatusCode::OK);
    assert_eq!(app.handles.timeouts.timed_out(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_for_less_time_but_not_for_more() {
    let app = with(&["--timeout", "2s"]);
    for (asked, seconds) in [("1S", 1), ("1H", 2)] {
        let mut request = Request::get("/work?ms=60000").body(Body::empty()).unwrap();
        request.headers_mut().insert("grpc-timeout", HeaderValue::from_static(asked));
        let start = Instant::now();
        assert_eq!(send(&app, request).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(start.elapsed().as_secs(), seconds, "{asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_off_as_the_rule_says() {
    // Of ten pieces, one every second.
    for (flags, expected) in [
        (&["--timeout", "3500ms"] as &[_], (4, false)),
        (&["--timeout", "3500ms", "--timeout-body", "idle:1500ms"], (10, true)),
        (&["--timeout", "1h", "--timeout-body", "idle:500ms"], (1, false)),
        (&["--timeout", "3500ms", "--timeout-body", "excluded"], (10, true)),
    ] {
        let app = with(flags);
        let response = get(&app, "/stream?chunks=10&every_ms=1000").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(pieces(response).await, expected, "{flags:?}");
        assert_eq!(app.handles.timeouts.cut(), u64::from(!expected.1));
        assert_eq!(app.handles.in_flight.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_told_so_and_one_that_stops_is_cut_off() {
    let app = with(&["--request-idle", "1s"]);
    let start = Instant::now();
    let response = echo(&app, stalling(&[])).await;
    assert_eq!(start.elapsed().as_secs(), 1);
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(problem(response).await["type"], "urn:palisade:request-stalled");

    let response = echo(&app, stalling(&["one", "two"])).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(pieces(response).await, (2, false));
    assert_eq!((app.handles.stalls.stalled(), app.handles.in_flight.in_flight()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_want_of_room_is_not_waited_for() {
    let app = limited(0);
    let response = echo(&app, stalling(&[])).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(app.handles.stalls.stalled(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_any_time_all_are_refused_before_they_take_a_place() {
    let app = with(&["--timeout", "0s"]);
    let response = get(&app, "/").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(problem(response).await["type"], "urn:palisade:deadline-expired");
    assert_eq!((app.handles.timeouts.expired(), app.handles.in_flight.admitted()), (1, 0));
}

#[tokio::test]
async fn the_page_says_what_can_be_seen_of_the_timeouts() {
    async fn page(flags: &[&str]) -> String {
        text(get(&with(flags), "/").await).await
    }
    let usual = page(&[]).await;
    for part in ["cut off after 10s", "work?ms=11000", "silent for 5s", "'Content-Length: 5'"] {
        assert!(usual.contains(part), "{part}");
    }
    let long = page(&["--timeout", "1h", "--timeout-body", "idle:7s"]).await;
    for part in ["none comes for 7s", "--timeout 2s"] {
        assert!(long.contains(part), "{part}");
    }
    assert!(page(&["--timeout", "2s"]).await.contains("--request-idle 1s"));
    assert!(!page(&["--timeout-body", "excluded"]).await.contains("and is cut off"));
}
