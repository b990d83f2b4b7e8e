//! What is charged by the answer.

use std::time::Duration;

use http::Request;
use palisade_core::Rejection;
use palisade_key::HeaderKey;
use palisade_limit_rate::{LimitRateLayer, QUOTA_EXCEEDED, RateLimitHeaders};
use palisade_testkit::{Act, Pace, Probe};
use proptest::prelude::*;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::{SECOND, by_client, from, quota, service, status};

fn failed(client: &str, answer: &str) -> Request<()> {
    let request = Request::get("/").header("x-client", client).header("x-answer", answer);
    request.body(()).unwrap()
}

/// Three failed logins an hour.
fn logins() -> LimitRateLayer<HeaderKey> {
    LimitRateLayer::new(quota("3/h"), by_client()).charge_when(|answer| answer.status == 401)
}

#[tokio::test(start_paused = true)]
async fn only_failures_are_charged_and_an_empty_bucket_refuses_all() {
    let layer = logins().with_headers(RateLimitHeaders::Draft);
    for _ in 0..10 {
        assert_eq!(status(&layer, failed("blue", "200")).await, 200);
    }
    for left in ["2", "1", "0"] {
        let answer = service(&layer).oneshot(failed("blue", "401")).await.unwrap();
        assert_eq!(answer.status(), 401);
        let told = answer.headers()["ratelimit"].to_str().unwrap();
        assert!(told.starts_with(&format!(r#""default";r={left};"#)), "{told}");
    }
    assert_eq!(status(&layer, failed("blue", "200")).await, 429);
    assert_eq!(status(&layer, failed("red", "200")).await, 200);
    advance(Duration::from_secs(1200)).await;
    assert_eq!(status(&layer, failed("blue", "401")).await, 401);
    assert_eq!(status(&layer, failed("blue", "200")).await, 429);
    assert_eq!(layer.handle().refused(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_bucket_is_charged_by_the_answer_as_well() {
    let layer = logins();
    let failed = || Request::get("/").header("x-answer", "401").body(()).unwrap();
    for expected in [401, 401, 401, 429] {
        assert_eq!(status(&layer, failed()).await, expected);
    }
    assert!(layer.handle().is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_that_were_in_flight_at_once_are_charged_and_owed_up_to_a_burst() {
    let layer = logins();
    let slow = Probe::new().with_head(Pace::After(SECOND), Act::Succeed);
    let slow = layer.clone().charge_when(|_| true).layer(slow);
    let all: Vec<_> = (0..20).map(|_| tokio::spawn(slow.clone().oneshot(from("blue")))).collect();
    for one in all {
        assert_eq!(one.await.unwrap().unwrap().status(), 200);
    }
    // Three, and as many again: the rest is nobody's.
    let refused = service(&layer).oneshot(from("blue")).await.unwrap();
    assert_eq!(Rejection::of(&refused).unwrap().reason(), QUOTA_EXCEEDED);
    let wait = Rejection::of(&refused).unwrap().retry_after().unwrap();
    assert_eq!(wait, Duration::from_secs(4 * 1200));
}

#[tokio::test(start_paused = true)]
async fn an_answer_nobody_waits_for_is_not_charged() {
    let layer = logins().charge_when(|_| true);
    let slow = Probe::new().with_head(Pace::After(SECOND), Act::Succeed);
    let mut service = layer.layer(slow);
    drop(ServiceExt::<Request<()>>::ready(&mut service).await.unwrap().call(from("blue")));
    assert_eq!(layer.handle().get(b"blue").remaining(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_charges_what_it_would_and_refuses_nobody() {
    let layer = logins().with_shadow();
    for _ in 0..5 {
        assert_eq!(status(&layer, failed("blue", "401")).await, 401);
    }
    assert_eq!((layer.handle().shadowed(), layer.handle().refused()), (2, 0));
    assert_eq!(layer.handle().get(b"blue").reset_after(), Duration::from_secs(3600));
}

proptest! {
    /// Failures over any time, against what the documentation promises of them.
    #[test]
    fn failures_stay_within_their_quota(
        steps in proptest::collection::vec((0..2000_u64, any::<bool>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (layer, mut passed, mut charged) = (logins(), 0, 0);
            for (later, fails) in steps {
                advance(Duration::from_secs(later)).await;
                passed += later;
                let asked = failed("blue", if fails { "401" } else { "200" });
                charged += u64::from(status(&layer, asked).await == 401);
                prop_assert!(charged <= 3 + passed / 1200 + 1);
            }
            Ok(())
        })?;
    }
}
