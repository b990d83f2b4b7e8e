//! What a caller sees of the layer.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]
#![cfg(not(palisade_loom))]

use std::{
    cell::RefCell,
    collections::VecDeque,
    future, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Method, Request, StatusCode, Version};
use http_body::Body as _;
use http_body_util::Empty;
use palisade_limit_concurrency::{
    AT_CAPACITY, GrpcCode, Held, InFlight, LimitConcurrency, LimitConcurrencyLayer, Rejection,
    Release, ResponseBody, Sent,
};
use palisade_testkit::{Act, Pace, Probe, ProbeBody, ProbeError, ProbeFuture};
use proptest::prelude::*;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service};

type Response = http::Response<ResponseBody<ProbeBody>>;
type Future = <LimitConcurrency<Probe> as Service<Request<()>>>::Future;

fn limited(max: usize, probe: &Probe) -> (LimitConcurrency<Probe>, InFlight) {
    let layer = LimitConcurrencyLayer::new(max);
    (layer.layer(probe.clone()), layer.handle())
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll_ready(service: &mut LimitConcurrency<Probe>) -> Poll<Result<(), ProbeError>> {
    Service::<Request<()>>::poll_ready(service, &mut noop())
}

fn begin(service: &mut LimitConcurrency<Probe>, request: Request<()>) -> task::Spawn<Future> {
    assert_ready_ok!(poll_ready(service));
    task::spawn(service.call(request))
}

fn answer(service: &mut LimitConcurrency<Probe>) -> Response {
    assert_ready_ok!(begin(service, Request::new(())).poll())
}

#[test]
fn refuses_over_the_limit_and_recovers_when_the_body_is_dropped() {
    let probe = Probe::new().with_body(1, Pace::AtOnce);
    let (mut service, in_flight) = limited(1, &probe);
    let first = answer(&mut service);
    assert_eq!(answer(&mut service).status(), 429);
    assert_eq!(probe.tally().calls, 1, "the refused request reached the inner service");
    assert_eq!((in_flight.in_flight(), in_flight.admitted(), in_flight.rejected()), (1, 1, 1));
    drop(first);
    assert_eq!(in_flight.in_flight(), 0);
    assert_eq!(answer(&mut service).status(), 200);
}

#[test]
fn a_refusal_says_what_happened() {
    let (mut service, _) = limited(0, &Probe::new());
    let response = answer(&mut service);
    let rejection = Rejection::of(&response).unwrap();
    assert_eq!((rejection.reason(), rejection.sent()), (AT_CAPACITY, Sent::No));
    assert_eq!(rejection.grpc_code(), GrpcCode::ResourceExhausted);
    assert_eq!(rejection.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}

#[test]
fn a_grpc_request_is_refused_with_a_status_of_grpc() {
    for (status, code) in [(429, "8"), (503, "14")] {
        let layer =
            LimitConcurrencyLayer::new(0).with_status(StatusCode::from_u16(status).unwrap());
        let mut service = layer.layer(Probe::new());
        let request = Request::post("/echo.Echo/Say").header("content-type", "application/grpc");
        let response = assert_ready_ok!(begin(&mut service, request.body(()).unwrap()).poll());
        assert_eq!(
            (response.status().as_u16(), &response.headers()["grpc-status"]),
            (200, &code.parse().unwrap())
        );
        assert!(response.body().is_end_stream());
    }
}

#[test]
fn the_status_is_the_one_asked_for() {
    let layer = LimitConcurrencyLayer::new(0).with_status(StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer(&mut layer.layer(Probe::new())).status(), 503);
}

#[test]
#[should_panic(expected = "must be 4xx or 5xx, not 200")]
fn a_refusal_cannot_look_like_success() {
    let _ = LimitConcurrencyLayer::new(1).with_status(StatusCode::OK);
}

#[test]
fn zero_refuses_everything_until_it_is_raised() {
    let (mut service, in_flight) = limited(0, &Probe::new());
    assert_eq!(answer(&mut service).status(), 429);
    in_flight.set_max(1);
    assert_eq!(answer(&mut service).status(), 200);
}

#[test]
fn lowering_the_limit_cuts_nobody_off() {
    let probe = Probe::new().with_body(2, Pace::AtOnce);
    let (mut service, in_flight) = limited(3, &probe);
    let mut open: Vec<_> = (0..3).map(|_| answer(&mut service)).collect();
    in_flight.set_max(1);
    assert_eq!((in_flight.in_flight(), in_flight.max()), (3, 1));
    let frame = pin!(open[0].body_mut()).poll_frame(&mut noop());
    assert!(matches!(frame, Poll::Ready(Some(Ok(_)))));
    while open.pop().is_some() {
        let expected = if open.is_empty() { 200 } else { 429 };
        assert_eq!(answer(&mut service).status(), expected, "{} open", open.len());
    }
}

#[test]
fn with_release_at_the_head_a_body_holds_nothing() {
    let probe = Probe::new().with_body(1, Pace::Never);
    let layer = LimitConcurrencyLayer::new(1).with_release(Release::Head);
    let mut service = layer.layer(probe.clone());
    let open = answer(&mut service);
    assert_eq!((layer.handle().in_flight(), probe.tally().in_flight), (0, 1));
    drop(open);
    probe.replan(|plan| plan.head.0 = Pace::Never);
    let pending = begin(&mut service, Request::new(()));
    assert_eq!(layer.handle().in_flight(), 1);
    drop(pending);
    assert_eq!(layer.handle().in_flight(), 0);
}

#[test]
fn an_error_gives_the_permit_back_before_it_is_returned() {
    let (mut service, in_flight) = limited(1, &Probe::new().with_head(Pace::AtOnce, Act::Fail));
    let mut failing = begin(&mut service, Request::new(()));
    assert_eq!(assert_ready_err!(failing.poll()), ProbeError);
    assert_eq!(in_flight.in_flight(), 0);
}

#[test]
fn panics_give_the_permit_back() {
    for in_call in [true, false] {
        let probe = Probe::new().with_head(Pace::AtOnce, Act::Panic);
        probe.replan(|plan| plan.call_panics = in_call);
        let (mut service, in_flight) = limited(1, &probe);
        let unwound = catch_unwind(AssertUnwindSafe(|| drop(answer(&mut service))));
        assert!(unwound.is_err());
        assert_eq!((in_flight.in_flight(), in_flight.admitted()), (0, 1));
    }
}

#[test]
fn an_inner_service_that_is_not_ready_is_waited_for_while_there_is_room() {
    let probe = Probe::new().with_ready(Pace::Never, Act::Succeed);
    let (mut service, in_flight) = limited(1, &probe);
    assert_pending!(poll_ready(&mut service));
    in_flight.set_max(0);
    assert_ready_ok!(poll_ready(&mut service));
    // The promise stands though there is room again: the inner service was never ready.
    in_flight.set_max(1);
    let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
    assert_eq!(
        (response.status().as_u16(), in_flight.rejected(), probe.tally().calls),
        (429, 1, 0)
    );
    assert_pending!(poll_ready(&mut service));
}

#[test]
fn a_promise_to_refuse_is_not_inherited_by_clones_nor_kept_past_the_next_poll() {
    let probe = Probe::new().with_ready(Pace::Polls(2), Act::Succeed);
    let (mut service, in_flight) = limited(0, &probe);
    assert_ready_ok!(poll_ready(&mut service));
    in_flight.set_max(1);
    let mut clone = service.clone();
    for service in [&mut service, &mut clone] {
        while poll_ready(service).is_pending() {}
        let response = assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll());
        assert_eq!(response.status(), 200);
    }
}

#[test]
fn an_error_of_readiness_passes() {
    let (mut service, _) = limited(0, &Probe::new().with_ready(Pace::AtOnce, Act::Fail));
    assert_eq!(assert_ready_err!(poll_ready(&mut service)), ProbeError);
}

#[test]
fn all_services_of_a_layer_and_its_clones_share_one_limit() {
    let probe = Probe::new().with_body(1, Pace::Never);
    let layer = LimitConcurrencyLayer::new(2);
    let mut services =
        [layer.layer(probe.clone()), layer.clone().layer(probe.clone()), layer.layer(probe)];
    let mut third = services[2].clone();
    let _open: Vec<_> = services[..2].iter_mut().map(answer).collect();
    assert_eq!(answer(&mut third).status(), 429);
    assert_eq!(layer.handle().in_flight(), 2);
}

fn upgrade() -> Request<()> {
    Request::get("/chat").header("upgrade", "websocket").body(()).unwrap()
}

type Answer = Result<http::Response<Empty<Bytes>>, ProbeError>;

/// A service that keeps the extensions of what it is sent.
fn keeps_extensions()
-> (impl FnMut(Request<()>) -> future::Ready<Answer>, Rc<RefCell<Option<Extensions>>>) {
    let kept = Rc::new(RefCell::new(None));
    let keeper = Rc::clone(&kept);
    let service = move |mut request: Request<()>| {
        keeper.replace(Some(mem::take(request.extensions_mut())));
        future::ready(Ok(http::Response::new(Empty::new())))
    };
    (service, kept)
}

#[test]
fn an_upgraded_exchange_holds_its_permit_until_every_clone_is_gone() {
    for request in [upgrade(), Request::connect("example:443").body(()).unwrap()] {
        let layer = LimitConcurrencyLayer::new(1);
        let (service, kept) = keeps_extensions();
        let mut service = layer.layer(tower::service_fn(service));
        let response = assert_ready_ok!(task::spawn(service.call(request)).poll());
        let held = kept.take().unwrap().remove::<Held>().unwrap();
        let clone = held.clone();
        drop(response);
        assert_eq!(layer.handle().in_flight(), 1);
        drop(held);
        assert_eq!(layer.handle().in_flight(), 1);
        drop(clone);
        assert_eq!(layer.handle().in_flight(), 0);
    }
}

#[test]
fn two_limits_are_both_held_by_one_token() {
    let (outer, inner) = (LimitConcurrencyLayer::new(5), LimitConcurrencyLayer::new(5));
    let (service, kept) = keeps_extensions();
    let mut service = outer.layer(inner.layer(tower::service_fn(service)));
    drop(assert_ready!(task::spawn(service.call(upgrade())).poll()));
    assert_eq!((outer.handle().in_flight(), inner.handle().in_flight()), (1, 1));
    drop(kept.take());
    assert_eq!((outer.handle().in_flight(), inner.handle().in_flight()), (0, 0));
}

#[test]
fn requests_that_do_not_ask_to_upgrade_carry_no_token() {
    let http2 = |mut request: Request<()>| {
        *request.version_mut() = Version::HTTP_2;
        request
    };
    for request in [Request::new(()), http2(upgrade()), Request::post("/").body(()).unwrap()] {
        assert_ne!(request.method(), Method::CONNECT);
        let (service, kept) = keeps_extensions();
        let mut service = LimitConcurrencyLayer::new(1).layer(tower::service_fn(service));
        drop(assert_ready!(task::spawn(service.call(request)).poll()));
        assert!(kept.take().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_follows_littles_law() {
    let probe = Probe::new().with_body(1, Pace::Never);
    let (mut service, _) = limited(10, &probe);
    let mut open: VecDeque<_> = (0..10).map(|_| answer(&mut service)).collect();
    assert_eq!(answer(&mut service).headers()["retry-after"], "1");
    // Two leave each second and ten are in: each stays five seconds.
    for expected in ["1", "2", "3", "4", "5", "5", "5"] {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..2 {
            open.pop_front();
            open.push_back(answer(&mut service));
        }
        assert_eq!(answer(&mut service).headers()["retry-after"], expected);
    }
}

#[derive(Clone, Debug)]
struct Exchange {
    ready: u32,
    head: (u32, Act),
    frames: u32,
    frame_polls: u32,
    end: Act,
    /// After how many polls, of readiness, future and body together, the caller gives up.
    patience: u32,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![4 => Just(Act::Succeed), 1 => Just(Act::Fail), 1 => Just(Act::Panic)]
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (0..3_u32, (0..3_u32, act()), 0..3_u32, 0..3_u32, act(), 0..16_u32).prop_map(
        |(ready, head, frames, frame_polls, end, patience)| Exchange {
            ready,
            head,
            frames,
            frame_polls,
            end,
            patience,
        },
    )
}

fn run(service: &mut LimitConcurrency<Probe>, mut patience: u32) {
    let mut step = || {
        patience = patience.checked_sub(1)?;
        Some(())
    };
    let mut attempt = || {
        while poll_ready(service).is_pending() {
            step()?;
        }
        let mut future = pin!(service.call(Request::new(())));
        let response = loop {
            step()?;
            if let Poll::Ready(answer) = future.as_mut().poll(&mut noop()) {
                break answer.ok()?;
            }
        };
        let mut body = pin!(response.into_body());
        loop {
            step()?;
            if let Poll::Ready(None | Some(Err(_))) = body.as_mut().poll_frame(&mut noop()) {
                break Some(());
            }
        }
    };
    attempt();
}

proptest! {
    /// Given up or panicking at any poll, an exchange leaves nothing behind.
    #[test]
    fn dropping_at_any_poll_returns_the_permit(
        exchanges in proptest::collection::vec(exchange(), 1..8), release_at_head: bool,
    ) {
        let release = if release_at_head { Release::Head } else { Release::BodyEnd };
        let layer = LimitConcurrencyLayer::new(1).with_release(release);
        let probe = Probe::new();
        for exchange in &exchanges {
            probe.replan(|plan| {
                plan.ready.0 = Pace::Polls(exchange.ready);
                plan.head = (Pace::Polls(exchange.head.0), exchange.head.1);
                plan.body.frames = exchange.frames;
                plan.body.pace = Pace::Polls(exchange.frame_polls);
                plan.body.end = exchange.end;
            });
            let mut service = layer.layer(probe.clone());
            let _ = catch_unwind(AssertUnwindSafe(|| run(&mut service, exchange.patience)));
            drop(service);
            let tally = probe.tally();
            prop_assert_eq!((layer.handle().in_flight(), tally.in_flight), (0, 0));
            prop_assert_eq!(layer.handle().admitted(), tally.calls as u64);
            prop_assert_eq!(layer.handle().rejected(), 0);
            prop_assert!(tally.peak <= 1);
        }
    }
}

#[test]
fn the_future_can_be_named() {
    let (mut service, _) = limited(1, &Probe::new());
    assert_ready_ok!(poll_ready(&mut service));
    let future: palisade_limit_concurrency::future::ResponseFuture<ProbeFuture> =
        service.call(Request::new(()));
    assert_eq!(format!("{future:?}"), "ResponseFuture(Admitted)");
}
