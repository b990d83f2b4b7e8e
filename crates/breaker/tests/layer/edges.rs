//! What a hostile look at the layers has found.
#![allow(clippy::disallowed_methods, clippy::items_after_statements, reason = "a test")]

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};
use palisade_breaker::{BreakerLayer, Circuit, Gate, Policy, Probes, Refused, Signal, State, Trip};
use palisade_core::{Backoff, Rejection};
use palisade_testkit::Probe;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{SECOND, answer, grpc, policy, send};

#[test]
fn a_waker_is_not_dropped_under_the_lock() {
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _guard = runtime.enter();
        let layer = BreakerLayer::new(policy()).gate();
        layer.handle().force_open();
        /// The last owner of a task that is itself waiting: `futures::executor::ThreadPool`'s are like this.
        struct Task(#[allow(dead_code, reason = "it is dropped")] Mutex<Option<Gate<Probe>>>);
        impl Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let mut waiting = layer.layer(Probe::new());
        let _ = Service::<Request<()>>::poll_ready(
            &mut waiting,
            &mut Context::from_waker(Waker::noop()),
        );
        let task = Waker::from(Arc::new(Task(Mutex::new(Some(waiting)))));
        let mut gate = layer.layer(Probe::new());
        let _ = Service::<Request<()>>::poll_ready(&mut gate, &mut Context::from_waker(&task));
        drop(task);
        // The gate moves to another task.
        let _ =
            Service::<Request<()>>::poll_ready(&mut gate, &mut Context::from_waker(Waker::noop()));
        done.send(()).unwrap();
    });
    assert!(end.recv_timeout(5 * SECOND).is_ok(), "deadlock");
}

#[tokio::test(start_paused = true)]
async fn who_watches_a_circuit_that_is_gone_is_told() {
    let layer = BreakerLayer::new(policy());
    let mut transitions = layer.handle().subscribe();
    let watcher = tokio::spawn(async move { while transitions.next().await.is_some() {} });
    drop(layer);
    advance(3600 * SECOND).await;
    tokio::task::yield_now().await;
    assert!(watcher.is_finished(), "the task, the circuit and its waker are kept for ever");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_waker_takes_no_others_along() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("bad waker")
        }
    }
    struct Good(AtomicU32);
    impl Wake for Good {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    let layer = BreakerLayer::new(policy()).gate();
    layer.handle().force_open();
    let good = Arc::new(Good(0.into()));
    let mut gates = Vec::new();
    for n in 0..10 {
        let mut gate = layer.layer(Probe::new());
        let waker =
            if n == 0 { Waker::from(Arc::new(Bad)) } else { Waker::from(Arc::clone(&good)) };
        let _ = Service::<Request<()>>::poll_ready(&mut gate, &mut Context::from_waker(&waker));
        gates.push(gate);
    }
    let _ = catch_unwind(AssertUnwindSafe(|| layer.handle().automatic()));
    assert_eq!(good.0.load(Relaxed), 9);
}

#[test]
fn the_lease_of_a_probe_ends_though_others_come_and_go() {
    let now = Instant::now();
    let policy = Policy::new(Trip::consecutive(1))
        .with_open(Backoff::constant(5 * SECOND))
        .with_probes(Probes::new(2).lease(30 * SECOND));
    let circuit = Circuit::new(policy, now);
    let ticket = circuit.admit(now).unwrap();
    circuit.record(ticket, Signal::Failure, now);
    let mut later = now + 5 * SECOND;
    let _lost = circuit.admit(later).unwrap();
    for _ in 0..3600 {
        later += SECOND;
        if let Ok(ticket) = circuit.admit(later) {
            circuit.record(ticket, Signal::Ignored, later);
        }
    }
    assert_ne!(circuit.stats(later).opened, 1, "{:?}", circuit.stats(later));
}

