//! Where health stands: outermost. Elsewhere, what a probe is told is what somebody else has to say.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::Either;
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use palisade::{
    Rejection,
    breaker::{BreakerLayer, Policy, State, Trip},
    health::{self, Check, Health, HealthLayer, Phase, SHUTTING_DOWN, Status},
    limit_concurrency::LimitConcurrencyLayer,
    retry::{Attempts, RetryBody, RetryLayer, RetryPolicy},
    timeout::TimeoutLayer,
};
use palisade_testkit::{Act, Pace, Probe};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};

use crate::{
    Get, SECOND, a_token_an_hour, get, hangs_before_its_head, hangs_in_its_body, is_timeout,
};

const LONG: Duration = Duration::from_secs(100_000);

fn health() -> (HealthLayer, Health) {
    let layer = HealthLayer::new(&Health::new());
    let health = layer.handle();
    (layer, health)
}

/// What a load balancer is told.
async fn probe<S, B>(service: &S) -> StatusCode
where
    S: Service<Get, Response = Response<B>, Error: std::fmt::Debug> + Clone,
{
    let probe = Request::get("/readyz").body(Empty::new()).unwrap();
    service.clone().oneshot(probe).await.unwrap().status()
}

async fn probe_while_busy<S, B>(service: S) -> StatusCode
where
    S: Service<Get, Response = Response<B>, Error: std::fmt::Debug> + Clone,
{
    let _body = get(service.clone()).await;
    probe(&service).await
}

/// Inside, a service that has as much to do as it can is taken for one that is ill: its load is given to
/// the others, and they are next.
#[tokio::test(start_paused = true)]
async fn a_probe_is_answered_at_capacity_and_inside_the_limit_is_refused() {
    let ((health, _), limit) = (health(), LimitConcurrencyLayer::new(1));
    let told = probe_while_busy(health.layer(limit.layer(hangs_in_its_body()))).await;
    assert_eq!((told.as_u16(), limit.handle().rejected()), (200, 0));
    let told = probe_while_busy(limit.layer(health.layer(hangs_in_its_body()))).await;
    assert_eq!((told.as_u16(), limit.handle().rejected()), (429, 1));
}

/// Nor does it wait where others do. Outside of health, tower's own limit has a probe stand in line.
#[tokio::test(start_paused = true)]
async fn a_probe_waits_in_no_queue_but_in_one_outside() {
    let ((health, _), queue) = (health(), ConcurrencyLimitLayer::new(1));
    let slow = || Probe::new().with_head(Pace::After(SECOND), Act::Succeed);
    let inside = health.layer(queue.layer(slow()));
    let began = Instant::now();
    let busy = tokio::join!(get(inside.clone()), async { (probe(&inside).await, began.elapsed()) });
    assert_eq!(busy.1, (StatusCode::OK, Duration::ZERO));

    let outside = queue.layer(health.layer(slow()));
    let began = Instant::now();
    let busy =
        tokio::join!(get(outside.clone()), async { (probe(&outside).await, began.elapsed()) });
    assert_eq!(busy.1, (StatusCode::OK, SECOND));
}

/// And those that clients may ask so often are not used up by who only looks.
#[tokio::test(start_paused = true)]
async fn a_probe_takes_no_token_but_from_a_rate_limit_outside() {
    let (health, _) = health();
    let rate = a_token_an_hour();
    let service = health.layer(rate.layer(Probe::new()));
    for _ in 0..3 {
        assert_eq!(probe(&service).await, 200);
    }
    assert_eq!(get(service).await.status(), 200);

    let service = a_token_an_hour().layer(health.layer(Probe::new()));
    assert_eq!(
        [probe(&service).await, get(service).await.status()].map(|status| status.as_u16()),
        [200, 429]
    );
}

/// Lets those through that say who they are.
#[derive(Clone)]
struct Authenticated<S>(S);

impl<S, B: Default> Service<Get> for Authenticated<S>
where
    S: Service<Get, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Response<B>, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Get) -> Self::Future {
        if request.headers().contains_key(AUTHORIZATION) {
            return Either::Right(self.0.call(request));
        }
        let mut unknown = Response::new(B::default());
        *unknown.status_mut() = StatusCode::UNAUTHORIZED;
        Either::Left(ready(Ok(unknown)))
    }
}

/// Inside, no probe of Kubernetes ever passes, and what does pass says who it is to what need not know.
#[tokio::test(start_paused = true)]
async fn a_probe_need_not_say_who_asks_but_to_an_authentication_outside() {
    let (health, _) = health();
    let hello =
        service_fn(async |_: Get| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
    let service = health.layer(Authenticated(hello));
    assert_eq!(
        (probe(&service).await, get(service).await.status().as_u16()),
        (StatusCode::OK, 401)
    );
    assert_eq!(probe(&Authenticated(health.layer(hello))).await, 401);
}

/// Watches the whole, and returns how often it is told something in this time, and the status at the end.
async fn watches<S, B>(service: S, patience: Duration) -> (usize, Option<HeaderValue>)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: std::fmt::Debug>,
    B: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let watch = Request::post("/grpc.health.v1.Health/Watch");
    let watch = watch.header("content-type", "application/grpc");
    // Of no name, and so of no field: the prefix alone.
    let watch = watch.body(Full::from(&[0; 5][..])).unwrap();
    let mut body = Box::pin(service.oneshot(watch).await.unwrap().into_body());
    let (mut told, until) = (0, Instant::now() + patience);
    while let Ok(Some(frame)) = timeout_at(until, body.frame()).await {
        match frame.unwrap().into_trailers() {
            Ok(mut trailers) => return (told, trailers.remove("grpc-status")),
            Err(_) => told += 1,
        }
    }
    (told, None)
}

