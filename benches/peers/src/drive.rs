//! Drivers: they call a service as often as they are told, and say how long it took.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
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

static WORKERS: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().expect("a runtime can be made")
});

/// One request on one service: ready, call, poll until it is answered, drop the answer where it is.
#[inline]
fn exchange<S, B, R>(service: &mut S, request: Request<()>, look: impl Fn(&Response<B>) -> R) -> R
where
    S: Service<Request<()>, Response = Response<B>>,
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
pub(crate) fn alone<S, B>(
    mut service: S,
    request: impl Fn() -> Request<()> + 'static,
    status: StatusCode,
) -> Sample
where
    S: Service<Request<()>, Response = Response<B>> + 'static,
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

/// Two threads, each with a clone of one service: two tasks on a runtime with two workers, which
/// begin together. The time is the longer of the two.
pub(crate) fn shared<S, B: 'static>(
    service: S,
    request: impl Fn() -> Request<()> + Copy + Send + 'static,
) -> Sample
where
    S: Service<Request<()>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
{
    Box::new(move |calls| {
        let together = Arc::new(AtomicUsize::new(0));
        let [one, other] = [(); 2].map(|()| {
            let (service, together) = (service.clone(), Arc::clone(&together));
            WORKERS.spawn(task(service, request, calls, together))
        });
        WORKERS.block_on(async move {
            let one = one.await.expect("the one task finishes");
            one.max(other.await.expect("the other task finishes"))
        })
    })
}

async fn task<S, B>(
    mut service: S,
    request: impl Fn() -> Request<()>,
    calls: u64,
    together: Arc<AtomicUsize>,
) -> Duration
where
    S: Service<Request<()>, Response = Response<B>>,
{
    // Holds its thread until the other task has one too.
    together.fetch_add(1, Ordering::AcqRel);
    while together.load(Ordering::Acquire) < 2 {
        std::hint::spin_loop();
    }
    let began = now();
    for _ in 0..calls {
        assert!(poll_fn(|cx| service.poll_ready(cx)).await.is_ok(), "not ready");
        let answer = service.call(request()).await;
        assert!(answer.is_ok(), "answered with an error");
    }
    began.elapsed()
}
