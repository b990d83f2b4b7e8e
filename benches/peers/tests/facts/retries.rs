//! Trying again.

use std::{
    collections::BTreeSet,
    future::{Ready, ready},
    marker::PhantomData,
    sync::Arc,
    time::Duration,
};

use axum::body::Body;
use http::{Request, Response};
use palisade::retry::{Budget as PalisadeBudget, RetryBody, RetryLayer, RetryPolicy};
use tokio::time::Instant;
use tower::{
    Layer, Service, ServiceExt,
    retry::{
        Policy, RetryLayer as TowerRetryLayer,
        budget::{Budget, TpsBudget},
    },
};
use tower_resilience_retry::{Retry, RetryBudgetBuilder, RetryLayer as EnhancedRetryLayer};

use crate::upstream::{Act, Asked, Broken, SECOND, Upstream, get, post};

type Enhanced<Req> = EnhancedRetryLayer<Req, Response<Body>, Broken>;

fn fails() -> Upstream {
    Upstream::new(Act::Fails)
}

async fn calls<S>(upstream: &Upstream, service: S, request: Asked) -> usize
where
    S: Service<Asked>,
{
    let before = upstream.calls();
    let _ = service.oneshot(request).await;
    upstream.calls() - before
}

/// An error, of which nobody knows how far the request came.
#[tokio::test(start_paused = true)]
async fn a_post_that_failed_palisade_sends_once_and_tower_resilience_three_times() {
    let upstream = fails();
    assert_eq!(calls(&upstream, RetryLayer::default().layer(upstream.clone()), get()).await, 3);
    assert_eq!(calls(&upstream, RetryLayer::default().layer(upstream.clone()), post()).await, 1);
    let enhanced = Enhanced::builder().build().layer(upstream.clone());
    assert_eq!(calls(&upstream, enhanced, post()).await, 3);
}

/// Whether tower-resilience's retry is a service for this request.
struct Takes<Req>(PhantomData<Req>);

trait Otherwise {
    const IT: bool = false;
}

impl<Req> Otherwise for Takes<Req> {}

impl<Req> Takes<Req>
where
    Retry<Upstream, Req, Response<Body>, Broken>: Service<Req>,
{
    const IT: bool = true;
}

#[test]
fn a_request_with_axum_s_body_or_tonic_s_is_none_for_tower_resilience_s_retry() {
    let takes =
        [Takes::<Asked>::IT, Takes::<Request<Body>>::IT, Takes::<Request<tonic::body::Body>>::IT];
    assert_eq!(takes, [true, false, false]);
}

/// What its users write, for want of a copy.
#[derive(Clone)]
struct NoCopy;

impl<Res, E> Policy<Request<Body>, Res, E> for NoCopy {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<Body>, result: &mut Result<Res, E>) -> Option<Ready<()>> {
        result.is_err().then(|| ready(()))
    }

    fn clone_request(&mut self, _: &Request<Body>) -> Option<Request<Body>> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_cloned_palisade_tries_again_and_tower_only_by_a_copy_of_one_s_own()
 {
    let upstream = fails();
    let request = || Request::put("/").body(Body::from("soup")).unwrap();
    let _ = TowerRetryLayer::new(NoCopy).layer(upstream.clone()).oneshot(request()).await;
    assert_eq!(upstream.calls(), 1);
    let upstream = fails();
    let _ = RetryLayer::default().layer(upstream.clone()).oneshot(request()).await;
    assert_eq!(upstream.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn around_tonic_s_body_palisade_tries_again_too() {
    use tonic::body::Body;
    let upstream = fails();
    let layer =
        RetryLayer::new(RetryPolicy::http()).with_body(Body::new as fn(RetryBody<Body>) -> Body);
    let request = Request::put("/").body(Body::empty()).unwrap();
    let _ = layer.layer(upstream.clone()).oneshot(request).await;
    assert_eq!(upstream.calls(), 3);
}

/// How often a hundred requests are sent that all fail.
async fn sends<S>(upstream: &Upstream, service: S) -> usize
where
    S: Service<Asked> + Clone,
{
    for _ in 0..100 {
        let _ = service.clone().oneshot(get()).await;
    }
    upstream.calls()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_that_fail_palisade_sends_110_times_and_tower_resilience_300_times() {
    let upstream = fails();
    assert_eq!(sends(&upstream, RetryLayer::default().layer(upstream.clone())).await, 110);
    let upstream = fails();
    let enhanced = Enhanced::builder().build().layer(upstream.clone());
    assert_eq!(sends(&upstream, enhanced).await, 300);
}

#[tokio::test(start_paused = true)]
async fn tower_resilience_keeps_to_a_budget_that_it_is_given() {
    let budget = RetryBudgetBuilder::new().token_bucket().tokens_per_second(1e-9).max_tokens(10);
    let upstream = fails();
    let enhanced = Enhanced::builder().budget(budget.build().unwrap()).build();
    assert_eq!(sends(&upstream, enhanced.layer(upstream.clone())).await, 110);
}

/// A share of 60 % of what has succeeded, and nothing else.
#[test]
fn a_budget_of_60_percent_is_100_percent_in_tower_and_60_here() {
    let theirs = TpsBudget::new(10 * SECOND, 0, 0.6);
    (0..10).for_each(|_| theirs.deposit());
    assert_eq!((0..20).filter(|_| theirs.withdraw()).count(), 10);

    let ours = PalisadeBudget::ratio(0.6).burst(10);
    let now = Instant::now().into_std();
    let take = || ours.take(now).map(|mut token| token.spend()).is_some();
    assert_eq!((0..20).filter(|_| take()).count(), 10, "what was saved up");
    (0..10).for_each(|_| ours.succeeded());
    assert_eq!((0..20).filter(|_| take()).count(), 6);
}

/// For the type: a budget is handed on as one.
#[test]
fn tower_has_a_budget_for_the_policy_that_asks_for_one() {
    let budget: Arc<dyn Budget + Send + Sync> = Arc::new(TpsBudget::default());
    assert!(budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn asked_to_wait_for_three_seconds_palisade_does_and_tower_resilience_waits_a_tenth() {
    let upstream = || Upstream::new(Act::AsksToWait("3"));
    let one_more = RetryPolicy::http().max_attempts(2);
    let began = Instant::now();
    RetryLayer::new(one_more).layer(upstream()).oneshot(get()).await.unwrap();
    assert!(began.elapsed() >= 3 * SECOND);

    let enhanced = Enhanced::builder().max_attempts(2);
    let enhanced = enhanced.retry_on_response(|response| response.status() == 503).build();
    let began = Instant::now();
    enhanced.layer(upstream()).oneshot(get()).await.unwrap();
    assert_eq!(began.elapsed(), SECOND / 10);
}

/// By default; both can be told otherwise.
#[tokio::test(start_paused = true)]
async fn clients_that_failed_together_come_back_together_with_tower_resilience_and_not_with_palisade()
 {
    let mut waits = [BTreeSet::<Duration>::new(), BTreeSet::new()];
    for _ in 0..20 {
        let began = Instant::now();
        let layer = RetryLayer::new(RetryPolicy::http().max_attempts(2));
        let _ = layer.layer(fails()).oneshot(get()).await;
        waits[0].insert(began.elapsed());
        let began = Instant::now();
        let _ = Enhanced::builder().max_attempts(2).build().layer(fails()).oneshot(get()).await;
        waits[1].insert(began.elapsed());
    }
    assert!(waits[0].len() > 5);
    assert_eq!(Vec::from_iter(&waits[1]), [&(SECOND / 10)]);
}
