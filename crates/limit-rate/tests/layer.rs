//! What the layer does, in paused time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use http::{HeaderName, Request, Response, StatusCode};
use palisade_core::{Rejection, Sent};
use palisade_key::{ExtractKey, Global, Head, HeaderKey, KEY_MISSING, Missing};
use palisade_limit_rate::{
    COST_OVER_BURST, LimitRateLayer, QUOTA_EXCEEDED, Quota, RateLimitHeaders, ResponseBody, Store,
    TableStore,
};
use palisade_testkit::{Probe, ProbeBody};
use tokio::time::advance;
use tower::{Layer, ServiceExt};

const ONE: NonZeroU32 = NonZeroU32::MIN;
const SECOND: Duration = Duration::from_secs(1);
const TWO_A_SECOND: Quota = Quota::per_second(NonZeroU32::new(2).unwrap());

type Answer = Response<ResponseBody<ProbeBody>>;

fn by_client() -> HeaderKey {
    HeaderKey::new(HeaderName::from_static("x-client"))
}

fn layer() -> LimitRateLayer<HeaderKey> {
    LimitRateLayer::new(TWO_A_SECOND, by_client())
}

fn from(client: &str) -> Request<()> {
    Request::get("/").header("x-client", client).body(()).unwrap()
}

async fn send<K, St>(layer: &LimitRateLayer<K, St>, request: Request<()>) -> Answer
where
    K: ExtractKey,
    St: Store<K::Key>,
{
    layer.layer(Probe::new()).oneshot(request).await.unwrap()
}

