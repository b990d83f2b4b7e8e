//! The eight promises of ARCHITECTURE.md, kept by every layer.
//!
//! A new layer implements [`Subject`] in `subjects/`, and [`Refuses`] if it does, and adds its name to
//! [`laws!`]. Promise 5 is kept in `allocations.rs` and `auto_traits.rs`, promises 3 and 4 also over sockets.
#![allow(clippy::unwrap_used, reason = "a test")]

mod subjects;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::Empty;
use palisade::{BoxError, Rejection, Sent};
use palisade_testkit::{Act, Pace, Plan, Probe, ProbeError};
use subjects::{
    Breaker, BreakerByBody, Health, KeyedBreaker, LimitConcurrency, LimitRate, LimitRateByAnswer,
    LimitRateByWindows, RequestBodyTimeout, Retry, SecondAttempt, Timeout,
};
use tower::{Layer, Service};

/// What is asked: a retry needs a body that is one.
type Get = Request<Empty<Bytes>>;

/// A layer under the laws. That its services keep the inner error type is a bound.
trait Subject {
    type Layer: Layer<Probe, Service = Self::Service> + Clone;
    type Service: Service<Get, Response = Response<Self::Body>, Error = ProbeError, Future: Sized>
        + Clone;
    type Body: Body<Data = Bytes, Error: Into<BoxError>>;

    /// One that lets a request pass after the other.
    fn passing() -> Self::Layer;

    /// What exchanges hold of the layer now: permits, leases, bytes.
    fn held(layer: &Self::Layer) -> usize;
}

/// One that also turns requests away.
trait Refuses: Subject {
    /// One that refuses every request before it reaches the inner service.
    fn refusing() -> Self::Layer;

    /// One that refuses while, or after, a single exchange goes by this plan.
    fn tight() -> (Self::Layer, Plan);

    /// Makes such a layer refuse from now on, where the exchange has not done so.
    fn tighten(_: &Self::Layer) {}
}

macro_rules! laws {
    (
        kept by [$($keeps:ident),+ $(,)?], and those that refuse: [$($refuses:ident),+ $(,)?],
        and are always ready: [$($waits:ident),+ $(,)?]
    ) => {
        laws! { @each [$($keeps,)+ $($refuses,)+ $($waits),+]
            an_error_of_the_inner_service_passes_as_it_is
            an_exchange_is_held_until_its_body_is_over
            dropped_at_any_poll_nothing_is_lost
            unwound_at_any_stage_nothing_is_lost
            the_instance_that_was_readied_is_the_one_called
        }
        laws! { @each [$($keeps,)+ $($refuses),+]
            readiness_is_the_inner_services
        }
        laws! { @each [$($waits),+]
            who_is_always_ready_waits_after_the_call
        }
        laws! { @each [$($refuses,)+ $($waits),+]
            a_refusal_is_an_answer
            a_refusal_speaks_the_protocol_of_the_request
            all_services_of_a_layer_and_of_its_clones_share_one_state
            readiness_is_never_an_error_of_the_layer
        }
    };
    (@each $subjects:tt $($law:ident)+) => { $(laws! { @law $law $subjects })+ };
    (@law $law:ident [$($subject:ident),+]) => {
        // With a clock, for layers that make a timer when something waits.
        #[tokio::test(start_paused = true)]
        async fn $law() { $(laws::$law::<$subject>();)+ }
    };
}

laws! {
    kept by [Retry, SecondAttempt, RequestBodyTimeout], and those that refuse: [
        LimitConcurrency, LimitRate, LimitRateByWindows, LimitRateByAnswer, Timeout, Breaker,
        BreakerByBody, KeyedBreaker,
    ], and are always ready: [Health]
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn poll_ready<S: Service<Get>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut cx())
}

/// Calls a service that is ready, for an answer that is there at once.
fn answer<S: Service<Get>>(service: &mut S, request: Get) -> Result<S::Response, S::Error> {
    let Poll::Ready(Ok(())) = poll_ready(service) else { panic!("not ready") };
    match pin!(service.call(request)).poll(&mut cx()) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("no answer"),
    }
}

fn get() -> Get {
    Request::new(Empty::new())
}

