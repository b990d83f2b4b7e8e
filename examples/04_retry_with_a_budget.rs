//! What retries make of an upstream's bad minute: `cargo run --example 04_retry_with_a_budget`.
//!
//! First three services that call one another, each with up to three attempts, and below them one that is
//! down for a minute, or fails some of its calls. Look at how often that is called for each request: without
//! a budget 27 times when it is down. With one, each hop adds a tenth of what succeeds, so most where that is
//! of use: a third where a quarter fails.
//!
//! Then one with a queue that is asked for twice what it can do, for ten seconds, and for 80 % of that from
//! then on. Look at when it is well again: without a budget never, since all it does is work that its
//! callers no longer wait for, and ask for again. With one as soon as without retries, of one client and of
//! twenty, each with a budget of its own.
//!
//! It prints:
//!
//! ```text
//!                                    calls  answered   well again
//! three hops above one that is down
//!   no retries                      1.00 x       0 %
//!   no budget                      27.00 x       0 %
//!   no budget, stamp handed on      7.00 x       0 %
//!   defaults                        1.00 x       0 %
//!   defaults, stamp handed on       1.00 x       0 %
//!   defaults, and breakers          0.00 x       0 %
//! three hops above one that fails half of its calls
//!   no retries                      1.00 x      50 %
//!   no budget                       2.01 x     100 %
//!   defaults                        1.18 x      59 %
//! three hops above one that fails a quarter of its calls
//!   no retries                      1.00 x      75 %
//!   no budget                       1.33 x     100 %
//!   defaults                        1.29 x      97 %
//! ten seconds of overload by one client
//!   no retries                      1.00 x      72 %    after 3 s
//!   no budget                       2.77 x      12 %        never
//!   defaults                        1.00 x      72 %    after 3 s
//! ten seconds of overload by 20 clients
//!   no retries                      1.00 x      72 %    after 3 s
//!   no budget                       2.77 x      12 %        never
//!   defaults                        1.01 x      72 %    after 3 s
//! ```
#![allow(clippy::print_stdout, reason = "an example")]

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{body::Body, response::IntoResponse};
use http::{HeaderName, Request, Response, StatusCode};
use palisade::{
    Rng,
    breaker::BreakerLayer,
    retry::{Budget, Retry, RetryLayer, RetryPolicy},
    timeout::TimeoutLayer,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};

// Nothing happens while time stands still, so minutes take seconds.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("{:32}{:>8}{:>10}{:>13}", "", "calls", "answered", "well again");
    println!("three hops above one that is down");
    show("no retries", &bad_minute(ONCE, 100, plain).await);
    show("no budget", &bad_minute(UNLIMITED, 100, plain).await);
    show("no budget, stamp handed on", &bad_minute(UNLIMITED_STAMPED, 100, plain).await);
    show("defaults", &bad_minute(DEFAULTS, 100, plain).await);
    show("defaults, stamp handed on", &bad_minute(STAMPED, 100, plain).await);
    show("defaults, and breakers", &bad_minute(DEFAULTS, 100, guarded).await);
    for (percent, how_many) in [(50, "half"), (25, "a quarter")] {
        println!("three hops above one that fails {how_many} of its calls");
        show("no retries", &bad_minute(ONCE, percent, plain).await);
        show("no budget", &bad_minute(UNLIMITED, percent, plain).await);
        show("defaults", &bad_minute(DEFAULTS, percent, plain).await);
    }
    for (clients, whom) in [(1, "one client"), (20, "20 clients")] {
        println!("ten seconds of overload by {whom}");
        show("no retries", &overload(ONCE, clients).await);
        show("no budget", &overload(UNLIMITED, clients).await);
        show("defaults", &overload(DEFAULTS, clients).await);
    }
}