/// Which of a client's requests, sent at once, are let in.
async fn statuses<const N: usize, K, St>(
    layer: &LimitRateLayer<K, St>,
    request: impl Fn() -> Request<()>,
) -> [u16; N]
where
    K: ExtractKey,
    St: Store<K::Key>,
{
    let mut statuses = [0; N];
    for status in &mut statuses {
        *status = send(layer, request()).await.status().as_u16();
    }
    statuses
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers().get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn each_client_has_a_bucket_of_its_own() {
    let layer = layer();
    assert_eq!(statuses(&layer, || from("ann")).await, [200, 200, 429, 429]);
    assert_eq!(statuses(&layer, || from("ben")).await, [200, 200, 429]);
    advance(SECOND / 2).await;
    assert_eq!(statuses(&layer, || from("ann")).await, [200, 429]);
    assert_eq!((layer.handle().refused(), layer.handle().len()), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_when_to_come_back() {
    let layer = LimitRateLayer::new("6/min burst 1".parse().unwrap(), by_client());
    send(&layer, from("ann")).await;
    advance(Duration::from_millis(1500)).await;
    let refused = send(&layer, from("ann")).await;
    let rejection = Rejection::of(&refused).unwrap();
    assert_eq!((rejection.reason(), rejection.sent()), (QUOTA_EXCEEDED, Sent::No));
    assert_eq!(rejection.retry_after(), Some(Duration::from_millis(8500)));
    assert_eq!(header(&refused, "retry-after"), Some("9"));
    assert_eq!(header(&refused, "ratelimit"), Some(r#""default";r=0;t=9"#));
    assert_eq!(header(&refused, "ratelimit-policy"), Some(r#""default";q=6;w=60"#));
    // Who does as it is told is let in.
    advance(9 * SECOND).await;
    assert_eq!(send(&layer, from("ann")).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn over_grpc_it_is_resource_exhausted_with_the_time_to_wait() {
    let layer = LimitRateLayer::new("1/min".parse().unwrap(), Global);
    let grpc = || {
        let mut request = Request::post("/a.B/C").body(()).unwrap();
        let headers = request.headers_mut();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        request
    };
    send(&layer, grpc()).await;
    let refused = send(&layer, grpc()).await;
    assert_eq!((refused.status().as_u16(), header(&refused, "grpc-status")), (200, Some("8")));
    assert_eq!(header(&refused, "grpc-retry-pushback-ms"), Some("60000"));
    assert!(refused.headers().contains_key("grpc-status-details-bin"));
}

#[tokio::test(start_paused = true)]
async fn allowed_answers_tell_how_a_client_stands_if_they_are_to() {
    let plain = send(&layer(), from("ann")).await;
    assert_eq!((header(&plain, "ratelimit"), header(&plain, "ratelimit-policy")), (None, None));
    let layer = layer().with_headers(RateLimitHeaders::Draft);
    let told = send(&layer, from("ann")).await;
    assert_eq!(header(&told, "ratelimit"), Some(r#""default";r=1;t=1"#));
    assert_eq!(header(&told, "ratelimit-policy"), Some(r#""default";q=2;w=1"#));
}

#[tokio::test(start_paused = true)]
async fn an_outer_limit_says_nothing_over_an_inner_ones_refusal() {
    let inner = LimitRateLayer::new("1/min".parse().unwrap(), Global);
    let both = layer().with_headers(RateLimitHeaders::Draft).layer(inner.layer(Probe::new()));
    let allowed = both.clone().oneshot(from("ann")).await.unwrap();
    assert_eq!(allowed.headers()["ratelimit"], r#""default";r=1;t=1"#);
    let refused = both.oneshot(from("ann")).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["ratelimit"], r#""default";r=0;t=60"#);
    assert_eq!(refused.headers()["ratelimit-policy"], r#""default";q=1;w=60"#);
}

#[tokio::test(start_paused = true)]
async fn a_request_takes_what_it_costs() {
    let cost = |head: Head<'_>| {
        let cost = head.header("x-cost").and_then(|cost| cost.to_str().ok());
        cost.and_then(|cost| cost.parse().ok()).unwrap_or(ONE)
    };
    let layer = LimitRateLayer::new("10/s".parse().unwrap(), Global).with_cost(cost);
    let costs = |cost: &str| Request::get("/").header("x-cost", cost).body(()).unwrap();
    assert_eq!(statuses(&layer, || costs("4")).await, [200, 200, 429]);
    assert_eq!(statuses(&layer, || costs("2")).await, [200, 429]);
}

/// No waiting helps, so nothing says to wait.
#[tokio::test(start_paused = true)]
async fn a_cost_over_the_burst_is_another_refusal_and_not_for_now() {
    let layer = LimitRateLayer::new("10/s".parse().unwrap(), Global)
        .with_cost(|_| NonZeroU32::new(11).unwrap());
    let refused = send(&layer, from("ann")).await;
    let rejection = Rejection::of(&refused).unwrap();
    assert_eq!((rejection.reason(), refused.status().as_u16()), (COST_OVER_BURST, 400));
    assert_eq!(
        rejection.to_string(),
        "This request counts as 11, and at most 10 are allowed at once."
    );
    assert_eq!(header(&refused, "retry-after"), None);
    assert_eq!(header(&refused, "ratelimit"), Some(r#""default";r=10"#));
    assert_eq!(layer.handle().refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_without_a_key_go_by_their_policy() {
    let nobody = || Request::new(());
    let shared = layer();
    assert_eq!(statuses(&shared, nobody).await, [200, 200, 429]);
    assert_eq!(send(&shared, from("ann")).await.status(), 200);
    let all = shared.handle().get_shared();
    assert_eq!((all.remaining(), all.retry_after()), (0, Some(SECOND / 2)));
    assert_eq!(shared.handle().get_shared(), all, "looking takes nothing");
    let skipped = layer().with_missing(Missing::Skip);
    assert_eq!(statuses(&skipped, nobody).await, [200; 9]);
    let rejected = layer().with_missing(Missing::Reject);
    let refused = send(&rejected, nobody()).await;
    assert_eq!(Rejection::of(&refused).unwrap().reason(), KEY_MISSING);
    assert_eq!((refused.status().as_u16(), header(&refused, "ratelimit")), (400, None));
    assert_eq!((rejected.handle().keyless(), rejected.handle().refused()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shadow_counts_and_refuses_nobody() {
    let layer = layer().with_shadow().with_headers(RateLimitHeaders::Draft);
    assert_eq!(statuses(&layer, || from("ann")).await, [200; 5]);
    assert_eq!((layer.handle().shadowed(), layer.handle().refused()), (3, 0));
    let told = send(&layer, from("ann")).await;
    assert_eq!(header(&told, "ratelimit"), Some(r#""default";r=0;t=1"#));
}

#[tokio::test(start_paused = true)]
async fn the_operator_changes_the_quota_while_it_runs() {
    let layer = layer();
    let buckets = layer.handle();
    assert_eq!(statuses(&layer, || from("ann")).await, [200, 200, 429]);
    buckets.set_quota("20/s".parse().unwrap());
    assert_eq!(buckets.quota().to_string(), "20/s");
    // What was owed in time, a second, is twenty tokens now: nobody gets a full bucket by a change.
    assert_eq!(send(&layer, from("ann")).await.status(), 429);
    assert_eq!(send(&layer, from("ben")).await.status(), 200);
    advance(SECOND / 2).await;
    let refused: [u16; 11] = statuses(&layer, || from("ann")).await;
    assert_eq!(refused.iter().filter(|&&status| status == 200).count(), 10);
    let policy = send(&layer, from("ann")).await;
    assert_eq!(header(&policy, "ratelimit-policy"), Some(r#""default";q=20;w=1"#));
}

#[tokio::test(start_paused = true)]
async fn the_handle_has_the_stores_verbs() {
    let layer = layer();
    let buckets = layer.handle();
    let ann: &[u8] = b"ann";
    assert_eq!(buckets.get(ann).remaining(), 2);
    assert!(buckets.take(ann, ONE).allowed());
    assert_eq!(buckets.get(ann).remaining(), 1);
    buckets.refund(ann, ONE);
    assert_eq!(buckets.get(ann).remaining(), 2);
    buckets.set(ann, "5/s".parse().unwrap(), None).unwrap();
    assert_eq!(statuses(&layer, || from("ann")).await, [200, 200, 200, 200, 200, 429]);
    buckets.reset(ann);
    assert_eq!((buckets.get(ann).limit(), buckets.get(ann).remaining()), (2, 2));
    assert_eq!(buckets.refused(), 1, "what the operator takes is not counted");
}

#[tokio::test(start_paused = true)]
async fn another_status_is_used_but_for_what_never_can_be() {
    let layer = layer().with_status(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(statuses(&layer, || from("ann")).await, [200, 200, 503]);
}

#[test]
#[should_panic(expected = "must be 4xx or 5xx, not 200 OK")]
fn a_refusal_cannot_look_like_success() {
    let _ = layer().with_status(StatusCode::OK);
}

/// On axum a layer may be applied before there is a runtime, and the collector needs one.
#[tokio::test(start_paused = true)]
async fn the_collector_begins_with_the_first_request_and_forgets_those_who_owe_nothing() {
    let store = TableStore::new().with_ttl(SECOND).with_sweep_interval(SECOND);
    let layer = LimitRateLayer::new(TWO_A_SECOND, by_client()).with_store(store);
    let buckets = layer.handle();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 0);
    send(&layer, from("ann")).await;
    send(&layer, from("ben")).await;
    assert_eq!((tasks(), buckets.len()), (1, 2));
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((tasks(), buckets.len()), (1, 0));
    drop((layer, buckets));
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(tasks(), 0, "it ends with the last layer");
}

#[tokio::test(start_paused = true)]
async fn the_collector_ends_when_it_is_closed_and_the_buckets_decide_on() {
    let layer = layer();
    send(&layer, from("ann")).await;
    layer.handle().close();
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(statuses(&layer, || from("ann")).await, [200, 200, 429]);
}

#[tokio::test(start_paused = true)]
async fn a_shadow_lets_those_without_a_key_pass_as_well() {
    let layer = layer().with_missing(Missing::Reject).with_shadow();
    assert_eq!(statuses(&layer, || Request::new(())).await, [200; 3]);
    assert_eq!((layer.handle().shadowed(), layer.handle().keyless()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn whatever_the_status_grpc_is_told_that_a_resource_is_exhausted() {
    let layer = LimitRateLayer::new("1/h".parse().unwrap(), Global)
        .with_status(StatusCode::SERVICE_UNAVAILABLE);
    let grpc = || Request::post("/").header("content-type", "application/grpc").body(()).unwrap();
    send(&layer, grpc()).await;
    assert_eq!(header(&send(&layer, grpc()).await, "grpc-status"), Some("8"));
    let layer = layer.with_cost(|_| NonZeroU32::MAX);
    let never = send(&layer, grpc()).await;
    assert_eq!(header(&never, "grpc-status"), Some("8"));
    assert_eq!(header(&never, "grpc-retry-pushback-ms"), None);
}

#[tokio::test(start_paused = true)]
async fn layers_may_share_a_store_and_with_it_their_clients() {
    let store = Arc::new(TableStore::new());
    let layers = [(); 2].map(|()| layer().with_shared_store(Arc::clone(&store)));
    assert_eq!(statuses(&layers[0], || from("ann")).await, [200]);
    assert_eq!(statuses(&layers[1], || from("ann")).await, [200, 429]);
    assert_eq!(statuses(&layers[0], || from("ann")).await, [429]);
    assert_eq!(store.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_store_changes_nothing_else() {
    let layer = layer()
        .with_missing(Missing::Reject)
        .with_status(StatusCode::SERVICE_UNAVAILABLE)
        .with_headers(RateLimitHeaders::Draft)
        .with_cost(|_| NonZeroU32::new(2).unwrap())
        .with_store(TableStore::new());
    assert_eq!(send(&layer, Request::new(())).await.status(), 400);
    let told = send(&layer, from("ann")).await;
    assert_eq!(header(&told, "ratelimit"), Some(r#""default";r=0;t=1"#));
    assert_eq!(send(&layer, from("ann")).await.status(), 503);
    let shadow = layer.with_shadow().with_store(TableStore::new());
    assert_eq!(statuses(&shadow, || from("ben")).await, [200; 3]);
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_or_given_back_is_what_it_costs() {
    let three = NonZeroU32::new(3).unwrap();
    let layer = LimitRateLayer::new("10/h".parse().unwrap(), by_client()).with_cost(move |_| three);
    assert_eq!(statuses(&layer, || Request::new(())).await, [200, 200, 200, 429]);
    let (buckets, ann): (_, &[u8]) = (layer.handle(), b"ann");
    assert_eq!(buckets.take(ann, NonZeroU32::new(9).unwrap()).remaining(), 1);
    buckets.refund(ann, three);
    assert_eq!(buckets.get(ann).remaining(), 4);
}
