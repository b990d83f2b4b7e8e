//! Drivers: they call a service as often as they are told, and say how long it took.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Barrier, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode};
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tower::Service;

/// Does this many calls.
pub(crate) type Sample = Box<dyn FnMut(u64) -> Duration>;

#[allow(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Where timers are registered. Nobody drives it: no call lasts until its timer fires.
pub(crate) fn timers() -> EnterGuard<'static> {
    static TIMERS: LazyLock<Runtime> = LazyLock::new(|| {
        Builder::new_current_thread().enable_time().build().expect("a runtime can be made")
    });
    TIMERS.enter()
}

/// One request on one service: ready, call, poll until it is answered, drop the answer where it is.
#[inline]
fn exchange<S, B, Q, R>(service: &mut S, request: Request<Q>, look: impl Fn(&Response<B>) -> R) -> R
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    while !matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))) {}
    let mut future = pin!(service.call(request));
    loop {
        match &future.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(response)) => return look(response),
            Poll::Ready(Err(_)) => panic!("answered with an error"),
            Poll::Pending => {}
        }
    }
}

/// One thread, one service, a waker that does nothing.
pub(crate) fn alone<S, B, Q>(
    mut service: S,
    request: impl Fn() -> Request<Q> + 'static,
    status: StatusCode,
) -> Sample
where
    Q: 'static,
    S: Service<Request<Q>, Response = Response<B>> + 'static,
{
    assert_eq!(exchange(&mut service, request(), Response::status), status);
    Box::new(move |calls| {
        let _context = timers();
        let began = now();
        for _ in 0..calls {
            exchange(&mut service, request(), |_| ());
        }
        began.elapsed()
    })
}

/// Two threads, each with a clone of one service, which begin together. The time is the longer of
/// the two.
pub(crate) fn shared<S, B, Q>(
    service: S,
    request: impl Fn() -> Request<Q> + Copy + Send + 'static,
) -> Sample
where
    Q: 'static,
    S: Service<Request<Q>, Response = Response<B>> + Clone + Send + 'static,
{
    Box::new(move |calls| {
        let together = Barrier::new(2);
        let one = || {
            let (mut service, together) = (service.clone(), &together);
            move || {
                let _context = timers();
                together.wait();
                let began = now();
                block_on(in_turn(&mut service, request, calls));
                began.elapsed()
            }
        };
        thread::scope(|scope| {
            let other = scope.spawn(one());
            one()().max(other.join().expect("the other thread finishes"))
        })
    })
}

async fn in_turn<S, B, Q>(service: &mut S, request: impl Fn() -> Request<Q>, calls: u64)
where
    S: Service<Request<Q>, Response = Response<B>>,
{
    for _ in 0..calls {
        assert!(poll_fn(|cx| service.poll_ready(cx)).await.is_ok(), "not ready");
        let answer = service.call(request()).await;
        assert!(answer.is_ok(), "answered with an error");
    }
}

/// On this thread. Some peers hold an async lock; whoever waits for the other thread spins, which
/// is the least that waiting can cost: a runtime would go to sleep or do other work.
fn block_on(future: impl Future<Output = ()>) {
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Release);
        }
    }
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    while future.as_mut().poll(&mut cx).is_pending() {
        while !woken.0.swap(false, Ordering::Acquire) {
            std::hint::spin_loop();
        }
    }
}
