//! Promise 5: on the admitted path a layer allocates nothing. A new layer adds its rows.

mod allocated;

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    num::NonZeroU32,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use http::{Request, Response, header::ACCEPT};
use http_body::Body;
use http_body_util::{Empty, Full};
use palisade::{
    Head, Protocol, Rejection, RenderLayer,
    breaker::{BreakerLayer, KeyedBreakerLayer, Trip},
    key::{Global, HeaderKey},
    limit_concurrency::{LimitConcurrencyLayer, Release},
    limit_rate::{ExactStore, LimitRateLayer, Quota},
    timeout::{BodyLimit, RequestBodyTimeoutLayer, TimeoutLayer},
};
use tower::{Layer, Service, service_fn};

/// What is asked: a retry needs a body that is one.
type Sent = Request<Empty<Bytes>>;

#[derive(Clone)]
struct Answers;

impl<B> Service<Request<B>> for Answers {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::new(Bytes::from_static(b"hello")))))
    }
}

/// One exchange from readiness to the end of its body.
fn exchange<S, B>(service: &mut S, request: Sent)
where
    S: Service<Sent, Response = Response<B>>,
    B: Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut cx) else {
        panic!("no answer")
    };
    let mut body = pin!(response.into_body());
    while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(&mut cx) {}
}

fn requests() -> [Sent; 3] {
    let get = Request::get("/").header("accept", "*/*").header("traceparent", "00-00-00-00");
    let post = Request::post("/orders").header("content-type", "application/json");
    let grpc = Request::post("/a.B/C").header("content-type", "application/grpc");
    [get, post, grpc].map(|request| request.body(Empty::new()).expect("a valid request"))
}

/// What the exchanges allocate, once everything that is made at first use is made.
fn allocated<S, B>(mut service: S, requests: impl Fn() -> [Sent; 3]) -> [AllocationInfo; 3]
where
    S: Service<Sent, Response = Response<B>>,
    B: Body,
{
    for request in requests() {
        exchange(&mut service, request);
    }
    requests().map(|request| measure(|| exchange(&mut service, request)))
}

#[track_caller]
fn allocates_nothing<L, B>(layer: &L)
where
    L: Layer<Answers>,
    L::Service: Service<Sent, Response = Response<B>>,
    B: Body,
{
    allocates(layer, [0; 3]);
}

/// So often for each of the requests.
#[track_caller]
fn allocates<L, B>(layer: &L, expected: [u64; 3])
where
    L: Layer<Answers>,
    L::Service: Service<Sent, Response = Response<B>>,
    B: Body,
{
    let bare = allocated(Answers, requests);
    let layered = allocated(layer.layer(Answers), requests);
    let counts = |measured: [AllocationInfo; 3]| measured.map(|info| info.count_total);
    let (bare, layered) = (counts(bare), counts(layered));
    let more: Vec<_> = layered.iter().zip(bare).map(|(layered, bare)| layered - bare).collect();
    assert_eq!(more, expected, "{layered:?} against {bare:?}");
}

#[test]
fn limit_concurrency_allocates_nothing_for_what_it_admits() {
    allocates_nothing(&LimitConcurrencyLayer::new(1));
    allocates_nothing(&LimitConcurrencyLayer::new(1).with_release(Release::Head));
}

/// Whatever it counts, and wherever it stands.
#[test]
fn a_closed_circuit_allocates_nothing() {
    let trips = [
        Trip::rate(0.5),
        Trip::consecutive(5),
        Trip::slow(Duration::from_secs(2), 0.8),
        Trip::default().or(Trip::slow(Duration::from_secs(2), 0.8)),
    ];
    for layer in trips.map(BreakerLayer::new) {
        allocates_nothing(&layer);
        allocates_nothing(&layer.clone().gate());
        assert!(layer.handle().stats().total_calls > 0);
    }
}

#[test]
fn nor_does_that_of_an_upstream_that_is_known() {
    let layer = KeyedBreakerLayer::new(Trip::default(), HeaderKey::new(ACCEPT));
    allocates_nothing(&layer);
    assert_eq!(layer.handle().len(), 1);
}

#[test]
fn a_timeout_allocates_nothing_where_no_deadline_is_shared() {
    let layer = TimeoutLayer::server(Duration::from_secs(60));
    allocates_nothing(&layer);
    allocates_nothing(&layer.clone().by(|_| Some(Duration::MAX)));
    allocates_nothing(&layer.with_body(BodyLimit::Idle(Duration::from_secs(1))));
}