/// Inside, who watches is cut off when an exchange's time is up, over and over.
#[tokio::test(start_paused = true)]
async fn a_watch_has_all_the_time_it_wants_but_inside_a_timeout() {
    let ((health, _), timeout) = (health(), TimeoutLayer::server(SECOND));
    let outside = watches(health.layer(timeout.layer(Probe::new())), LONG).await;
    assert_eq!(outside, (1, None));
    let (told, status) = watches(timeout.layer(health.layer(Probe::new())), LONG).await;
    assert_eq!((told, status.as_ref().map(HeaderValue::as_bytes)), (1, Some(&b"4"[..])));
}

/// What is inside of it has been ended by then, so that a drain does not wait for what hangs.
#[tokio::test(start_paused = true)]
async fn a_drain_waits_no_longer_than_a_timeout_inside() {
    let (layer, health) = health();
    let service = layer.layer(TimeoutLayer::server(3 * SECOND).layer(hangs_before_its_head()));
    let (timed_out, left) = tokio::join!(async { is_timeout(&get(service).await) }, async {
        health.drain(SECOND);
        health.drained_within(LONG).await
    });
    assert!(timed_out);
    assert_eq!((left, health.phase()), (0, Phase::Drained));
}

/// The wait for what is inside to be ready begins after the call, in the layer's future. So it is bounded by
/// what stands outside of it, and by nothing inside.
#[tokio::test(start_paused = true)]
async fn the_wait_for_readiness_is_bounded_by_a_timeout_outside_alone() {
    let ((health, _), bounds) = (health(), TimeoutLayer::server(SECOND));
    let never_ready = || Probe::new().with_ready(Pace::Never, Act::Succeed);
    assert!(is_timeout(&get(bounds.layer(health.layer(never_ready()))).await));
    let inside = get(health.layer(bounds.layer(never_ready())));
    assert!(timeout(LONG, inside).await.is_err());
}

/// Who is taken out of service for an upstream that all instances share is missing for all that does not
/// need it.
#[tokio::test(start_paused = true)]
async fn an_open_breaker_degrades_and_never_takes_out_of_service() {
    let (layer, health) = health();
    let breaker = BreakerLayer::new(Policy::new(Trip::consecutive(1)));
    let switch = breaker.handle();
    health.readiness().check(Check::reading("upstream", move || match switch.state() {
        State::Closed => Status::Pass,
        State::Open | State::HalfOpen => Status::Warn,
    }));
    let broken = Probe::new().with_head(Pace::AtOnce, Act::Fail);
    let service = layer.layer(breaker.layer(broken));
    for (at, status) in [(0, Status::Pass), (2, Status::Warn), (4, Status::Pass)] {
        if at == 2 {
            service.clone().oneshot(Get::default()).await.map(drop).unwrap_err();
        } else {
            breaker.handle().reset();
        }
        sleep(2 * SECOND).await;
        assert_eq!(
            (health.status(health::Probe::Readiness), probe(&service).await),
            (status, StatusCode::OK)
        );
    }
}

fn is_shutting_down<B>(response: &Response<B>) -> bool {
    Rejection::of(response).is_some_and(|rejection| rejection.reason() == SHUTTING_DOWN)
}

/// Nobody has seen what is refused, so that it may be sent again whatever it is, and says nothing of how the
/// others are.
#[tokio::test(start_paused = true)]
async fn what_is_refused_while_it_leaves_is_sent_elsewhere_and_opens_no_breaker() {
    let (leaving, health) = health();
    health.drain(Duration::ZERO);
    let (here, there, breaker) =
        (Probe::new(), Probe::new(), BreakerLayer::new(Policy::new(Trip::consecutive(1))));
    let first = leaving.layer(here.clone());
    let second = HealthLayer::new(&Health::new()).layer(there.clone());
    let balanced =
        service_fn(move |request: Request<RetryBody<Empty<Bytes>>>| {
            match Attempts::of(request.extensions()) {
                1 => first.clone().oneshot(request),
                _ => second.clone().oneshot(request),
            }
        });
    let service = RetryLayer::new(RetryPolicy::http()).layer(breaker.layer(balanced));
    let post = Request::post("/orders").body(Empty::new()).unwrap();
    let answer = service.oneshot(post).await.unwrap();
    assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (200, 2));
    assert_eq!((here.tally().calls, there.tally().calls), (0, 1));
    assert_eq!((breaker.handle().state(), breaker.handle().stats().ignored), (State::Closed, 1));
    assert!(is_shutting_down(&get(leaving.layer(here)).await));
}
