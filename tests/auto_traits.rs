//! What the types of every layer are, besides being layers and services.

use std::{fmt::Debug, marker::PhantomData, rc::Rc};

use palisade::{
    Deadline, Rejection, RejectionError, RejectionErrorFuture, RejectionErrorLayer, Render,
    RenderFuture, RenderLayer, breaker, health, key, limit_concurrency as lc, limit_rate as lr,
    retry, timeout,
};

/// A service, future or body that may go to another thread.
type Roams = Vec<u8>;

/// One that may not. A layer around it must compile and be used where it is.
type Stays = PhantomData<Rc<()>>;

fn value<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
fn service<T: Clone + Debug + Send + Sync + Unpin + 'static>() {}
fn future<T: Debug + Send + Sync + Unpin + 'static>() {}
fn local<T: Debug>() {}

#[test]
fn layers_and_handles_can_be_cloned_and_shared() {
    value::<breaker::BreakerLayer>();
    value::<breaker::BreakerLayer<Roams>>();
    value::<breaker::GateLayer<Roams>>();
    value::<breaker::KeyedBreakerLayer<key::Authority, Roams>>();
    value::<breaker::Switch>();
    value::<breaker::Switches<str, Roams>>();
    value::<breaker::Policy>();
    value::<breaker::Stats>();
    value::<breaker::Transition>();
    value::<health::HealthLayer>();
    value::<health::Health>();
    value::<health::ServiceHealth>();
    value::<health::ServingStatus>();
    value::<health::Report>();
    value::<health::Item>();
    value::<health::Finding>();
    value::<health::Heartbeat>();
    value::<health::Phase>();
    value::<lc::LimitConcurrencyLayer>();
    value::<lc::InFlight>();
    value::<lc::Limit>();
    value::<lc::Held>();
    value::<lr::LimitRateLayer<Roams>>();
    value::<lr::LimitRateLayer<Roams, lr::ExactStore<String>>>();
    value::<lr::Buckets<str>>();
    value::<lr::Buckets<str, lr::ExactStore<String>>>();
    value::<lr::Window>();
    value::<lr::Decisions>();
    value::<lr::Offender>();
    value::<lr::Quota>();
    value::<lr::Decision>();
    value::<retry::RetryLayer>();
    value::<retry::RetryLayer<Roams, fn(retry::RetryBody<Stays>) -> Stays>>();
    value::<retry::RetryPolicy<Roams>>();
    value::<retry::Retries>();
    value::<retry::Budget>();
    value::<retry::Attempts>();
    value::<retry::Eligible>();
    value::<timeout::TimeoutLayer>();
    value::<timeout::Timeouts>();
    value::<timeout::RequestBodyTimeoutLayer>();
    value::<timeout::request_body::Stalls>();
    value::<Deadline>();
    value::<Rejection>();
    value::<RejectionErrorLayer>();
    value::<RenderLayer<Roams>>();
}

#[test]
fn keys_can_be_cloned_and_shared_whatever_extension_they_read() {
    value::<key::PeerIp>();
    value::<key::PeerIp<key::ByExtension<Stays, fn(&Stays) -> std::net::IpAddr>>>();
    value::<key::ForwardedIp>();
    value::<key::HeaderKey>();
    value::<key::Authority>();
    value::<key::Global>();
    value::<key::ClientNet>();
    value::<key::Missing>();
}

#[test]
fn services_are_what_their_inner_service_is() {
    service::<breaker::Breaker<Roams, Roams>>();
    service::<breaker::Gate<Roams, Roams>>();
    service::<breaker::KeyedBreaker<Roams, key::Authority, Roams>>();
    service::<health::HealthService<Roams>>();
    service::<health::HealthService<health::NotFound>>();
    service::<lc::LimitConcurrency<Roams>>();
    service::<lr::LimitRate<Roams, Roams>>();
    service::<lr::LimitRate<Roams, Roams, lr::ExactStore<String>>>();
    service::<retry::Retry<Roams, Roams>>();
    service::<retry::Retry<Roams, Roams, fn(retry::RetryBody<Stays>) -> Stays>>();
    service::<timeout::Timeout<Roams>>();
    service::<timeout::RequestBodyTimeout<Roams>>();
    service::<RejectionError<Roams>>();
    service::<Render<Roams, Roams>>();
    local::<breaker::Breaker<Stays, Stays>>();
    local::<breaker::Gate<Stays, Stays>>();
    local::<breaker::KeyedBreaker<Stays, key::Authority, Stays>>();
    local::<health::HealthService<Stays>>();
    local::<lc::LimitConcurrency<Stays>>();
    local::<lr::LimitRate<Stays, Stays>>();
    local::<lr::LimitRate<Stays, Stays, lr::ExactStore<Stays>>>();
    local::<retry::Retry<Stays, Stays>>();
    local::<timeout::Timeout<Stays>>();
    local::<timeout::RequestBodyTimeout<Stays>>();
}

