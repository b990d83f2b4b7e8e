//! Several windows, tiers, what is charged by the answer, and what the operator sees of it, in paused time.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod charged;
mod edges;

use std::{
    convert::Infallible,
    future::ready,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use palisade_core::{Head, Rejection};
use palisade_key::{ExtractKey, HeaderKey, Missing};
use palisade_limit_rate::{
    COST_OVER_BURST, Decision, ExactStore, LimitRateLayer, Offender, Quota, RateLimitHeaders, Store,
};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

const ONE: NonZeroU32 = NonZeroU32::MIN;
const SECOND: Duration = Duration::from_secs(1);

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

fn by_client() -> HeaderKey {
    HeaderKey::new(HeaderName::from_static("x-client"))
}

/// Two a second, and five a day.
fn layer() -> LimitRateLayer<HeaderKey> {
    LimitRateLayer::new(quota("2/s"), by_client())
        .with_name("burst")
        .with_quota("daily", quota("5/d"))
}

fn from(client: &str) -> Request<()> {
    Request::get("/").header("x-client", client).body(()).unwrap()
}

/// Answers with the status that the request asks for.
fn service<K, St>(
    layer: &LimitRateLayer<K, St>,
) -> impl Service<Request<()>, Response = Response<impl http_body::Body<Data = Bytes>>, Error = Infallible>
where
    K: ExtractKey,
    St: Store<K::Key>,
{
    layer.layer(service_fn(|request: Request<()>| {
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = request
            .headers()
            .get("x-answer")
            .map_or(StatusCode::OK, |status| StatusCode::from_bytes(status.as_bytes()).unwrap());
        ready(Ok::<_, Infallible>(response))
    }))
}

async fn status<K: ExtractKey, St: Store<K::Key>>(
    layer: &LimitRateLayer<K, St>,
    request: Request<()>,
) -> u16 {
    service(layer).oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn who_asks_needs_tokens_in_each_window() {
    let layer = layer();
    for expected in [[200, 200, 429], [200, 200, 429], [200, 429, 429]] {
        for expected in expected {
            assert_eq!(status(&layer, from("blue")).await, expected);
        }
        advance(SECOND).await;
    }
    assert_eq!(status(&layer, from("red")).await, 200);
    let [burst, daily] = ["burst", "daily"].map(|name| layer.handle().window(name).unwrap());
    // What the day refused was not taken from the second.
    assert_eq!((burst.get(b"blue").remaining(), daily.get(b"blue").remaining()), (2, 0));
    assert_eq!(layer.handle().refused(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_binding_window_comes_first_and_a_refusal_names_those_that_refused() {
    const POLICY: &str = r#""burst";q=2;w=1, "daily";q=5;w=86400"#;
    let layer = layer().with_headers(RateLimitHeaders::Draft);
    let header = |response: &Response<_>, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let answer = service(&layer).oneshot(from("blue")).await.unwrap();
    assert_eq!(header(&answer, "ratelimit-policy").unwrap(), POLICY);
    assert_eq!(header(&answer, "ratelimit").unwrap(), r#""burst";r=1;t=1, "daily";r=4;t=17280"#);
    for _ in 0..2 {
        service(&layer).oneshot(from("blue")).await.unwrap();
        advance(SECOND).await;
    }
    service(&layer).oneshot(from("blue")).await.unwrap();
    let last = service(&layer).oneshot(from("blue")).await.unwrap();
    assert_eq!(header(&last, "ratelimit").unwrap(), r#""daily";r=0;t=17279, "burst";r=0;t=1"#);

    let refused = service(&layer).oneshot(from("blue")).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "ratelimit-policy").unwrap(), POLICY);
    assert_eq!(header(&refused, "retry-after").unwrap(), "17279");
    let problem = refused.into_body().collect().await.ok().unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&problem).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["burst", "daily"]));
    advance(SECOND).await;
    let refused = service(&layer).oneshot(from("blue")).await.unwrap();
    let told: Vec<_> = Rejection::of(&refused).unwrap().members().collect();
    assert_eq!(told, [("violated-policies", &["daily".to_owned()][..])]);
}

#[tokio::test(start_paused = true)]
async fn what_costs_more_than_one_of_the_bursts_is_never_let_in() {
    let layer = layer().with_cost(|_| NonZeroU32::new(3).unwrap());
    let refused = service(&layer).oneshot(from("blue")).await.unwrap();
    assert_eq!(Rejection::of(&refused).unwrap().reason(), COST_OVER_BURST);
    let line = Rejection::of(&refused).unwrap().to_string();
    assert_eq!(line, "This request counts as 3, and at most 2 are allowed at once.");
    assert_eq!(layer.handle().window("daily").unwrap().get(b"blue").remaining(), 5);
}

#[tokio::test(start_paused = true)]
async fn those_without_a_key_share_a_bucket_in_each_window() {
    let layer = layer();
    let nobody = || Request::new(());
    for expected in [200, 200, 429] {
        assert_eq!(status(&layer, nobody()).await, expected);
    }
    let daily = layer.handle().window("daily").unwrap();
    assert_eq!((layer.handle().get_shared().remaining(), daily.get_shared().remaining()), (0, 3));
    assert_eq!(status(&layer.clone().with_missing(Missing::Reject), nobody()).await, 400);
    assert_eq!(status(&layer.clone().with_missing(Missing::Skip), nobody()).await, 200);
    assert_eq!(status(&layer.with_missing(Missing::Reject).with_shadow(), nobody()).await, 200);
}

#[test]
fn windows_are_found_by_name_and_known_ones_change_their_quota() {
    let layer = layer().with_quota("daily", quota("7/d")).with_quota("burst", quota("3/s"));
    let windows = layer.handle().windows();
    let told: Vec<_> = windows.map(|one| (one.name().to_owned(), one.quota())).collect();
    assert_eq!(told, [("burst".to_owned(), quota("3/s")), ("daily".to_owned(), quota("7/d"))]);
    assert!(layer.handle().window("hourly").is_none());
    assert_eq!(layer.handle().name(), "burst");
    layer.handle().window("daily").unwrap().set_quota(quota("9/d"));
    assert_eq!(layer.handle().windows().nth(1).unwrap().quota(), quota("9/d"));
    // A store that is put in later keeps them.
    let layer = layer.with_store(ExactStore::<Vec<u8>>::new());
    assert_eq!(layer.handle().window("daily").unwrap().quota(), quota("9/d"));
}

#[test]
#[should_panic(expected = "two windows cannot both be named \"daily\"")]
fn two_windows_cannot_have_one_name() {
    let _ = layer().with_name("daily");
}

#[test]
#[should_panic(expected = "the name of a window is printable ASCII, not \"täglich\"")]
fn a_name_that_no_header_can_say_is_a_mistake() {
    let _ = layer().with_name("täglich");
}

#[test]
#[should_panic(expected = "a layer has at most 8 windows")]
fn a_ninth_window_is_too_much() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let _ = names.into_iter().fold(layer(), |layer, name| layer.with_quota(name, quota("1/h")));
}

#[test]
#[should_panic(expected = "no window is named \"weekly\"")]
fn a_tier_of_a_window_that_is_not_there_is_a_mistake() {
    let _ = layer().with_named_quota_for("weekly", |_| None);
}

fn plan(head: Head<'_>) -> Option<Quota> {
    match head.header("x-plan")?.as_bytes() {
        b"paid" => Some(quota("4/s")),
        b"tiny" => Some(quota("1/s")),
        _ => None,
    }
}

fn of_plan(client: &str, plan: &str) -> Request<()> {
    let request = Request::get("/").header("x-client", client).header("x-plan", plan);
    request.body(()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_plan_has_its_quota_and_none_passes_by_all_windows() {
    let layer = layer().with_quota_for(plan).with_headers(RateLimitHeaders::Draft);
    for _ in 0..9 {
        assert_eq!(status(&layer, of_plan("blue", "ours")).await, 200);
    }
    assert_eq!(layer.handle().len(), 0);
    for expected in [200, 200, 200, 200, 429] {
        assert_eq!(status(&layer, of_plan("red", "paid")).await, expected);
    }
    let told = service(&layer).oneshot(of_plan("green", "tiny")).await.unwrap();
    assert_eq!(told.headers()["ratelimit-policy"], r#""burst";q=1;w=1, "daily";q=5;w=86400"#);
    assert_eq!(status(&layer, of_plan("green", "tiny")).await, 429);
}

#[tokio::test(start_paused = true)]
async fn another_plan_is_no_fresh_bucket() {
    let layer = LimitRateLayer::new(quota("2/s"), by_client()).with_quota_for(plan);
    for expected in [200, 429] {
        assert_eq!(status(&layer, of_plan("blue", "tiny")).await, expected);
    }
    // A second is owed, which is all that this plan's bucket holds, too.
    assert_eq!(status(&layer, of_plan("blue", "paid")).await, 429);
    advance(SECOND / 4).await;
    for expected in [200, 429] {
        assert_eq!(status(&layer, of_plan("blue", "paid")).await, expected);
    }
    assert_eq!(status(&layer, of_plan("blue", "tiny")).await, 429);
}

#[tokio::test(start_paused = true)]
async fn a_further_window_may_have_tiers_and_leave_some_out() {
    let layer = layer().with_named_quota_for("daily", |head| {
        (head.header("x-plan")? == "paid").then(|| quota("1/d"))
    });
    for expected in [200, 429] {
        assert_eq!(status(&layer, of_plan("blue", "paid")).await, expected);
    }
    for expected in [200, 200, 429] {
        assert_eq!(status(&layer, from("red")).await, expected);
    }
    assert_eq!(layer.handle().window("daily").unwrap().get(b"red").remaining(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_have_a_quota_of_its_own_in_one_window_for_a_time() {
    let layer = layer().with_quota_for(|_| Some(quota("2/s")));
    let daily = layer.handle().window("daily").unwrap();
    let until = (tokio::time::Instant::now() + 5 * SECOND).into_std();
    daily.set(b"blue", quota("1/d"), Some(until)).unwrap();
    layer.handle().set(b"red", quota("3/s"), None).unwrap();
    for expected in [200, 429] {
        assert_eq!(status(&layer, from("blue")).await, expected);
    }
    for expected in [200, 200, 200, 429] {
        // What the operator gave comes before the plan's.
        assert_eq!(status(&layer, from("red")).await, expected);
    }
    advance(5 * SECOND).await;
    assert_eq!(daily.get(b"blue").policy(), quota("5/d"));
    assert_eq!(status(&layer, from("blue")).await, 429, "what it owed it keeps, as time");
    daily.reset(b"blue");
    assert_eq!(status(&layer, from("blue")).await, 200);
}

#[tokio::test(start_paused = true)]
async fn offenders_are_counted_without_a_name_and_found_by_those_who_know_them() {
    let layer = layer();
    for (client, times) in [("blue", 9), ("red", 4), ("green", 2)] {
        for _ in 0..times {
            status(&layer, from(client)).await;
        }
    }
    let buckets = layer.handle();
    let refused: Vec<_> = buckets.offenders().iter().map(Offender::refused).collect();
    assert_eq!(refused, [7, 2]);
    assert_eq!(buckets.offender(b"blue").unwrap().refused(), 7);
    assert!(buckets.offender(b"green").is_none());
    assert!(!format!("{buckets:?} {:?}", buckets.offenders()).contains("blue"));

    let layer = layer.with_store(ExactStore::<Vec<u8>>::new());
    for client in ["blue", "blue", "blue", "red"] {
        status(&layer, from(client)).await;
    }
    let known = layer.handle().offending_keys();
    assert_eq!(known.len(), 1);
    assert_eq!((known[0].0.as_slice(), known[0].1.at_least()), (&b"blue"[..], 1));
}

#[test]
fn the_handle_takes_from_all_windows_or_from_none() {
    let buckets = layer().handle();
    assert!(buckets.take_all(b"blue", NonZeroU32::new(2).unwrap()).allowed());
    let told = buckets.take_all(b"blue", ONE);
    assert_eq!(told.iter().map(Decision::remaining).collect::<Vec<_>>(), [0, 3]);
    assert!(!told.allowed());
}

/// Two threads that ask in two windows of which each may be the one that refuses: what was let in is
/// what both were charged.
#[test]
fn two_threads_are_charged_in_all_windows_for_what_they_got() {
    let layer = LimitRateLayer::new(quota("700/d"), by_client()).with_quota("also", quota("900/d"));
    let (buckets, allowed) = (layer.handle(), Arc::new(AtomicU64::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let told = buckets.take_all(b"blue", ONE).allowed();
                    allowed.fetch_add(u64::from(told), Relaxed);
                }
            });
        }
    });
    // A day's tokens flow in one in two minutes.
    assert!((700..=702).contains(&allowed.load(Relaxed)), "{allowed:?}");
    let also = buckets.window("also").unwrap().get(b"blue").remaining();
    assert!((198..=203).contains(&also), "{also}");
}