pub(crate) type Policy = fn() -> RetryPolicy;
pub(crate) const ONCE: Policy = || RetryPolicy::http().max_attempts(1);
pub(crate) const UNLIMITED: Policy = || RetryPolicy::http().budget(Budget::unlimited());
pub(crate) const UNLIMITED_STAMPED: Policy = || UNLIMITED().stamp(STAMP);
pub(crate) const DEFAULTS: Policy = RetryPolicy::http;
pub(crate) const STAMPED: Policy = || DEFAULTS().stamp(STAMP);

const STAMP: HeaderName = HeaderName::from_static("x-attempt");

pub(crate) type Upstream = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

pub(crate) fn plain(upstream: Upstream) -> Upstream {
    upstream
}

/// Behind a circuit breaker of its own.
pub(crate) fn guarded(upstream: Upstream) -> Upstream {
    let guarded = BreakerLayer::default().layer(upstream);
    BoxCloneSyncService::new(guarded.map_response(|response| response.map(Body::new)))
}

/// A service that asks another, with a client that tries again.
fn hop(policy: RetryPolicy, next: Upstream) -> Upstream {
    let client = Arc::new(RetryLayer::new(policy).with_body(Body::new).layer(next));
    BoxCloneSyncService::new(service_fn(move |asked: Request<Body>| {
        let mut request = Request::new(Body::empty());
        // Nobody sends it where no policy names it.
        if let Some(attempt) = asked.headers().get(STAMP) {
            request.headers_mut().insert(STAMP, attempt.clone());
        }
        let answer = Retry::clone(&client).oneshot(request);
        async { Ok(answer.await?.status().into_response()) }
    }))
}

const UNAVAILABLE: StatusCode = StatusCode::SERVICE_UNAVAILABLE;

/// A minute of 200 requests a second to three hops. So many percent of the calls to the service that the
/// last one asks are answered 503, at once; which ones is the same in each run.
pub(crate) async fn bad_minute(
    policy: Policy,
    failing: u64,
    around: fn(Upstream) -> Upstream,
) -> Seen {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let bottom = BoxCloneSyncService::new(service_fn(move |_| {
        let mut chance = Rng::seeded(counted.fetch_add(1, Relaxed));
        let fails = chance.next_u64() % 100 < failing;
        let status = if fails { UNAVAILABLE } else { StatusCode::OK };
        ready(Ok(status.into_response()))
    }));
    let service = (0..3).fold(bottom, |next, _| hop(policy(), around(next)));
    let seconds = ask(&[service], &[200; 60]).await;
    Seen { seconds, calls: calls.load(Relaxed), overloaded: None }
}

/// How much an upstream can do at once, and how long each request takes it: 200 a second.
pub(crate) const WORKERS: usize = 20;
pub(crate) const WORK: Duration = Duration::from_millis(100);
/// How long the last one in the queue waits; who would have to wait longer is answered 503.
const QUEUE: Duration = Duration::from_secs(1);
/// How long a caller waits for each attempt. The upstream is not told that it went away, and does the work
/// all the same.
const PATIENCE: Duration = Duration::from_millis(500);

/// What an upstream is asked in each second: 80 % of what it can do, then twice as much as it can, and a
/// minute of 80 % again.
fn overloaded() -> Vec<u32> {
    [[160; 10].as_slice(), &[400; 10], &[160; 60]].concat()
}

/// From so many clients in turn, each with a budget of its own.
pub(crate) async fn overload(policy: Policy, clients: usize) -> Seen {
    overload_of(queue, policy, clients).await
}

pub(crate) async fn overload_of(
    upstream: fn(Arc<AtomicU64>) -> Upstream,
    policy: Policy,
    clients: usize,
) -> Seen {
    let calls = Arc::new(AtomicU64::new(0));
    let upstream = TimeoutLayer::client(PATIENCE).layer(upstream(Arc::clone(&calls)));
    let upstream = upstream.map_response(|response| response.map(Body::new));
    let upstream = BoxCloneSyncService::new(upstream);
    let clients: Vec<_> = (0..clients).map(|_| hop(policy(), upstream.clone())).collect();
    let seconds = ask(&clients, &overloaded()).await;
    Seen { seconds, calls: calls.load(Relaxed), overloaded: Some(20) }
}

