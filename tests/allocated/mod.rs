//! What a retry allocates.

use std::{
    convert::Infallible,
    future::{Future, pending},
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use palisade::{
    Backoff,
    retry::{Budget, Eligible, RetryBody, RetryLayer, RetryPolicy},
};
use tower::{Layer, Service, service_fn};

use crate::{Answers, Sent, allocates, allocates_nothing, exchange, requests};

fn always(eligible: Eligible) -> RetryPolicy {
    RetryPolicy::http().eligible(move |_| eligible)
}

/// What an exchange allocates, once everything that is made at first use is made.
fn measured(policy: RetryPolicy, request: impl Fn() -> Sent) -> AllocationInfo {
    let mut service = RetryLayer::new(policy).layer(Answers);
    exchange(&mut service, request());
    let request = request();
    measure(|| exchange(&mut service, request))
}

#[test]
fn what_is_never_tried_again_costs_nothing() {
    allocates_nothing(&RetryLayer::new(always(Eligible::Never)));
    allocates_nothing(&RetryLayer::new(always(Eligible::Never)).with_body(|_| Empty::new()));
    allocates_nothing(&RetryLayer::new(RetryPolicy::http().max_attempts(1)));
    let never: [fn() -> Sent; 4] = [
        || Request::connect("example.com:443").body(Empty::new()).expect("an authority"),
        || sent_with("upgrade", "websocket"),
        || sent_with("grpc-previous-rpc-attempts", "1"),
        || sent_with("x-attempt", "2"),
    ];
    for request in never {
        let stamp = || RetryPolicy::http().stamp(http::HeaderName::from_static("x-attempt"));
        assert_eq!(measured(stamp(), request).count_total, 0, "{:?}", request());
    }
}

fn sent_with(name: &str, value: &str) -> Sent {
    Request::get("/").header(name, value).body(Empty::new()).expect("a header")
}

/// A body that says it is over the bound is not looked at twice.
#[test]
fn nor_does_what_is_too_large_to_be_kept() {
    let mut service = RetryLayer::new(always(Eligible::Always).max_body(3)).layer(Answers);
    let mut send = || exchange_of("soup", &mut service);
    send();
    assert_eq!(measure(send).count_total, 0);
}

fn exchange_of<S, B>(text: &'static str, service: &mut S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let answer = pin!(service.call(Request::new(Full::from(text)))).poll(&mut cx);
    assert!(answer.is_ready());
}

/// A box for what is kept, two for the map of the headers, and one for each of their bytes, and those of
/// the path, that were nobody else's until then: those of a server's requests are the connection's.
const KEPT: [u64; 3] = [6, 5, 5];

/// The service's clone is its own affair.
#[test]
fn what_may_be_tried_again_allocates_for_the_copy_of_its_head() {
    // Over gRPC, an answer is waited for, since its end tells the budget how it went, or it is read from for its
    // status: into a queue, which has a place, as has the body.
    for (eligible, peeked) in [(Eligible::IfNotSent, 1), (Eligible::Always, 4)] {
        allocates(&RetryLayer::new(always(eligible)), [KEPT[0], KEPT[1], KEPT[2] + peeked]);
        let of_the_connection = || {
            let mut get = Request::new(Empty::new());
            get.headers_mut().insert("accept", http::HeaderValue::from_static("*/*"));
            get
        };
        assert_eq!(measured(always(eligible), of_the_connection).count_total, 3);
    }
}

/// Of no headers there is no copy. A body has a place of its own, and one that it shares with its backup.
#[test]
fn and_twice_more_where_it_has_a_body() {
    let mut service = RetryLayer::new(always(Eligible::IfNotSent)).layer(Answers);
    for (text, expected) in [("", 1), ("soup", 3)] {
        let mut send = || exchange_of(text, &mut service);
        send();
        let taken = measure(send);
        assert_eq!((taken.count_total, taken.count_current), (expected, 0));
    }
}

type Down = Request<RetryBody<Empty<Bytes>>>;

/// What a budget that is used up refuses costs no more than what succeeds, and is freed with its answer.
#[tokio::test(start_paused = true)]
async fn what_the_budget_refuses_costs_no_more() {
    let policy = always(Eligible::Always).budget(Budget::ratio(0.1).floor(0).burst(0));
    let layer = RetryLayer::new(policy);
    let mut service = layer.layer(service_fn(|_: Down| {
        let mut down = Response::new(Empty::<Bytes>::new());
        *down.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        std::future::ready(Ok::<_, Infallible>(down))
    }));
    for request in requests() {
        exchange(&mut service, request);
    }
    for (request, kept) in requests().into_iter().zip(KEPT) {
        let refused = measure(|| exchange(&mut service, request));
        // The request itself was allocated before and is freed within.
        assert_eq!(refused.count_total, kept, "{refused:?}");
        assert!(refused.count_current <= 0 && refused.bytes_current <= 0, "{refused:?}");
    }
    assert_eq!(layer.handle().refused(), 6);
}

/// Before its first poll, while the first attempt is under way, during the wait, and during the second.
#[tokio::test(start_paused = true)]
async fn a_retry_that_is_given_up_frees_all_it_held() {
    const WAIT: Duration = Duration::from_millis(100);
    let policy = always(Eligible::Always).backoff(Backoff::constant(WAIT));
    let layer = RetryLayer::new(policy.budget(Budget::unlimited()));
    for (status, waits) in [(503, 0), (503, 1), (0, 0), (0, 1)] {
        let service = layer.layer(service_fn(move |request: Request<RetryBody<Full<Bytes>>>| {
            let first = palisade::retry::Attempts::of(request.extensions()) == 1;
            async move {
                drop(request);
                if status == 0 || !first {
                    return pending().await;
                }
                let down = Response::builder().status(status).body(Empty::<Bytes>::new());
                Ok::<_, Infallible>(down.expect("a status"))
            }
        }));
        let given_up = |polls: u32| {
            let mut cx = Context::from_waker(Waker::noop());
            let mut future = pin!(service.clone().call(Request::new(Full::from("soup"))));
            for _ in 0..polls {
                assert!(future.as_mut().poll(&mut cx).is_pending());
            }
        };
        given_up(2);
        for polls in 0..3 {
            let freed = measure(|| given_up(polls));
            assert!(freed.count_total > 0, "nothing was measured");
            assert_eq!((freed.count_current, freed.bytes_current), (0, 0), "{freed:?}");
        }
        for _ in 0..waits {
            tokio::time::advance(WAIT).await;
        }
    }
    assert_eq!((layer.handle().buffered(), layer.handle().budget().in_use()), (0, 0));
}
