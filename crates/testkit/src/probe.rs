use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use crate::{
    Tally,
    plan::{Act, BodyPlan, Pace, Plan, Waiting},
};

/// An inner service that does what a test planned and remembers what was done to it.
///
/// It holds layers to tower's contract: it panics when called without having been ready, being
/// ready is good for one call, and a clone starts un-ready whatever the original was.
///
/// ```
/// use palisade_testkit::{Act, Pace, Probe};
///
/// let probe = Probe::new().with_head(Pace::Never, Act::Succeed).with_body(3, Pace::AtOnce);
/// assert_eq!(probe.tally().calls, 0);
/// ```
#[derive(Debug)]
pub struct Probe {
    shared: Arc<Shared>,
    readiness: Readiness,
}

#[derive(Debug)]
enum Readiness {
    Unknown,
    Waiting(Waiting, Act),
    Ready,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Mutex<Plan>,
    tally: Mutex<Tally>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Probes panic on request; what they guard is whole all the same.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Probe {
    fn default() -> Self {
        Self::new()
    }
}

impl Probe {
    /// A probe that is ready and answers at once, with an empty body.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::default(), readiness: Readiness::Unknown }
    }

    /// Plans readiness.
    #[must_use]
    pub fn with_ready(self, pace: Pace, act: Act) -> Self {
        self.replan(|plan| plan.ready = (pace, act));
        self
    }

    /// Plans the head of responses.
    #[must_use]
    pub fn with_head(self, pace: Pace, act: Act) -> Self {
        self.replan(|plan| plan.head = (pace, act));
        self
    }

    /// Plans bodies of this many one-byte frames that end well.
    #[must_use]
    pub fn with_body(self, frames: u32, pace: Pace) -> Self {
        self.replan(|plan| plan.body = BodyPlan { frames, pace, ..Plan::default().body });
        self
    }

    /// Changes the plan for all clones, from now on.
    pub fn replan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut lock(&self.shared.plan));
    }

    /// What was done to this probe and its clones so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        *lock(&self.shared.tally)
    }
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), readiness: Readiness::Unknown }
    }
}

/// The error of a [`Probe`] that was planned to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeError;

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the probe failed as planned")
    }
}

impl std::error::Error for ProbeError {}

fn act(act: Act) -> Result<(), ProbeError> {
    match act {
        Act::Succeed => Ok(()),
        Act::Fail => Err(ProbeError),
        Act::Panic => panic!("the probe panicked as planned"),
    }
}

impl<B> Service<Request<B>> for Probe {
    type Response = Response<ProbeBody>;
    type Error = ProbeError;
    type Future = ProbeFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProbeError>> {
        lock(&self.shared.tally).readiness_polls += 1;
        if let Readiness::Unknown = self.readiness {
            let (pace, act) = lock(&self.shared.plan).ready;
            self.readiness = Readiness::Waiting(pace.into(), act);
        }
        if let Readiness::Waiting(waiting, outcome) = &mut self.readiness {
            ready!(waiting.poll(cx));
            act(*outcome)?;
            self.readiness = Readiness::Ready;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> ProbeFuture {
        assert!(
            matches!(self.readiness, Readiness::Ready),
            "a service was called that had not been ready"
        );
        self.readiness = Readiness::Unknown;
        let plan = *lock(&self.shared.plan);
        assert!(!plan.call_panics, "the probe panicked as planned");
        lock(&self.shared.tally).began();
        ProbeFuture {
            exchange: Some(Exchange { shared: Arc::clone(&self.shared), head_ready: false }),
            waiting: plan.head.0.into(),
            plan,
        }
    }
}

/// An exchange under way; its drop is its end.
#[derive(Debug)]
struct Exchange {
    shared: Arc<Shared>,
    head_ready: bool,
}

impl Exchange {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.shared.tally)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let mut tally = self.tally();
        tally.in_flight -= 1;
        if !self.head_ready {
            tally.cancelled += 1;
        }
    }
}

/// The future of a [`Probe`].
#[derive(Debug)]
pub struct ProbeFuture {
    exchange: Option<Exchange>,
    waiting: Waiting,
    plan: Plan,
}