/// Dropped in time, or hung: a hung probe that others are let through beside.
#[tokio::test(start_paused = true)]
async fn a_hung_probe_is_failed_after_its_lease_at_the_layer() {
    let policy = Policy::new(Trip::consecutive(2))
        .with_open(Backoff::constant(5 * SECOND))
        .with_probes(Probes::new(3).need(3));
    let layer = BreakerLayer::new(policy);
    for _ in 0..2 {
        send(&layer, 500).await;
    }
    advance(5 * SECOND).await;
    let hung = service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let mut hung = pin!(layer.layer(hung).oneshot(Request::new(())));
    assert!(hung.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    for _ in 0..600 {
        advance(SECOND).await;
        send(&layer, 404).await;
        if layer.handle().stats().opened > 1 {
            return;
        }
    }
    panic!("{:?}", layer.handle().stats());
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_panics_leaks_no_probe() {
    struct Bad;
    impl tracing::Subscriber for Bad {
        fn enabled(&self, m: &tracing::Metadata<'_>) -> bool {
            *m.level() == tracing::Level::TRACE && m.target() == "palisade"
        }
        fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
            Some(tracing::level_filters::LevelFilter::TRACE)
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            panic!("disk full")
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    let layer = BreakerLayer::new(policy());
    for _ in 0..2 {
        send(&layer, 500).await;
    }
    advance(5 * SECOND).await;
    let inner = service_fn(move |_| ready(Ok::<_, Infallible>(answer(200))));
    let mut service = layer.layer(inner);
    let result = tracing::subscriber::with_default(Bad, || {
        catch_unwind(AssertUnwindSafe(|| drop(service.call(Request::new(())))))
    });
    assert!(result.is_err());
    assert_eq!(layer.handle().stats().probes_in_flight, 0, "the probe is leaked");
}

struct Panics;
impl Body for Panics {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("body")
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_body_is_a_failure() {
    let layer = BreakerLayer::new(policy());
    for _ in 0..2 {
        let inner = service_fn(|_: Request<()>| ready(Ok::<_, Infallible>(Response::new(Panics))));
        let response = layer.layer(inner).oneshot(grpc()).await.unwrap();
        let task = tokio::spawn(async move {
            let _ = response.into_body().collect().await;
        });
        assert!(task.await.unwrap_err().is_panic());
    }
    assert_eq!(layer.handle().stats().total_failures, 2);
}

struct Exact<B>(B, u64);
impl<B: Body + Unpin> Body for Exact<B> {
    type Data = B::Data;
    type Error = B::Error;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.1)
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_given_up_between_its_message_and_its_trailers_says_nothing() {
    let layer = BreakerLayer::new(policy());
    for _ in 0..2 {
        let inner = service_fn(|_: Request<()>| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let body =
                Full::new(Bytes::from_static(b"message")).with_trailers(ready(Some(Ok(trailers))));
            ready(Ok::<_, Infallible>(Response::new(body)))
        });
        let mut body = layer.layer(inner).oneshot(grpc()).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body); // the caller goes away
    }
    assert_eq!(layer.handle().stats().total_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_call_given_up_after_its_announced_length_says_nothing() {
    let layer = BreakerLayer::new(policy());
    for _ in 0..2 {
        let inner = service_fn(|_: Request<()>| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().unwrap());
            let frames = [Frame::data(Bytes::from_static(b"message")), Frame::trailers(trailers)];
            let mut response =
                Response::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))));
            response.headers_mut().insert("content-length", 7.into());
            ready(Ok::<_, Infallible>(response))
        });
        let mut body = layer.layer(inner).oneshot(grpc()).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(body);
    }
    assert_eq!(layer.handle().stats().total_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_message_stream_that_is_dropped_unread_says_nothing() {
    let layer = BreakerLayer::new(policy());
    for _ in 0..2 {
        let inner = service_fn(|_: Request<()>| {
            let frames: [Frame<Bytes>; 0] = [];
            ready(Ok::<_, Infallible>(Response::new(Exact(
                StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))),
                0,
            ))))
        });
        drop(layer.layer(inner).oneshot(grpc()).await.unwrap());
    }
    assert_eq!(layer.handle().stats().total_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_what_is_so() {
    let layer = BreakerLayer::new(policy());
    for _ in 0..2 {
        send(&layer, 500).await;
    }
    let mut service = layer.layer(Probe::new());
    ServiceExt::<Request<()>>::ready(&mut service).await.unwrap();
    layer.handle().reset();
    let refused = service.call(Request::new(())).await.unwrap();
    let rejection = Rejection::of(&refused).unwrap();
    let source = rejection.source().unwrap();
    let cause = source.downcast_ref::<Refused>().unwrap();
    assert_ne!(
        cause.state(),
        State::Closed,
        "`Open, or HalfOpen while all probes are out`: {source}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_grpc_refusal_is_never_told_zero() {
    let layer = BreakerLayer::new(policy());
    for _ in 0..2 {
        send(&layer, 500).await;
    }
    let mut service = layer.layer(Probe::new());
    ServiceExt::<Request<()>>::ready(&mut service).await.unwrap();
    advance(6 * SECOND).await;
    let refused = service.call(grpc()).await.unwrap();
    assert_ne!(refused.headers()["grpc-retry-pushback-ms"], "0");
}

#[tokio::test(start_paused = true)]
async fn open_for_ever_does_not_panic() {
    let policy = Policy::new(Trip::consecutive(2)).with_open(Backoff::constant(Duration::MAX));
    let layer = BreakerLayer::new(policy);
    for _ in 0..2 {
        send(&layer, 500).await;
    }
    let refused = send(&layer, 200).await;
    assert_eq!(refused.status(), 503);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(wait > 24 * 3600, "{wait}");
    let mut gate = layer.clone().gate().layer(Probe::new());
    assert!(
        Service::<Request<()>>::poll_ready(&mut gate, &mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
}
