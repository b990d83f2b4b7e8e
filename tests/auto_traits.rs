//! What the types of every layer are, besides being layers and services.

use std::{fmt::Debug, marker::PhantomData, rc::Rc};

use palisade::{
    Deadline, Rejection, RejectionError, RejectionErrorFuture, RejectionErrorLayer, Render,
    RenderFuture, RenderLayer, breaker, key, limit_concurrency as lc, limit_rate as lr, timeout,
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
    service::<lc::LimitConcurrency<Roams>>();
    service::<lr::LimitRate<Roams, Roams>>();
    service::<lr::LimitRate<Roams, Roams, lr::ExactStore<String>>>();
    service::<timeout::Timeout<Roams>>();
    service::<timeout::RequestBodyTimeout<Roams>>();
    service::<RejectionError<Roams>>();
    service::<Render<Roams, Roams>>();
    local::<breaker::Breaker<Stays, Stays>>();
    local::<breaker::Gate<Stays, Stays>>();
    local::<breaker::KeyedBreaker<Stays, key::Authority, Stays>>();
    local::<lc::LimitConcurrency<Stays>>();
    local::<lr::LimitRate<Stays, Stays>>();
    local::<lr::LimitRate<Stays, Stays, lr::ExactStore<Stays>>>();
    local::<timeout::Timeout<Stays>>();
    local::<timeout::RequestBodyTimeout<Stays>>();
}

#[test]
fn futures_and_bodies_are_what_their_inner_ones_are() {
    future::<breaker::future::ResponseFuture<Roams, Roams, Roams>>();
    future::<breaker::ResponseBody<http_body_util::Full<bytes::Bytes>, Roams>>();
    future::<breaker::Circuit>();
    future::<breaker::Transitions>();
    future::<lc::future::ResponseFuture<Roams>>();
    future::<lr::future::ResponseFuture<Roams>>();
    future::<lr::future::ResponseFuture<Roams, String, lr::ExactStore<String>>>();
    future::<lr::ResponseBody<http_body_util::Full<bytes::Bytes>>>();
    future::<RejectionErrorFuture<Roams>>();
    future::<RenderFuture<Roams, Roams>>();
    future::<lc::ResponseBody<http_body_util::Full<bytes::Bytes>>>();
    future::<lc::Permit>();
    local::<breaker::future::ResponseFuture<Stays, Stays, Stays>>();
    local::<lc::future::ResponseFuture<Stays>>();
}

/// A timer must stay where it is, so a future that holds one cannot be moved once it was polled. A
/// body's timer is boxed.
#[test]
fn futures_with_a_timer_are_what_their_inner_ones_are_but_for_unpin() {
    fn timed<T: Debug + Send + Sync + 'static>() {}
    timed::<timeout::future::ResponseFuture<Roams>>();
    local::<timeout::future::ResponseFuture<Stays>>();
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