/// First come, first served. As all work takes as long, it is known when each will be done.
fn queue(calls: Arc<AtomicU64>) -> Upstream {
    let idle_from = Arc::new(Mutex::new(VecDeque::from([Instant::now(); WORKERS])));
    BoxCloneSyncService::new(service_fn(move |_| {
        calls.fetch_add(1, Relaxed);
        let mut idle_from = idle_from.lock().expect("nobody panics");
        let now = Instant::now();
        let begins = now.max(idle_from[0]);
        let done = (begins - now <= QUEUE).then(|| begins + WORK);
        if let Some(done) = done {
            idle_from.pop_front();
            idle_from.push_back(done);
        }
        async move {
            let Some(done) = done else { return Ok(UNAVAILABLE.into_response()) };
            sleep_until(done).await;
            Ok(StatusCode::OK.into_response())
        }
    }))
}

/// Asks so many times in each second, evenly and whatever becomes of it, and says how many were answered
/// well of those that were asked then.
async fn ask(services: &[Upstream], rates: &[u32]) -> Vec<Second> {
    let mut seconds: Vec<_> = rates.iter().map(|&asked| Second { asked, well: 0 }).collect();
    let mut answers = JoinSet::new();
    let mut in_turn = services.iter().cycle();
    let (mut begin, second_long) = (Instant::now(), Duration::from_secs(1));
    for (second, &rate) in rates.iter().enumerate() {
        for number in 0..rate {
            sleep_until(begin + second_long * number / rate).await;
            let service = in_turn.next().expect("there is one").clone();
            let answer = service.oneshot(Request::new(Body::empty()));
            answers.spawn(async move { (second, answer.await) });
        }
        begin += second_long;
    }
    while let Some(answer) = answers.join_next().await {
        let (second, Ok(answer)) = answer.expect("nobody panics");
        seconds[second].well += u32::from(answer.status().is_success());
    }
    seconds
}

pub(crate) struct Second {
    asked: u32,
    well: u32,
}

/// What became of the requests.
pub(crate) struct Seen {
    seconds: Vec<Second>,
    /// How often the upstream was called.
    calls: u64,
    /// Until which second it was offered more than it can do.
    overloaded: Option<usize>,
}

impl Seen {
    fn sum(&self, of: impl Fn(&Second) -> u32) -> f64 {
        self.seconds.iter().map(|second| f64::from(of(second))).sum()
    }

    /// For each request.
    #[allow(clippy::cast_precision_loss, reason = "there are not as many")]
    pub(crate) fn calls(&self) -> f64 {
        self.calls as f64 / self.sum(|second| second.asked)
    }

    /// The share of requests that were answered well.
    pub(crate) fn answered(&self) -> f64 {
        self.sum(|second| second.well) / self.sum(|second| second.asked)
    }

    /// How many seconds after the overload 99 of 100 requests were answered well, in that second and all
    /// that came.
    pub(crate) fn well_again(&self) -> Option<usize> {
        let after = &self.seconds[self.overloaded?..];
        let bad = |second: &Second| second.well * 100 < second.asked * 99;
        let seconds = after.iter().rposition(bad).map_or(0, |last| last + 1);
        (seconds < after.len()).then_some(seconds)
    }
}

fn show(how: &str, seen: &Seen) {
    let well_again = match (seen.overloaded, seen.well_again()) {
        (None, _) => String::new(),
        (_, None) => "never".into(),
        (_, Some(seconds)) => format!("after {seconds} s"),
    };
    let (calls, answered) = (seen.calls(), seen.answered() * 100.0);
    println!("  {how:30}{calls:>6.2} x{answered:>8.0} %{well_again:>13}");
}