/// Takes an exchange `patience` polls far, and then gives up.
fn attempt<S, B>(service: &mut S, mut patience: u32)
where
    S: Service<Get, Response = Response<B>>,
    B: Body,
{
    let mut spent = || {
        let spent = patience == 0;
        patience = patience.saturating_sub(1);
        spent
    };
    loop {
        if spent() {
            return;
        }
        match poll_ready(service) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => break,
            Poll::Ready(Err(_)) => return,
        }
    }
    let mut future = pin!(service.call(get()));
    let response = loop {
        if spent() {
            return;
        }
        match future.as_mut().poll(&mut cx()) {
            Poll::Pending => {}
            Poll::Ready(Ok(response)) => break response,
            Poll::Ready(Err(_)) => return,
        }
    };
    let mut body = pin!(response.into_body());
    while !spent() {
        if let Poll::Ready(None | Some(Err(_))) = body.as_mut().poll_frame(&mut cx()) {
            return;
        }
    }
}

mod laws {
    use super::*;

    /// Promise 1.
    pub(super) fn a_refusal_is_an_answer<T: Refuses>() {
        let probe = Probe::new();
        let response = answer(&mut T::refusing().layer(probe.clone()), get()).unwrap();
        let rejection = Rejection::of(&response).expect("the response says who made it");
        assert!(response.status().is_client_error() || response.status().is_server_error());
        assert_eq!((response.status(), Sent::No), (rejection.status(), rejection.sent()));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(probe.tally().calls, 0, "what is refused is not sent");
    }