#[test]
fn futures_and_bodies_are_what_their_inner_ones_are() {
    future::<breaker::future::ResponseFuture<Roams, Roams, Roams>>();
    future::<breaker::ResponseBody<http_body_util::Full<bytes::Bytes>, Roams>>();
    future::<breaker::Circuit>();
    future::<breaker::Transitions>();
    future::<health::future::ResponseFuture<Roams, Roams, Roams>>();
    future::<health::ResponseBody<http_body_util::Full<bytes::Bytes>>>();
    future::<health::Check<Roams>>();
    future::<health::Exchange>();
    future::<health::Latch>();
    future::<health::Pulse>();
    future::<health::Unit<'static>>();
    future::<lc::future::ResponseFuture<Roams>>();
    future::<lr::future::ResponseFuture<Roams>>();
    future::<lr::future::ResponseFuture<Roams, String, lr::ExactStore<String>>>();
    future::<lr::ResponseBody<http_body_util::Full<bytes::Bytes>>>();
    future::<RejectionErrorFuture<Roams>>();
    future::<RenderFuture<Roams, Roams>>();
    future::<lc::ResponseBody<http_body_util::Full<bytes::Bytes>>>();
    future::<lc::Permit>();
    future::<retry::ResponseBody<http_body_util::Full<bytes::Bytes>>>();
    future::<retry::RetryBody<Roams>>();
    future::<retry::ReplayBody<Roams>>();
    future::<retry::Backup<Roams>>();
    future::<retry::Token>();
    future::<retry::Retrying<Roams, Roams, Roams, Roams, Roams>>();
    local::<breaker::future::ResponseFuture<Stays, Stays, Stays>>();
    local::<health::future::ResponseFuture<Stays, Stays, Stays>>();
    local::<lc::future::ResponseFuture<Stays>>();
}

/// The future of a retry, of requests and answers with this body.
type Retried<T, B> =
    retry::future::ResponseFuture<T, retry::Retrying<T, T, T, B, T>, B, std::fmt::Error, T>;

/// A body that may not go to another thread.
type LocalBody = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, Rc<()>>;

/// A request's body need not be shared by threads to be kept by one: tonic's cannot be.
#[test]
fn what_is_kept_of_a_body_that_can_be_sent_can_be_sent() {
    fn sent<T: Send + 'static>() {}
    sent::<Retried<Roams, tonic::body::Body>>();
    sent::<Retried<Roams, axum::body::Body>>();
    sent::<retry::RetryBody<tonic::body::Body>>();
}

/// Who waits for news is in a list of those who do, and must stay where they are.
#[test]
fn who_watches_a_service_is_what_others_are_but_for_unpin() {
    fn watch<T: Debug + Send + Sync + 'static>() {}
    watch::<health::ServingWatch>();
}

/// A timer must stay where it is, so a future that holds one cannot be moved once it was polled. A
/// body's timer is boxed.
#[test]
fn futures_with_a_timer_are_what_their_inner_ones_are_but_for_unpin() {
    fn timed<T: Debug + Send + Sync + 'static>() {}
    timed::<timeout::future::ResponseFuture<Roams>>();
    local::<timeout::future::ResponseFuture<Stays>>();
    timed::<Retried<Roams, http_body_util::Full<bytes::Bytes>>>();
    local::<Retried<Stays, LocalBody>>();
    future::<timeout::ResponseBody<Roams>>();
    future::<timeout::request_body::RequestBody<Roams>>();
    future::<timeout::request_body::RequestBodyFuture<Roams>>();
    local::<timeout::ResponseBody<Stays>>();
}

