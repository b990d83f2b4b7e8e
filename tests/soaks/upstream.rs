use std::{
    fmt,
    future::Future,
    mem,
    panic::resume_unwind,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use palisade::{Head, Protocol};
use tokio::time::{Instant, sleep};
use tower::Service;

use super::{Dice, SECOND, UPSTREAM};

/// The error of a call, or of a body.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

type Answer = Response<UnsyncBoxBody<Bytes, Broken>>;

/// Its clones are one, but that none is ready because another was.
pub(crate) struct Upstream {
    shared: Arc<Shared>,
    ready: bool,
}

impl Clone for Upstream {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ready: false }
    }
}

struct Shared {
    seed: u64,
    began: Instant,
    dice: Mutex<Dice>,
    well: AtomicBool,
    calls: AtomicU64,
    panics: AtomicU64,
}

/// How a call goes.
#[derive(Clone, Copy)]
enum Plan {
    PanicsAtOnce,
    Panics,
    Fails,
    Answers { status: u16, grpc: Option<&'static str>, end: End },
}

/// How a body does.
#[derive(Clone, Copy)]
enum End {
    Plain,
    Status(&'static str),
    Fails,
    Panics,
}

/// What panics say that are meant to be.
pub(crate) const AS_PLANNED: &str = "as planned";

/// Says nothing where tests write their output, as a panic would.
fn panics() -> ! {
    resume_unwind(Box::new(AS_PLANNED))
}

impl Upstream {
    pub(crate) fn new(seed: u64) -> Self {
        let shared = Shared {
            seed,
            began: Instant::now(),
            dice: Mutex::new(Dice::new(seed)),
            well: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared), ready: false }
    }

    /// Fails no more.
    pub(crate) fn recover(&self) {
        self.shared.well.store(true, SeqCst);
    }

    /// How often it was called.
    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(SeqCst)
    }

    pub(crate) fn panics(&self) -> u64 {
        self.shared.panics.load(SeqCst)
    }

    fn dice<T>(&self, throw: impl FnOnce(&mut Dice) -> T) -> T {
        throw(&mut self.shared.dice.lock().unwrap())
    }

    /// How many of a hundred calls fail in this minute.
    fn illness(&self, request: &Request<()>) -> u64 {
        if self.shared.well.load(SeqCst) {
            return 0;
        }
        let minute = self.shared.began.elapsed().as_secs() / 60;
        let which = request.headers()[UPSTREAM].as_bytes().iter().map(|byte| u64::from(*byte));
        let which = which.fold(self.shared.seed, |sum, byte| sum * 256 + byte);
        Dice::new(which.wrapping_mul(1 << 20) + minute).one_of(&[1, 1, 5, 40, 70, 99])
    }

    /// How it goes, and how long it takes until its head, and until each frame, is there.
    fn plan(&self, request: &Request<()>) -> (Plan, Duration, Duration) {
        let illness = self.illness(request);
        let grpc = Protocol::of(Head::of(request)) == Protocol::Grpc;
        let answers = |status, grpc, end| Plan::Answers { status, grpc, end };
        self.dice(|dice| {
            let mut pace =
                |longest| if dice.percent(30) { Duration::ZERO } else { dice.up_to(longest) };
            let (mut head, frame) = (pace(SECOND), pace(2 * SECOND));
            if !dice.percent(illness) {
                let code = dice.one_of(&["0", "0", "0", "0", "5", "1"]);
                let status = dice.one_of(&[200, 200, 200, 204, 404]);
                return (
                    if grpc {
                        answers(200, None, End::Status(code))
                    } else {
                        answers(status, None, End::Plain)
                    },
                    head,
                    frame,
                );
            }
            if dice.percent(20) {
                head = 3 * SECOND + dice.up_to(3 * SECOND);
            }
            let code = dice.one_of(&["14", "13", "8"]);
            let status = dice.one_of(&[500, 503, 429]);
            let plan = match (dice.below(8), grpc) {
                (0, _) => Plan::PanicsAtOnce,
                (1, _) => Plan::Panics,
                (2, _) => Plan::Fails,
                (3, _) => answers(200, None, End::Fails),
                (4, _) => answers(200, None, End::Panics),
                (5, true) => answers(200, Some(code), End::Plain),
                (6, true) => answers(200, None, End::Plain),
                (_, true) => answers(200, None, End::Status(code)),
                (_, false) => answers(status, None, End::Plain),
            };
            (plan, head, frame)
        })
    }
}

impl Service<Request<()>> for Upstream {
    type Response = Answer;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Broken>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.ready = self.ready || self.dice(|dice| dice.percent(80));
        if self.ready {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(mem::take(&mut self.ready), "called without having been ready");
        self.shared.calls.fetch_add(1, SeqCst);
        let (plan, head, frame) = self.plan(&request);
        if matches!(plan, Plan::PanicsAtOnce | Plan::Panics) {
            self.shared.panics.fetch_add(1, SeqCst);
        }
        if let Plan::PanicsAtOnce = plan {
            panics()
        }
        let frames = self.dice(|dice| dice.below(4));
        Box::pin(async move {
            pause(head).await;
            match plan {
                Plan::Answers { status, grpc, end } => {
                    let answer = Response::builder().status(status);
                    let answer = grpc
                        .into_iter()
                        .fold(answer, |answer, code| answer.header("grpc-status", code));
                    Ok(answer.body(body(frames, frame, end)).unwrap())
                }
                Plan::Fails => Err(Broken),
                Plan::Panics | Plan::PanicsAtOnce => panics(),
            }
        })
    }
}

async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn body(frames: u64, pace: Duration, end: End) -> UnsyncBoxBody<Bytes, Broken> {
    let frames = stream::unfold(Some(frames), move |left| async move {
        let left = left?;
        pause(pace).await;
        if left > 0 {
            return Some((Ok(Frame::data(Bytes::from_static(b"."))), Some(left - 1)));
        }
        match end {
            End::Plain => None,
            End::Status(code) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", code.parse().unwrap());
                Some((Ok(Frame::trailers(trailers)), None))
            }
            End::Fails => Some((Err(Broken), None)),
            End::Panics => panics(),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