    /// Promises 1 and 4.
    pub(super) fn a_refusal_speaks_the_protocol_of_the_request<T: Refuses>() {
        let mut service = T::refusing().layer(Probe::new());
        let grpc = Request::post("/a.B/C").header("content-type", "application/grpc+proto");
        let response = answer(&mut service, grpc.body(Empty::new()).unwrap()).unwrap();
        let code = Rejection::of(&response).unwrap().grpc_code().number();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], code.to_string().as_str());
        assert!(response.body().is_end_stream(), "trailers only");

        let mut head = get();
        *head.method_mut() = Method::HEAD;
        let response = answer(&mut service, head).unwrap();
        assert!(response.status().as_u16() >= 400 && response.body().is_end_stream());
    }

    /// Promise 1.
    pub(super) fn an_error_of_the_inner_service_passes_as_it_is<T: Subject>() {
        let probe = Probe::new().with_head(Pace::AtOnce, Act::Fail);
        let layer = T::passing();
        assert_eq!(answer(&mut layer.layer(probe), get()).err(), Some(ProbeError));
        assert_eq!(T::held(&layer), 0);
    }

    /// Promise 2.
    pub(super) fn all_services_of_a_layer_and_of_its_clones_share_one_state<T: Refuses>() {
        let (layer, plan) = T::tight();
        let probe = Probe::new();
        probe.replan(|current| *current = plan);
        let mut first = layer.layer(probe.clone());
        let mut others = [
            first.clone(),
            layer.layer(probe.clone()),
            layer.clone().layer(probe.clone()),
            layer.layer(Probe::new()),
        ];
        let _open = answer(&mut first, get());
        T::tighten(&layer);
        for service in &mut others {
            let response = answer(service, get()).unwrap();
            assert!(Rejection::of(&response).is_some(), "another state");
        }
        assert_eq!(probe.tally().calls, 1);
    }

    /// Promise 3.
    pub(super) fn an_exchange_is_held_until_its_body_is_over<T: Subject>() {
        for end in [Act::Succeed, Act::Fail] {
            for polls in 0..4 {
                let layer = T::passing();
                let probe = Probe::new().with_body(2, Pace::AtOnce);
                probe.replan(|plan| plan.body.end = end);
                let response = answer(&mut layer.layer(probe.clone()), get()).unwrap();
                let mut body = Box::pin(response.into_body());
                let held = T::held(&layer);
                for _ in 0..polls {
                    let under_way = probe.tally().in_flight == 1;
                    assert_eq!(T::held(&layer), if under_way { held } else { 0 });
                    let _ = body.as_mut().poll_frame(&mut cx());
                }
                drop(body);
                assert_eq!((T::held(&layer), probe.tally().in_flight), (0, 0));
            }
        }
    }

    /// Promise 6. The plan is slow everywhere, so that every await is one to be dropped at.
    pub(super) fn dropped_at_any_poll_nothing_is_lost<T: Subject>() {
        let probe = Probe::new()
            .with_ready(Pace::Polls(1), Act::Succeed)
            .with_head(Pace::Polls(2), Act::Succeed)
            .with_body(2, Pace::Polls(1));
        let layer = T::passing();
        let mut most = 0;
        for patience in 0..16 {
            attempt(&mut layer.layer(probe.clone()), patience);
            assert_eq!((T::held(&layer), probe.tally().in_flight), (0, 0), "{patience}");
            most = most.max(probe.tally().bodies_ended);
        }
        assert!(most > 0, "none went to its end");
        assert!(probe.tally().cancelled > 0 && probe.tally().bodies_dropped > 0);
    }

    /// Promise 6.
    pub(super) fn unwound_at_any_stage_nothing_is_lost<T: Subject>() {
        let stages: [fn(&mut Plan); 4] = [
            |plan| plan.ready.1 = Act::Panic,
            |plan| plan.call_panics = true,
            |plan| plan.head.1 = Act::Panic,
            |plan| plan.body.end = Act::Panic,
        ];
        for stage in stages {
            let layer = T::passing();
            let probe = Probe::new().with_body(1, Pace::AtOnce);
            probe.replan(stage);
            let mut service = layer.layer(probe.clone());
            assert!(catch_unwind(AssertUnwindSafe(|| attempt(&mut service, u32::MAX))).is_err());
            drop(service);
            assert_eq!((T::held(&layer), probe.tally().in_flight), (0, 0));
        }
    }

    /// Promise 8.
    pub(super) fn readiness_is_the_inner_services<T: Subject>() {
        let probe = Probe::new().with_ready(Pace::Polls(2), Act::Succeed);
        let mut service = T::passing().layer(probe);
        assert!(poll_ready(&mut service).is_pending());
        assert!(poll_ready(&mut service).is_pending());
        assert!(poll_ready(&mut service).is_ready());
        assert!(poll_ready(&mut service).is_ready(), "and stays so");

        let failing = Probe::new().with_ready(Pace::AtOnce, Act::Fail);
        let Poll::Ready(readiness) = poll_ready(&mut T::passing().layer(failing)) else {
            panic!("an error is ready")
        };
        assert_eq!(readiness, Err(ProbeError));
    }

    /// Promise 8, of a layer that answers some requests also while nothing inside can: the others wait in
    /// their future, for the instance that was asked first.
    pub(super) fn who_is_always_ready_waits_after_the_call<T: Subject>() {
        let probe = Probe::new().with_ready(Pace::Polls(2), Act::Succeed);
        let mut service = T::passing().layer(probe.clone());
        assert!(poll_ready(&mut service).is_ready());
        let mut future = Box::pin(service.call(get()));
        assert!(future.as_mut().poll(&mut cx()).is_pending());
        assert_eq!(probe.tally().calls, 0);
        assert!(matches!(future.as_mut().poll(&mut cx()), Poll::Ready(Ok(_))));
        assert_eq!((probe.tally().calls, probe.tally().readiness_polls), (1, 3));

        let failing = Probe::new().with_ready(Pace::AtOnce, Act::Fail);
        assert_eq!(poll_ready(&mut T::passing().layer(failing)), Poll::Ready(Err(ProbeError)));
        let late = Probe::new().with_ready(Pace::Polls(1), Act::Fail);
        let layer = T::passing();
        let mut service = layer.layer(late);
        assert!(poll_ready(&mut service).is_ready());
        let mut future = Box::pin(service.call(get()));
        assert!(matches!(future.as_mut().poll(&mut cx()), Poll::Ready(Err(ProbeError))));
        assert_eq!(T::held(&layer), 0, "while the future is there");
    }

    /// Promise 8.
    pub(super) fn readiness_is_never_an_error_of_the_layer<T: Refuses>() {
        for pace in [Pace::AtOnce, Pace::Never] {
            let probe = Probe::new().with_ready(pace, Act::Succeed);
            let mut service = T::refusing().layer(probe.clone());
            match poll_ready(&mut service) {
                Poll::Ready(Err(error)) => panic!("shed by an error of readiness: {error}"),
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    let response = pin!(service.call(get())).poll(&mut cx());
                    assert!(matches!(response, Poll::Ready(Ok(_))), "promised and not kept");
                }
            }
            assert_eq!(probe.tally().calls, 0);
        }
    }

    /// Promise 8. A probe panics when it is called and was not ready, and its clones never are.
    pub(super) fn the_instance_that_was_readied_is_the_one_called<T: Subject>() {
        let probe = Probe::new();
        let mut service = T::passing().layer(probe.clone());
        for _ in 0..3 {
            let mut clone = service.clone();
            drop(answer(&mut service, get()).unwrap());
            drop(answer(&mut clone, get()).unwrap());
        }
        assert_eq!(probe.tally().calls, 6);
    }
}