/// Promise 5: no `Send + 'static` bound. The request, the service, its future and its error all
/// stay on this thread, and the service borrows.
#[tokio::test]
async fn a_service_that_neither_is_send_nor_static_can_be_wrapped() {
    use http::{Request, Response};
    use http_body_util::Empty;
    use tower::{Layer, Service, ServiceExt, service_fn};

    let seen = std::cell::Cell::new(0);
    let inner = service_fn(|request: Request<Rc<u8>>| {
        seen.set(seen.get() + **request.body());
        let local = Rc::new(Response::new(Empty::<bytes::Bytes>::new()));
        async move { Rc::try_unwrap(local).map_err(Rc::new) }
    });
    let limit = timeout::TimeoutLayer::server(std::time::Duration::from_secs(1));
    let quota = lr::Quota::per_second(std::num::NonZeroU32::MIN);
    let mine = Rc::new(());
    let local_key = move |_: palisade::Head<'_>| Some(Rc::strong_count(&mine));
    let rate = lr::LimitRateLayer::new(quota, local_key)
        .with_quota("hour", quota)
        .charge_when(|answer| answer.status != 200);
    let inner = breaker::BreakerLayer::default().gate().layer(inner);
    let mine = Rc::new(());
    let keyed = move |_: palisade::Head<'_>| Some(Rc::strong_count(&mine));
    let keyed = breaker::KeyedBreakerLayer::new(breaker::Policy::default(), keyed).layer(inner);
    let breaker = breaker::BreakerLayer::default().layer(keyed);
    let mut service = limit.layer(rate.layer(lc::LimitConcurrencyLayer::new(1).layer(breaker)));
    let answer = service.ready().await.unwrap().call(Request::new(Rc::new(7))).await;
    assert_eq!((answer.unwrap().status().as_u16(), seen.get()), (200, 7));
}

/// A retry's, whose request's body stays on this thread too.
#[tokio::test]
async fn nor_need_what_is_sent_again_be_send_or_static() {
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty};
    use tower::{Layer, ServiceExt, service_fn};

    let seen = std::cell::Cell::new(0);
    let mine = Rc::new(());
    let inner = service_fn(|request: Request<retry::RetryBody<_>>| {
        seen.set(seen.get() + 1);
        let mine = Rc::clone(&mine);
        async move {
            let sent = request.into_body().collect().await.map_err(|_| mine)?;
            assert_eq!(sent.to_bytes(), "soup");
            Ok::<_, Rc<()>>(Response::new(Empty::<bytes::Bytes>::new()))
        }
    });
    let borrowed = &mine;
    let body = http_body_util::Full::<bytes::Bytes>::from("soup").map_frame(move |frame| {
        assert!(Rc::strong_count(borrowed) > 0);
        frame
    });
    let answer =
        retry::RetryLayer::default().layer(inner).oneshot(Request::put("/").body(body).unwrap());
    assert_eq!((answer.await.unwrap().status().as_u16(), seen.get()), (200, 1));
}

/// What goes through while it is counted, as what is inside is not ready.
#[tokio::test]
async fn nor_need_what_waits_to_be_let_in() {
    use http::{Request, Response};
    use http_body_util::{BodyExt, Empty};
    use tower::{Layer, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

    let seen = std::cell::Cell::new(0);
    let inner = service_fn(|request: Request<LocalBody>| {
        seen.set(seen.get() + 1);
        let local = Rc::new(request);
        async move {
            drop(local);
            Ok::<_, Rc<()>>(Response::new(Empty::<bytes::Bytes>::new()))
        }
    });
    let health = health::Health::new();
    let service =
        health::HealthLayer::new(&health).layer(ConcurrencyLimitLayer::new(1).layer(inner));
    for path in ["/", "/livez", "/grpc.health.v1.Health/Check"] {
        let body = || Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::post(path).header("content-type", "application/grpc");
        let (first, second) = tokio::join!(
            service.clone().oneshot(request.body(body()).unwrap()),
            service.clone().oneshot(Request::new(body()))
        );
        assert_eq!(
            (first.unwrap().status(), second.unwrap().status()),
            (http::StatusCode::OK, http::StatusCode::OK)
        );
    }
    assert_eq!((seen.get(), health.in_flight()), (5, 0));
}