impl Future for ProbeFuture {
    type Output = Result<Response<ProbeBody>, ProbeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.waiting.poll(cx));
        act(self.plan.head.1).inspect_err(|_| {
            if let Some(mut exchange) = self.exchange.take() {
                exchange.head_ready = true;
                exchange.tally().answered += 1;
            }
        })?;
        let mut exchange = self.exchange.take().expect("polled after it was ready");
        exchange.head_ready = true;
        exchange.tally().answered += 1;
        let body = ProbeBody::new(self.plan.body, exchange);
        Poll::Ready(Ok(Response::new(body)))
    }
}

/// The response body of a [`Probe`].
///
/// It knows its length where it ends well and without trailers, as bodies do that a server answers
/// with a `content-length`.
#[derive(Debug)]
pub struct ProbeBody {
    plan: BodyPlan,
    left: u32,
    waiting: Waiting,
    exchange: Option<Exchange>,
}

impl ProbeBody {
    fn new(plan: BodyPlan, exchange: Exchange) -> Self {
        let mut body =
            Self { plan, left: plan.frames, waiting: plan.pace.into(), exchange: Some(exchange) };
        if body.has_nothing_more() {
            body.end();
        }
        body
    }

    fn has_nothing_more(&self) -> bool {
        self.left == 0 && self.ends_well() && !self.plan.trailers
    }

    fn ends_well(&self) -> bool {
        self.plan.end == Act::Succeed && self.plan.pace != Pace::Never
    }

    fn end(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.tally().bodies_ended += 1;
        }
    }
}

impl Drop for ProbeBody {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.tally().bodies_dropped += 1;
        }
    }
}

impl Body for ProbeBody {
    type Data = Bytes;
    type Error = ProbeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ProbeError>>> {
        if self.exchange.is_none() {
            return Poll::Ready(None);
        }
        ready!(self.waiting.poll(cx));
        self.waiting = self.plan.pace.into();
        if self.left > 0 {
            self.left -= 1;
            if self.has_nothing_more() {
                self.end();
            }
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))));
        }
        if let Err(error) = act(self.plan.end) {
            self.end();
            return Poll::Ready(Some(Err(error)));
        }
        self.end();
        Poll::Ready(self.plan.trailers.then(|| Ok(Frame::trailers(HeaderMap::new()))))
    }

    fn is_end_stream(&self) -> bool {
        self.exchange.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.ends_well() && !self.plan.trailers {
            SizeHint::with_exact(self.left.into())
        } else {
            SizeHint::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_test::{assert_pending, assert_ready_ok, task};

    use super::*;

    fn ready(probe: &mut Probe) {
        let mut polled = task::spawn(());
        assert_ready_ok!(polled.enter(|cx, _| Service::<Request<()>>::poll_ready(probe, cx)));
    }

    #[test]
    #[should_panic(expected = "had not been ready")]
    fn a_call_without_readiness_panics() {
        drop(Probe::new().call(Request::new(())));
    }

    #[test]
    #[should_panic(expected = "had not been ready")]
    fn readiness_is_good_for_one_call() {
        let mut probe = Probe::new();
        ready(&mut probe);
        drop(probe.call(Request::new(())));
        drop(probe.call(Request::new(())));
    }

    #[test]
    #[should_panic(expected = "had not been ready")]
    fn a_clone_of_a_ready_probe_is_not_ready() {
        let mut probe = Probe::new();
        ready(&mut probe);
        drop(probe.clone().call(Request::new(())));
    }

    #[test]
    fn the_tally_tells_what_was_done() {
        let mut probe =
            Probe::new().with_head(Pace::Polls(1), Act::Succeed).with_body(2, Pace::AtOnce);
        ready(&mut probe);
        let mut first = task::spawn(probe.call(Request::new(())));
        assert_pending!(first.poll());
        ready(&mut probe);
        drop(probe.call(Request::new(())));
        let response = assert_ready_ok!(first.poll());
        let tally = probe.tally();
        assert_eq!((tally.calls, tally.answered, tally.cancelled), (2, 1, 1));
        assert_eq!((tally.in_flight, tally.peak), (1, 2));
        drop(response);
        let tally = probe.tally();
        assert_eq!((tally.in_flight, tally.bodies_ended, tally.bodies_dropped), (0, 0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn time_passes_only_as_tests_say() {
        let second = std::time::Duration::from_secs(1);
        let mut probe = Probe::new().with_head(Pace::After(second), Act::Fail);
        ready(&mut probe);
        let began = tokio::time::Instant::now();
        assert_eq!(probe.call(Request::new(())).await.unwrap_err(), ProbeError);
        assert_eq!(began.elapsed(), second);
    }
}
