//! What a hostile look at several windows has found.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use palisade_core::Rejection;
use palisade_limit_rate::{
    ExactStore, LimitRateLayer, Offender, RateLimitHeaders, Store, TableStore, Window,
};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt};

use crate::{ONE, SECOND, by_client, from, quota};

fn n(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

#[allow(clippy::disallowed_methods, reason = "stores are given their times")]
fn start() -> Instant {
    Instant::now()
}

#[derive(Clone)]
struct Ok200;

impl Service<Request<()>> for Ok200 {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Empty::new())))
    }
}

/// One base, from which the layers of two routes are made.
#[tokio::test(start_paused = true)]
async fn windows_of_different_names_do_not_share_a_bucket() {
    let base = LimitRateLayer::new(quota("100/s"), by_client());
    let exports = base.clone().with_quota("exports", quota("2/d"));
    let searches = base.with_quota("searches", quota("1000/h"));
    for _ in 0..2 {
        assert_eq!(exports.layer(Ok200).oneshot(from("blue")).await.unwrap().status(), 200);
    }
    assert_eq!(searches.layer(Ok200).oneshot(from("blue")).await.unwrap().status(), 200);
}

/// By one store that is shared on purpose.
#[tokio::test(start_paused = true)]
async fn layers_that_share_a_store_share_windows_by_name() {
    let store = Arc::new(TableStore::new());
    let layer = || {
        let layer = LimitRateLayer::new(quota("100/s"), by_client());
        layer.with_shared_store(Arc::clone(&store))
    };
    let one = layer().with_quota("hourly", quota("50/h")).with_quota("daily", quota("60/d"));
    let other = layer().with_quota("daily", quota("60/d"));
    one.handle().window("daily").unwrap().take(b"blue", n(60));
    assert_eq!(other.handle().window("daily").unwrap().get(b"blue").remaining(), 0);
}

/// A key that owes two bursts, in a flood of keys that used a fifth of theirs.
#[test]
fn who_owes_more_than_a_burst_is_not_the_first_to_be_forgotten() {
    let (store, now) = (TableStore::new().with_capacity(1 << 10), start());
    let window = Window::from(quota("5/100s"));
    let blocked = ["mallory", "trudy", "eve", "oscar"];
    for key in blocked {
        store.charge(key, window, n(10), now);
        assert!(!store.get(key, window, now).allowed());
    }
    for key in 0..20_000_u32 {
        store.charge(&key, window, ONE, now);
    }
    let freed: Vec<_> =
        blocked.iter().filter(|key| store.get(**key, window, now).remaining() == 5).collect();
    assert!(freed.is_empty(), "{freed:?} got an amnesty");
}

/// One request of each key of a flood.
fn freed_by_a_flood(store: &impl Store<str>, short: &str, long: &str) -> usize {
    let (windows, now) = ([Window::new(0, quota(short)), Window::new(1, quota(long))], start());
    let blocked: Vec<_> = (0..50).map(|key| format!("blocked{key}")).collect();
    for key in &blocked {
        assert!(store.take(key, windows[0], windows[0].quota().burst(), now).allowed());
    }
    for key in 0..20_000 {
        assert!(store.take_all(&format!("{key}"), &windows, ONE, now).allowed());
    }
    blocked.iter().filter(|key| store.get(key.as_str(), windows[0], now).remaining() > 0).count()
}

#[test]
fn a_minutes_window_does_not_push_out_that_of_a_second() {
    for (short, long) in [("20/s", "30/min"), ("10/s", "20/d"), ("10/s", "100/366d")] {
        let exact = ExactStore::<String>::new().with_max_keys(1 << 10);
        assert_eq!(freed_by_a_flood(&exact, short, long), 0, "{short} beside {long}");
    }
}

/// One client that has a quota of a year reprices everybody's bucket of that window in its shard.
#[tokio::test(start_paused = true)]
async fn a_plan_of_a_year_does_not_reprice_those_of_others() {
    async fn freed(with_year: bool) -> usize {
        let layer = LimitRateLayer::new(quota("60/min"), by_client())
            .with_quota("exports", quota("3/h"))
            .with_named_quota_for("exports", |head| match head.header("x-plan")?.as_bytes() {
                b"year" => Some(quota("1000/366d")),
                _ => Some(quota("3/h")),
            })
            .with_store(ExactStore::<Vec<u8>>::new().with_max_keys(1000));
        let mut service = layer.layer(Ok200);
        let export = |client: &str, plan: &str| {
            let request = Request::get("/").header("x-client", client).header("x-plan", plan);
            request.body(()).unwrap()
        };
        for key in 0..20 {
            for expected in [200, 200, 200, 429] {
                let request = export(&format!("blocked{key}"), "free");
                let answer = service.ready().await.unwrap().call(request).await.unwrap();
                assert_eq!(answer.status(), expected);
            }
        }
        if with_year {
            let _ = service.ready().await.unwrap().call(export("yearly", "year")).await.unwrap();
        }
        for key in 0..20_000 {
            let request = from(&format!("{key}"));
            let _ = service.ready().await.unwrap().call(request).await.unwrap();
        }
        let exports = layer.handle().window("exports").unwrap();
        let get = |key| exports.get(format!("blocked{key}").as_bytes()).remaining();
        (0..20).filter(|key| get(*key) > 0).count()
    }
    assert_eq!((freed(false).await, freed(true).await), (0, 0));
}

