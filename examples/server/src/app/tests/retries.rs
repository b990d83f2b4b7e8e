//! Calls to an upstream that is not there, and what is posted to it.

use super::{
    breakers::{json, told, without_upstream},
    *,
};

#[tokio::test]
async fn what_never_arrived_is_sent_again_whatever_it_is() {
    let app = without_upstream(&["--breaker-consecutive", "9", "--retry-floor", "0"]);
    let response = send(&app, Request::post("/upstream").body(Body::from("soup")).unwrap()).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(problem(response).await["type"], "about:blank");
    let response = get(&app, "/retries").await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let retries = json(response).await["upstream"].clone();
    assert_eq!([&retries["retried"], &retries["exhausted"], &retries["buffered"]], [2, 1, 0]);
    assert_eq!([&retries["budget"]["balance"], &retries["budget"]["taken"]], [8.0, 2.0]);
}

#[tokio::test]
async fn what_is_posted_is_small() {
    let app = without_upstream(&[]);
    let response = told(&app, "POST", "/upstream", "a".repeat(5000).leak()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let detail = problem(response).await["detail"].to_string();
    assert!(detail.contains("length limit"), "{detail}");
}

#[tokio::test]
async fn the_page_says_what_is_tried_again() {
    let page = text(get(&with(&["--retry-max-attempts", "7"]), "/").await).await;
    for part in ["called up to 7 times", "http://127.0.0.1:3000/retries", "-d soup"] {
        assert!(page.contains(part), "{part}");
    }
}
