//! What peers have and Palisade has not.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use tokio::time::{Instant, sleep};
use tower::{
    Layer, Service, ServiceExt,
    hedge::{Hedge, Policy},
    service_fn,
};
use tower_resilience_cache::CacheLayer;
use tower_resilience_chaos::ChaosLayer;
use tower_resilience_hedge::HedgeLayer;

use crate::upstream::{HOUR, SECOND};

/// Answers every number with itself; the first call takes this many seconds, all others none.
fn slow_at_first(
    seconds: u32,
) -> (
    impl Service<u32, Response = u32, Error = Infallible, Future: Send> + Clone + Send + 'static,
    Arc<AtomicU32>,
) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = service_fn(move |number| {
        let first = counted.fetch_add(1, Relaxed) == 0;
        async move {
            if first {
                sleep(SECOND * seconds).await;
            }
            Ok(number)
        }
    });
    (service, calls)
}

/// Every request, by a copy.
#[derive(Clone)]
struct All;

impl Policy<u32> for All {
    fn clone_request(&self, request: &u32) -> Option<u32> {
        Some(*request)
    }

    fn can_retry(&self, _: &u32) -> bool {
        true
    }
}

#[tokio::test(start_paused = true)]
async fn tower_sends_a_second_request_where_the_first_is_slow() {
    let (service, calls) = slow_at_first(3600);
    let hedge = Hedge::new_with_mock_latencies(service, All, 2, 0.9, HOUR, &[10, 10, 10, 10]);
    let began = Instant::now();
    assert_eq!(hedge.oneshot(7).await.unwrap(), 7);
    assert!(began.elapsed() < SECOND);
    assert_eq!(calls.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn tower_resilience_sends_a_second_request_where_the_first_is_slow() {
    let (service, calls) = slow_at_first(3600);
    let began = Instant::now();
    assert_eq!(HedgeLayer::new(SECOND).layer(service).oneshot(7).await.unwrap(), 7);
    assert_eq!((began.elapsed(), calls.load(Relaxed)), (SECOND, 2));
}

#[tokio::test(start_paused = true)]
async fn tower_resilience_answers_again_from_memory() {
    let (service, calls) = slow_at_first(0);
    let cache = CacheLayer::builder().key_extractor(|number: &u32| *number).build().unwrap();
    let service = cache.layer(service);
    for _ in 0..3 {
        assert_eq!(service.clone().oneshot(7).await.unwrap(), 7);
    }
    assert_eq!(calls.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn tower_resilience_makes_calls_slow_on_purpose() {
    let (service, _) = slow_at_first(0);
    let chaos = ChaosLayer::builder().latency_rate(1.0).min_latency(SECOND).max_latency(SECOND);
    let began = Instant::now();
    chaos.build().layer(service).oneshot(7).await.unwrap();
    assert!(began.elapsed() >= SECOND);
}