/// Who sends as little as this said is refused again.
#[tokio::test(start_paused = true)]
async fn a_refusal_for_ever_names_the_least_burst() {
    let layer = LimitRateLayer::new(quota("5/s"), by_client())
        .with_quota("daily", quota("3/d"))
        .with_cost(|_| n(10));
    let refused = layer.layer(Ok200).oneshot(from("blue")).await.unwrap();
    let line = Rejection::of(&refused).unwrap().to_string();
    assert_eq!(line, "This request counts as 10, and at most 3 are allowed at once.");
}

/// The worst offender is refused by the day's window and so draws nothing from the second's.
#[tokio::test(start_paused = true)]
async fn offending_keys_lists_whom_a_further_window_refuses() {
    let layer = LimitRateLayer::new(quota("2/s"), by_client())
        .with_quota("daily", quota("3/d"))
        .with_store(ExactStore::<Vec<u8>>::new());
    let mut service = layer.layer(Ok200);
    for _ in 0..60 {
        let _ = service.ready().await.unwrap().call(from("blue")).await.unwrap();
        let _ = service.call(from("green")).await.unwrap();
        advance(10 * SECOND).await;
        tokio::task::yield_now().await;
    }
    let buckets = layer.handle();
    assert_eq!(buckets.window("daily").unwrap().offending_keys().len(), 2);
    assert_eq!(buckets.offenders().len(), 2);
    assert_eq!(buckets.offending_keys().len(), 2);
}

/// By as many as ask at once, as often as there is one token again: what is documented, and not more.
#[tokio::test(start_paused = true)]
async fn failures_stay_within_the_documented_race_bound() {
    let layer = LimitRateLayer::new(quota("3/h"), by_client()).charge_when(|_| true);
    let slow = layer.layer(Probe::new().with_head(Pace::After(SECOND), Act::Succeed));
    let (in_flight, began, mut passed) = (20, tokio::time::Instant::now(), 0_u64);
    for _ in 0..24 {
        let all: Vec<_> =
            (0..in_flight).map(|_| tokio::spawn(slow.clone().oneshot(from("blue")))).collect();
        for one in all {
            passed += u64::from(one.await.unwrap().unwrap().status() == 200);
        }
        let wait = layer.handle().get(b"blue").retry_after();
        advance(wait.unwrap_or_default()).await;
    }
    // An empty bucket takes an hour to fill.
    let hours = began.elapsed().as_secs() / 3600 + 1;
    let bound = 3 + 3 * hours + in_flight * (hours + 1);
    assert!(passed <= bound, "{passed} in {hours} h, of {bound}");
    assert!(passed > bound / 3, "the bound says nothing");
}

/// Whoever waits for as long as a charge said is let in.
#[test]
fn a_charge_tells_when_there_is_enough_again() {
    let mut late = vec![];
    for offset in 0..64_u64 {
        let (store, window) = (TableStore::new(), Window::from(quota("1/100s")));
        let now = start() + Duration::from_nanos(offset);
        store.charge("alice", window, ONE, now);
        let told = store.charge("alice", window, ONE, now + Duration::from_nanos(1));
        let when = now + Duration::from_nanos(1) + told.retry_after().unwrap();
        if !store.take("alice", window, ONE, when).allowed() {
            late.push(store.get("alice", window, when).retry_after());
        }
    }
    assert!(late.is_empty(), "{} of 64, by {:?}", late.len(), late.iter().max());
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_never_earlier_than_any_t() {
    let layer = LimitRateLayer::new(quota("2/s"), by_client())
        .with_quota("daily", quota("5/d"))
        .with_headers(RateLimitHeaders::Draft);
    let mut service = layer.layer(Ok200);
    for _ in 0..2 {
        let _ = service.ready().await.unwrap().call(from("blue")).await.unwrap();
    }
    let refused = service.call(from("blue")).await.unwrap();
    assert_eq!(refused.status(), 429);
    let after: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    let told = refused.headers()["ratelimit"].to_str().unwrap();
    for t in told.split("t=").skip(1) {
        let t: u64 =
            t.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
        assert!(after >= t, "Retry-After: {after}, RateLimit: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_minute_halves_also_when_somebody_looks_in_between() {
    let layer = LimitRateLayer::new(quota("1/d"), by_client());
    let mut service = layer.layer(Ok200);
    for _ in 0..65 {
        let _ = service.ready().await.unwrap().call(from("blue")).await.unwrap();
    }
    let refused = || layer.handle().offender(b"blue").as_ref().map_or(0, Offender::refused);
    assert_eq!(refused(), 64);
    for _ in 0..4 {
        advance(Duration::from_secs(119)).await;
        let _ = refused();
    }
    // 476 s, which are seven minutes.
    assert_eq!(refused(), 0, "64 >> 7");
}
