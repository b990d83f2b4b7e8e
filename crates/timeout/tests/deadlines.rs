//! Where deadlines come from, and who is told of them. In paused time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod support;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::Empty;
use palisade_core::{Rejection, Sent};
use palisade_testkit::{Act, Pace, Probe};
use palisade_timeout::{BodyLimit, DEADLINE_EXPIRED, Deadline, HOP_SLACK, TimeoutLayer};
use proptest::prelude::*;
use support::{SECOND, call, get, grpc, ms, passed, with};
use tokio::time::Instant;
use tokio_test::{assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};

const X_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

/// How long a request may take that nothing answers.
async fn term(layer: &TimeoutLayer, request: Request<()>) -> Duration {
    let never = Probe::new().with_head(Pace::Never, Act::Succeed);
    let (answer, took) = passed(call(layer, never, request)).await;
    assert!(Rejection::of(&answer.unwrap()).is_some());
    took
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_ask_for_less_than_the_limit_but_not_for_more() {
    let layer = TimeoutLayer::server(SECOND);
    for (asked, expected) in [("300m", ms(300)), ("1S", SECOND), ("2S", SECOND), ("9H", SECOND)] {
        assert_eq!(term(&layer, grpc(&[("grpc-timeout", asked)])).await, expected, "{asked}");
    }
    assert_eq!((layer.handle().timed_out(), layer.handle().expired()), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_maximum_lets_it_ask_for_more() {
    let layer = TimeoutLayer::server(SECOND).with_max(5 * SECOND);
    for (asked, expected) in [("300m", ms(300)), ("2S", 2 * SECOND), ("9S", 5 * SECOND)] {
        assert_eq!(term(&layer, grpc(&[("grpc-timeout", asked)])).await, expected, "{asked}");
    }
    assert_eq!(term(&layer, get()).await, SECOND, "who does not ask");
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_of_its_own_a_layer_enforces_what_is_asked_for() {
    let layer = TimeoutLayer::server(Duration::MAX);
    assert_eq!(term(&layer, grpc(&[("grpc-timeout", "3S")])).await, 3 * SECOND);
    let layer = layer.with_max(SECOND);
    assert_eq!(term(&layer, grpc(&[("grpc-timeout", "3S")])).await, SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_header_is_believed_from_those_who_are_trusted() {
    let layer = TimeoutLayer::server(SECOND)
        .with_header(X_TIMEOUT, |head| head.header("x-from").is_some_and(|from| from == "us"));
    let asks = |asked, from| with(&[("x-request-timeout", asked), ("x-from", from)]);
    assert_eq!(term(&layer, asks("0.25", "us")).await, ms(250));
    assert_eq!(term(&layer, asks("250ms", "us")).await, ms(250));
    assert_eq!(term(&layer, asks("0.25", "them")).await, SECOND);
    assert_eq!(term(&layer, asks("soon", "us")).await, SECOND);
    assert_eq!(term(&layer, asks("60", "us")).await, SECOND);
    let both = [("grpc-timeout", "500m"), ("x-request-timeout", "0.25"), ("x-from", "us")];
    assert_eq!(term(&layer, grpc(&both)).await, ms(500), "gRPC's own comes first");
}

proptest! {
    #[test]
    fn a_bad_timeout_is_as_good_as_none(value in proptest::collection::vec(any::<u8>(), 0..12)) {
        let Ok(value) = http::HeaderValue::from_bytes(&value) else { return Ok(()) };
        let unit = value.as_bytes().last().is_some_and(|unit| b"numSMH".contains(unit));
        let digits = &value.as_bytes()[..value.len().saturating_sub(1)];
        let good = unit && (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        prop_assume!(!good);
        let mut request = grpc(&[]);
        request.headers_mut().insert("grpc-timeout", value);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        let layer = TimeoutLayer::server(SECOND).with_max(9 * SECOND);
        prop_assert_eq!(runtime.block_on(term(&layer, request)), SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_too_late_is_refused_unseen_and_counted_apart() {
    let layer = TimeoutLayer::server(SECOND).with_min_useful(ms(50));
    let past = Deadline::at(Instant::now().into_std());
    tokio::time::advance(ms(1)).await;
    let mut inherits = get();
    past.attach(inherits.extensions_mut());
    for request in [grpc(&[("grpc-timeout", "0n")]), grpc(&[("grpc-timeout", "49m")]), inherits] {
        let probe = Probe::new();
        let response = call(&layer, probe.clone(), request).await.unwrap();
        let rejection = Rejection::of(&response).unwrap();
        assert_eq!((rejection.reason(), rejection.sent()), (DEADLINE_EXPIRED, Sent::No));
        assert_eq!(rejection.grpc_code().number(), 4);
        assert_eq!(probe.tally().calls, 0);
    }
    call(&layer, Probe::new(), grpc(&[("grpc-timeout", "50m")])).await.unwrap();
    assert_eq!((layer.handle().timed_out(), layer.handle().expired()), (0, 3));
}

/// What a request looks like once it has come through.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<(HeaderMap, Option<Deadline>)>>>);

impl Seen {
    fn service(
        &self,
    ) -> impl Service<
        Request<()>,
        Response = Response<Empty<Bytes>>,
        Error = Infallible,
        Future = Ready<Result<Response<Empty<Bytes>>, Infallible>>,
    > + Clone {
        let seen = self.clone();
        service_fn(move |request: Request<()>| {
            let deadline = Deadline::of(&request);
            *seen.0.lock().unwrap() = Some((request.headers().clone(), deadline));
            ready(Ok(Response::default()))
        })
    }

    fn through(layer: &TimeoutLayer, request: Request<()>) -> (HeaderMap, Option<Deadline>) {
        let seen = Self::default();
        let service = layer.layer(seen.service());
        let response = assert_ready_ok!(task::spawn(service.oneshot(request)).poll());
        assert_eq!(response.status(), 200);
        seen.0.lock().unwrap().take().unwrap()
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_shared_if_it_came_from_outside_or_is_asked_to() {
    let layer = TimeoutLayer::server(2 * SECOND);
    let deadline = |layer: &TimeoutLayer, request| Seen::through(layer, request).1;
    assert_eq!(deadline(&layer, get()), None);
    let asked = deadline(&layer, grpc(&[("grpc-timeout", "1S")])).unwrap();
    assert_eq!(asked.remaining(now()), SECOND);
    let own = deadline(&layer.clone().shared(), get()).unwrap();
    assert_eq!(own.remaining(now()), 2 * SECOND);
    assert_eq!(deadline(&TimeoutLayer::server(Duration::MAX).shared(), get()), None);
}

/// A limit of the head is nobody's deadline; what a caller asks for is one of the whole.
#[tokio::test(start_paused = true)]
async fn what_bounds_the_head_alone_is_not_shared() {
    for limit in [BodyLimit::Excluded, BodyLimit::Idle(SECOND)] {
        let layer = TimeoutLayer::server(2 * SECOND).with_body(limit).shared();
        assert_eq!(Seen::through(&layer, get()).1, None);
        let asked = Seen::through(&layer, grpc(&[("grpc-timeout", "5S")])).1.unwrap();
        assert_eq!(asked.remaining(now()), 5 * SECOND);
        let told = Seen::through(&layer.forward(), grpc(&[])).0;
        assert!(!told.contains_key("grpc-timeout"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_only_comes_nearer() {
    let layer = TimeoutLayer::server(2 * SECOND);
    for (inherited, asked, expected) in
        [(ms(500), "1S", ms(500)), (9 * SECOND, "1S", SECOND), (9 * SECOND, "5S", 2 * SECOND)]
    {
        let mut request = grpc(&[("grpc-timeout", asked)]);
        Deadline::at(now() + inherited).attach(request.extensions_mut());
        let deadline = Seen::through(&layer, request).1.unwrap();
        assert_eq!(deadline.remaining(now()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_nobody_enforces_is_enforced() {
    let mut request = get();
    Deadline::at(now() + ms(300)).attach(request.extensions_mut());
    assert_eq!(term(&TimeoutLayer::server(SECOND), request).await, ms(300));
}

/// The inner layer has nothing to do, so it is the outer one that answers and counts.
#[tokio::test(start_paused = true)]
async fn who_inherits_a_nearer_deadline_leaves_it_to_whoever_enforces_it() {
    let never = Probe::new().with_head(Pace::Never, Act::Succeed);
    for (outer_limit, inner_limit, counted) in [(1, 2, (1, 0)), (2, 1, (0, 1))] {
        let outer = TimeoutLayer::client(outer_limit * SECOND).shared();
        let inner = TimeoutLayer::client(inner_limit * SECOND);
        let service = outer.layer(inner.layer(never.clone()));
        let (response, took) = passed(service.oneshot(get())).await;
        assert_eq!((response.unwrap().status().as_u16(), took), (504, SECOND));
        assert_eq!((outer.handle().timed_out(), inner.handle().timed_out()), counted);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_hop_is_told_a_little_less_than_is_left() {
    let layer = TimeoutLayer::client(2 * SECOND).with_header(X_TIMEOUT, |_| false).forward();
    let grpc_told = |request| Seen::through(&layer, request).0["grpc-timeout"].clone();
    assert_eq!(grpc_told(grpc(&[])), "1995000u");
    assert_eq!(grpc_told(grpc(&[("grpc-timeout", "30m")])), "27000000n");
    assert_eq!(grpc_told(grpc(&[("grpc-timeout", "soon")])), "1995000u");
    let (headers, deadline) = Seen::through(&layer, get());
    assert_eq!((&headers[X_TIMEOUT], deadline), (&"1.995000".parse().unwrap(), None));
    assert!(!headers.contains_key("grpc-timeout"));
    assert_eq!(HOP_SLACK, ms(5));
}

#[tokio::test(start_paused = true)]
async fn the_next_hop_is_told_nothing_where_nothing_is_bounded() {
    let layer = TimeoutLayer::client(Duration::MAX).with_header(X_TIMEOUT, |_| false).forward();
    let headers = Seen::through(&layer, with(&[("x-request-timeout", "3")])).0;
    assert!(!headers.contains_key(X_TIMEOUT));
    let nameless = TimeoutLayer::client(SECOND).forward();
    assert!(Seen::through(&nameless, get()).0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_anew() {
    let total = TimeoutLayer::client(2 * SECOND).shared();
    let attempt = TimeoutLayer::client(10 * SECOND).forward();
    let seen = Seen::default();
    let inner = attempt.layer(seen.service());
    let attempts = total.layer(service_fn(move |request: Request<()>| {
        let mut inner = inner.clone();
        let again = request.clone();
        async move {
            drop(inner.ready().await?.call(again).await);
            tokio::time::sleep(SECOND).await;
            inner.ready().await?.call(request).await
        }
    }));
    attempts.oneshot(grpc(&[])).await.unwrap();
    let (headers, _) = seen.0.lock().unwrap().take().unwrap();
    assert_eq!(headers["grpc-timeout"], "995000u");
}

/// Each hop is a server that waits a little and then calls the next one, and nothing but headers
/// passes between them.
#[tokio::test(start_paused = true)]
async fn over_three_hops_each_sees_less_time_than_the_one_before() {
    type Told = Arc<Mutex<Vec<Duration>>>;
    async fn hop(left: u32, request: Request<()>, told: Told) -> Response<Empty<Bytes>> {
        let received = Deadline::of(&request).unwrap();
        told.lock().unwrap().push(received.remaining(now()));
        tokio::time::sleep(ms(10)).await;
        if left == 0 {
            return Response::default();
        }
        let next = TimeoutLayer::server(60 * SECOND).layer(service_fn({
            move |request: Request<()>| {
                let told = Arc::clone(&told);
                async move { Ok::<_, Infallible>(Box::pin(hop(left - 1, request, told)).await) }
            }
        }));
        // As a socket would: the headers are all that arrives.
        let socket = service_fn(move |request: Request<()>| {
            let mut arrived = Request::new(());
            *arrived.headers_mut() = request.headers().clone();
            next.clone().oneshot(arrived)
        });
        let mut request = grpc(&[]);
        received.attach(request.extensions_mut());
        let client = TimeoutLayer::client(60 * SECOND).forward().layer(socket);
        assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
        Response::default()
    }
    let told = Told::default();
    let first = TimeoutLayer::server(60 * SECOND).layer(service_fn({
        let told = Arc::clone(&told);
        move |request| {
            let told = Arc::clone(&told);
            async move { Ok::<_, Infallible>(hop(2, request, told).await) }
        }
    }));
    first.oneshot(grpc(&[("grpc-timeout", "1S")])).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [SECOND, ms(985), ms(970)]);
}
