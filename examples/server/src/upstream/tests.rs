//! The upstream without a socket, in paused time.

use axum::{body::Body, http::Request};
use tokio::time::Instant;
use tower::ServiceExt;

use super::*;

async fn answers(behaviour: &Behaviour, calls: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..calls {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let answer = router(behaviour.clone()).oneshot(request).await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    statuses
}

fn behaving(fail: f64, latency_ms: u64) -> Behaviour {
    let behaviour = Behaviour::default();
    behaviour.set(Mode { fail, latency_ms, ..Mode::default() });
    behaviour
}

#[tokio::test]
async fn it_fails_as_often_as_it_was_told_to_and_evenly() {
    assert_eq!(answers(&Behaviour::default(), 3).await, [200; 3]);
    assert_eq!(answers(&behaving(1.0, 0), 3).await, [503; 3]);
    assert_eq!(answers(&behaving(0.5, 0), 4).await, [200, 503, 200, 503]);
    assert_eq!(answers(&behaving(0.25, 0), 5).await, [200, 200, 200, 503, 200]);
    // However these are rounded.
    for (fail, of_a_thousand) in [(0.1, 100), (0.3, 300), (0.7, 700), (0.001, 1)] {
        let failed = answers(&behaving(fail, 0), 1000).await;
        assert_eq!(failed.iter().filter(|status| **status == 503).count(), of_a_thousand);
    }
}

#[tokio::test(start_paused = true)]
async fn it_takes_as_long_as_it_was_told_to() {
    let start = Instant::now();
    assert_eq!(answers(&behaving(0.0, 30_000), 1).await, [200]);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn told_anew_it_forgets_what_it_owed() {
    let behaviour = behaving(0.5, 0);
    assert_eq!(answers(&behaviour, 1).await, [200]);
    behaviour.set(Mode { fail: 0.5, ..Mode::default() });
    assert_eq!(answers(&behaviour, 2).await, [200, 503]);
}

#[tokio::test]
async fn it_fails_as_it_was_told_to_and_takes_what_it_is_sent() {
    for status in FAILURES {
        let behaviour = Behaviour::default();
        behaviour.set(Mode { fail: 0.5, status, ..Mode::default() });
        assert_eq!(answers(&behaviour, 2).await, [200, status.as_u16()]);
    }
    let request = Request::post("/").body(Body::from("soup")).unwrap();
    let answer = router(Behaviour::default()).oneshot(request).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
    assert_eq!(body, r#"{"took":"soup","upstream":"is well"}"#);
}