#[test]
fn a_rate_limit_allocates_nothing_for_what_it_admits_and_tells_nothing() {
    let quota = Quota::per_second(NonZeroU32::MAX);
    allocates_nothing(&LimitRateLayer::new(quota, HeaderKey::new(ACCEPT)));
    allocates_nothing(&LimitRateLayer::new(quota, Global).with_cost(|_| NonZeroU32::MIN));
    allocates_nothing(&LimitRateLayer::new(quota, Global).with_shadow());
}

#[test]
fn nor_does_one_by_up_to_four_windows_of_keys_that_are_known() {
    let quota = Quota::per_second(NonZeroU32::MAX);
    let windows = |count: usize| {
        let layer = LimitRateLayer::new(quota, HeaderKey::new(ACCEPT));
        let names = ["minute", "hour", "day", "week", "month", "quarter", "year"];
        names.into_iter().take(count - 1).fold(layer, |layer, name| layer.with_quota(name, quota))
    };
    for count in 2..=4 {
        allocates_nothing(&windows(count));
        allocates_nothing(&windows(count).with_store(ExactStore::<Vec<u8>>::new()));
        allocates_nothing(&windows(count).with_quota_for(move |_| Some(quota)).with_shadow());
    }
    allocates(&windows(8), [2; 3]);
}

/// What is to be done with the answer, and the key, which of these requests only the first has.
#[test]
fn a_charge_by_the_answer_allocates_once_and_copies_the_key() {
    let quota = Quota::per_second(NonZeroU32::MAX);
    let layer = LimitRateLayer::new(quota, HeaderKey::new(ACCEPT));
    for charged in [true, false] {
        allocates(&layer.clone().charge_when(move |_| charged), [2, 1, 1]);
    }
}

/// A million clients that were never seen before take no memory but what was there at first.
#[test]
fn clients_allocate_nothing() {
    let next = std::cell::Cell::new(0_u32);
    let key = move |_: Head<'_>| Some(next.replace(next.get() + 1));
    let mut service = LimitRateLayer::new(Quota::per_hour(NonZeroU32::MAX), key).layer(Answers);
    exchange(&mut service, Request::default());
    let clients = measure(|| {
        for _ in 0..1_000_000 {
            exchange(&mut service, Request::default());
        }
    });
    assert_eq!(clients.count_total, 0);
}

/// One for the deadline, one for the word that it is enforced, and what the extensions need for those,
/// which the test's requests come without.
#[test]
fn a_shared_deadline_allocates_four_times_at_most() {
    let layer = TimeoutLayer::server(Duration::from_secs(60)).shared();
    let bare = allocated(Answers, requests);
    let layered = allocated(layer.layer(Answers), requests);
    for (bare, layered) in bare.into_iter().zip(layered) {
        assert!(layered.count_total <= bare.count_total + 4, "{layered:?} against {bare:?}");
    }
}

#[test]
fn a_request_without_a_body_is_never_slow_and_allocates_nothing() {
    let layer = RequestBodyTimeoutLayer::new(Duration::from_secs(60));
    let without = service_fn(|request: Request<_>| Answers.call(request.map(|_| ())));
    let mut service = layer.layer(without);
    let mut send = || {
        let mut cx = Context::from_waker(Waker::noop());
        let answer = pin!(service.call(Request::new(Empty::<Bytes>::new()))).poll(&mut cx);
        assert!(matches!(answer, Poll::Ready(Ok(_))));
    };
    send();
    assert_eq!(measure(send).count_total, 0);
}

#[test]
fn a_response_that_is_not_rendered_again_allocates_nothing() {
    fn house_format(_: &Rejection, _: Protocol) -> Response<Bytes> {
        Response::default()
    }
    allocates_nothing(&RenderLayer::new(house_format));
}

#[test]
fn what_a_refusal_allocates_is_freed_with_its_response() {
    let mut service = LimitConcurrencyLayer::new(0).layer(Answers);
    for request in requests() {
        exchange(&mut service, request);
    }
    for request in requests() {
        let refusal = measure(|| exchange(&mut service, request));
        assert!(refusal.count_total > 0, "nothing was measured");
        // The request itself was allocated before and is freed within.
        assert!(refusal.count_current <= 0 && refusal.bytes_current <= 0, "{refusal:?}");
    }
}
