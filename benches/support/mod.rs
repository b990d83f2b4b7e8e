//! What both benches share: the inner service, and a driver that does nothing but drive.

use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::{Pin, pin},
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{Empty, Full};
use palisade::{
    Backoff,
    breaker::{BreakerLayer, Policy, State, Trip},
    health::{Check, Health, Probe, Report, Status},
    retry::{Budget, Eligible, RetryLayer, RetryPolicy},
};
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tower::{Layer, Service, service_fn, util::MapResponseLayer};

/// Ready at once, answers at once, with a body that is at its end.
///
/// Its call and its answer are not inlined, as those of a real service are not: else the compiler
/// sees through the bare service, builds no response at all, and every layer is charged with it.
#[derive(Clone, Copy)]
pub(crate) struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = BareFuture;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<B>) -> BareFuture {
        std::hint::black_box(&request);
        BareFuture
    }
}

pub(crate) struct BareFuture;

impl Future for BareFuture {
    type Output = Result<Response<Empty<Bytes>>, Infallible>;

    #[inline(never)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Response::new(Empty::new())))
    }
}

/// As [`Bare`], but its answer is pending once.
#[derive(Clone, Copy)]
pub(crate) struct PendingOnce;

impl Service<Request<()>> for PendingOnce {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = PendingFuture;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, request: Request<()>) -> PendingFuture {
        std::hint::black_box(&request);
        PendingFuture { pending: true }
    }
}

pub(crate) struct PendingFuture {
    pending: bool,
}

impl Future for PendingFuture {
    type Output = Result<Response<Empty<Bytes>>, Infallible>;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if mem::take(&mut self.pending) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(Response::new(Empty::new())))
    }
}

/// Where timers are registered. Nobody drives it: no call lasts until its timer fires.
pub(crate) fn timers() -> EnterGuard<'static> {
    static TIMERS: LazyLock<Runtime> = LazyLock::new(|| {
        Builder::new_current_thread().enable_time().build().expect("a runtime can be made")
    });
    TIMERS.enter()
}

/// One request on one service: ready, call, poll until it is answered, drop.
#[inline]
pub(crate) fn exchange<S>(service: &mut S)
where
    S: Service<Request<()>>,
{
    send(service, Request::new(()));
}

/// The header that says who is asking.
#[allow(dead_code, reason = "not every bench looks at it")]
pub(crate) const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// As [`exchange`], with a request that says who is asking.
#[allow(dead_code, reason = "not every bench looks at it")]
#[inline]
pub(crate) fn exchange_keyed<S>(service: &mut S)
where
    S: Service<Request<()>>,
{
    let mut request = Request::new(());
    request.headers_mut().insert(KEY, HeaderValue::from_static("0123456789abcdef"));
    send(service, request);
}

/// As [`exchange`], with a request whose body is one, and is empty.
#[allow(dead_code, reason = "not every bench has a layer that asks for one")]
#[inline]
pub(crate) fn exchange_empty<S>(service: &mut S)
where
    S: Service<Request<Empty<Bytes>>>,
{
    send(service, Request::new(Empty::new()));
}

/// As [`exchange`], with a request that says something.
#[allow(dead_code, reason = "not every bench sends any")]
#[inline]
pub(crate) fn exchange_full<S>(service: &mut S)
where
    S: Service<Request<Full<Bytes>>>,
{
    send(service, Request::new(Full::new(Bytes::from_static(b"soup"))));
}

#[inline]
fn send<S, B>(service: &mut S, request: Request<B>)
where
    S: Service<Request<B>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))), "not ready");
    let mut future = pin!(service.call(request));
    loop {
        match &future.as_mut().poll(&mut cx) {
            Poll::Ready(answer) => return assert!(answer.is_ok(), "answered with an error"),
            Poll::Pending => {}
        }
    }
}

/// Opened by a call that failed, and for longer than any run: its refusals say for how long.
#[allow(dead_code, reason = "not every bench looks at it")]
pub(crate) fn open_breaker() -> BreakerLayer {
    let open = Backoff::constant(Duration::from_secs(3600));
    let layer = BreakerLayer::new(Policy::new(Trip::consecutive(1)).with_open(open));
    let fails = service_fn(async |_: Request<()>| Err::<Response<Empty<Bytes>>, _>("it is down"));
    let mut service = layer.layer(fails);
    let failed = pin!(service.call(Request::new(()))).poll(&mut Context::from_waker(Waker::noop()));
    assert!(failed.is_ready() && layer.handle().state() == State::Open, "the circuit is not open");
    layer
}

/// For requests that are never tried again, whatever they are.
#[allow(dead_code, reason = "not every bench looks at it")]
pub(crate) fn never() -> RetryLayer {
    RetryLayer::new(RetryPolicy::http().eligible(|_| Eligible::Never))
}

/// Whose budget is empty for good.
#[allow(dead_code, reason = "not every bench looks at it")]
pub(crate) fn out_of_budget() -> RetryLayer {
    RetryLayer::new(RetryPolicy::http().budget(Budget::ratio(1e-9).floor(0).burst(0)))
}

/// Ready, by so many checks that have passed and are not looked at any more.
#[allow(dead_code, reason = "not every bench asks how it is")]
pub(crate) fn healthy(checks: usize) -> Health {
    let runtime = Builder::new_current_thread().enable_time().build();
    let health = Health::new();
    runtime.expect("a runtime can be made").block_on(async {
        let mut reports = health.subscribe();
        for number in 0..checks {
            let check = Check::new(format!("check {number}"), async || {}).critical();
            // Longer than any run, so that no result grows old.
            health.readiness().check(check.max_age(Duration::from_secs(3600)));
        }
        let passes = |report: &Arc<Report>| report.status(Probe::Readiness) == Status::Pass;
        reports.wait_for(passes).await.expect("the registry is there");
    });
    health
}

/// As [`exchange_empty`], with a request for this.
#[allow(dead_code, reason = "not every bench asks how it is")]
#[inline]
pub(crate) fn exchange_at<S>(service: &mut S, uri: &Uri)
where
    S: Service<Request<Empty<Bytes>>>,
{
    let mut request = Request::new(Empty::new());
    // Of what is static this copies pointers.
    *request.uri_mut() = uri.clone();
    send(service, request);
}

type Answer = Response<Empty<Bytes>>;

/// What would be tried again, within the budget.
#[allow(dead_code, reason = "not every bench looks at it")]
pub(crate) fn failing() -> MapResponseLayer<fn(Answer) -> Answer> {
    MapResponseLayer::new(|mut response: Answer| {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response
    })
}
