//! A limit on what is in flight.

use axum::body::Body;
use http::Response;
use palisade::limit_concurrency::LimitConcurrencyLayer;
use tokio::time::timeout;
use tower::{
    BoxError, Layer, Service, ServiceExt,
    limit::{GlobalConcurrencyLimitLayer, RateLimitLayer},
    load_shed::{LoadShedLayer, error::Overloaded},
};
use tower_resilience_bulkhead::{BulkheadLayer, BulkheadServiceError};

use crate::upstream::{Act, Asked, HOUR, Upstream, get, ready};

/// Two calls at once of a service that admits one, and never answers: what comes of the second in an hour.
async fn second<S>(service: S) -> Option<Result<Response<S::Body>, S::Error>>
where
    S: Answers + Clone,
{
    let first = tokio::spawn(service.clone().ask());
    tokio::task::yield_now().await;
    let second = timeout(HOUR, service.ask()).await;
    first.abort();
    second.ok()
}

/// A service that can be asked, by whatever it is.
trait Answers: Sized {
    type Body: Send + 'static;
    type Error: Send + 'static;
    fn ask(
        self,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::Error>> + Send + 'static;
}

impl<S, B> Answers for S
where
    S: Service<Asked, Response = Response<B>, Error: Send + 'static, Future: Send> + Send + 'static,
    B: Send + 'static,
{
    type Body = B;
    type Error = S::Error;

    fn ask(self) -> impl Future<Output = Result<Response<B>, S::Error>> + Send + 'static {
        self.oneshot(get())
    }
}

fn hangs() -> Upstream {
    Upstream::new(Act::Hangs)
}

#[tokio::test(start_paused = true)]
async fn at_its_limit_palisade_answers_429_at_once() {
    let second = second(LimitConcurrencyLayer::new(1).layer(hangs())).await;
    let response = second.unwrap().unwrap();
    assert_eq!(response.status(), 429);
    assert!(response.headers().contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn at_its_limit_tower_waits() {
    assert!(second(GlobalConcurrencyLimitLayer::new(1).layer(hangs())).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn at_its_limit_tower_with_load_shed_fails_with_a_boxed_error() {
    let shed = LoadShedLayer::new().layer(GlobalConcurrencyLimitLayer::new(1).layer(hangs()));
    let error: BoxError = second(shed).await.unwrap().unwrap_err();
    assert!(error.is::<Overloaded>());
}

#[tokio::test(start_paused = true)]
async fn at_its_limit_tower_resilience_waits_unless_told_not_to_and_then_fails() {
    let waits = BulkheadLayer::builder().max_concurrent_calls(1);
    assert!(second(waits.build().unwrap().layer(hangs())).await.is_none());
    let rejects = BulkheadLayer::builder().max_concurrent_calls(1).reject_when_full();
    let error = second(rejects.build().unwrap().layer(hangs())).await.unwrap().unwrap_err();
    assert!(matches!(error, BulkheadServiceError::Bulkhead(_)));
}

/// Streams for ever.
fn streams() -> Upstream {
    Upstream::new(Act::StreamsAfter(std::time::Duration::ZERO))
}

#[tokio::test(start_paused = true)]
async fn palisade_holds_a_permit_until_the_body_is_over() {
    let layer = LimitConcurrencyLayer::new(1);
    let response = layer.layer(streams()).ask().await.unwrap();
    assert_eq!(layer.handle().in_flight(), 1);
    drop(response);
    assert_eq!(layer.handle().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn tower_gives_a_permit_back_with_the_head_while_the_body_streams() {
    let mut service = GlobalConcurrencyLimitLayer::new(1).layer(streams());
    let streaming: Response<Body> = ready(&mut service).await.call(get()).await.unwrap();
    assert!(timeout(HOUR, ready(&mut service)).await.is_ok());
    drop(streaming);
}

#[tokio::test(start_paused = true)]
async fn tower_resilience_gives_a_permit_back_with_the_head_while_the_body_streams() {
    let (layer, handle) =
        BulkheadLayer::builder().max_concurrent_calls(1).build_with_handle().unwrap();
    let streaming = layer.layer(streams()).ask().await.unwrap();
    assert_eq!(handle.active_calls(), 0);
    drop(streaming);
}

/// Here by a rate.
#[tokio::test(start_paused = true)]
async fn tower_s_load_shed_refuses_whenever_anything_inside_is_not_ready() {
    let mut shed =
        LoadShedLayer::new().layer(RateLimitLayer::new(1, HOUR).layer(Upstream::hello()));
    ready(&mut shed).await.call(get()).await.unwrap();
    let error = ready(&mut shed).await.call(get()).await.unwrap_err();
    assert!(error.is::<Overloaded>());
}

/// A limit that is reached is no readiness that is withheld: who asks is told by an answer.
#[tokio::test(start_paused = true)]
async fn at_its_limit_palisade_is_ready_and_so_is_tower_with_load_shed_and_tower_is_not() {
    let layer = LimitConcurrencyLayer::new(0);
    assert!(timeout(HOUR, ready(&mut layer.layer(hangs()))).await.is_ok());
    let tower = GlobalConcurrencyLimitLayer::new(0);
    assert!(
        timeout(HOUR, ready(&mut LoadShedLayer::new().layer(tower.layer(hangs())))).await.is_ok()
    );
    assert!(timeout(HOUR, ready(&mut tower.layer(hangs()))).await.is_err());
}
