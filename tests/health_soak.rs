//! An hour of checks that hang, panic and flap, of tasks that die, and of drains that are taken back, while
//! probes are asked and clients go away at every await, in paused time.
//!
//! Afterwards the books balance, nothing is held, and no task is left.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod soaks;
mod unwell;

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::Empty;
use palisade::health::{Health, HealthLayer, Phase, Probe, Report, ServingStatus, Status};
use soaks::{Crowd, Dice, HOUR, SECOND, Upstream};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use unwell::{Books, Patient, is_worker};

/// What the probes are to be answered, worked out from how everything stands.
fn worst(report: &Report, probe: Probe) -> Status {
    let of = |probe| report.of(probe).map(palisade::health::Item::status).max();
    let own = |probe| of(probe).unwrap_or(Status::Pass);
    if probe != Probe::Readiness {
        return own(probe);
    }
    let items = report.of(probe).map(|item| match (item.is_critical(), item.status()) {
        (false, Status::Unknown | Status::Fail) => Status::Warn,
        (_, status) => status,
    });
    let drains = if report.is_draining() { Status::Fail } else { Status::Pass };
    items.chain([own(Probe::Liveness), own(Probe::Startup), drains]).max().unwrap()
}

/// Asks through the layer and beside it, and finds the same, at once.
async fn probes(health: Health, asked: Arc<AtomicU64>) {
    let silent = service_fn(|_: Request<Empty<Bytes>>| {
        std::future::pending::<Result<http::Response<Empty<Bytes>>, std::convert::Infallible>>()
    });
    let service = HealthLayer::new(&health).layer(silent);
    let (mut dice, until) = (Dice::new(77), Instant::now() + HOUR);
    let (mut transitions, mut seen) = (0, health.report());
    while Instant::now() < until {
        sleep(dice.up_to(SECOND)).await;
        let report = health.report();
        assert!(report.transitions() >= transitions, "they are counted up");
        transitions = report.transitions();
        for (probe, path) in [
            (Probe::Liveness, "/livez"),
            (Probe::Readiness, "/readyz"),
            (Probe::Startup, "/startupz"),
        ] {
            assert_eq!(report.status(probe), worst(&report, probe), "{report:?}");
            assert_eq!(health.status(probe), report.status(probe));
            let request = Request::get(path).body(Empty::new()).unwrap();
            let answer =
                service.clone().oneshot(request).now_or_never().expect("it is not waited for");
            assert_eq!(answer.unwrap().status() == 200, report.status(probe).is_up());
            if report.status(probe) != seen.status(probe) {
                asked.fetch_add(1, SeqCst);
            }
        }
        let is_up = report.status(Probe::Readiness).is_up();
        let told = if is_up { ServingStatus::Serving } else { ServingStatus::NotServing };
        assert_eq!(health.serving(""), Some(told));
        seen = report;
    }
}

/// Never tells the same twice, and says in the end what is.
async fn watches(health: Health) -> u64 {
    let (mut watch, mut last, mut told) = (Box::pin(health.watch_serving("")), None, 0);
    while let Some(status) = poll_fn(|cx| watch.as_mut().poll_next(cx)).await {
        assert_ne!(Some(status), last);
        (last, told) = (Some(status), told + 1);
    }
    assert_eq!((last, health.phase()), (Some(ServingStatus::NotServing), Phase::Drained));
    told
}

/// Drains, waits for that or not, and takes it back.
async fn operates(health: Health) -> [u64; 2] {
    let (mut dice, until) = (Dice::new(78), Instant::now() + HOUR);
    let mut drained = [0; 2];
    while Instant::now() < until {
        sleep(dice.up_to(120 * SECOND)).await;
        health.drain(dice.up_to(20 * SECOND));
        if dice.percent(30) {
            health.drain(dice.up_to(5 * SECOND));
        }
        if dice.percent(70) {
            let left = health.drained_within(dice.up_to(40 * SECOND)).await;
            assert_eq!(health.phase(), Phase::Drained);
            drained[usize::from(left > 0)] += 1;
        } else {
            sleep(dice.up_to(40 * SECOND)).await;
        }
        health.resume();
        assert_eq!(health.phase(), Phase::Serving);
    }
    drained
}

/// As many clients as there are ask for whatever there is, as in the other soaks.
async fn is_asked_for_an_hour(health: &Health, upstream: &Upstream) {
    let inside = upstream.clone().map_request(|request: Request<Empty<Bytes>>| request.map(drop));
    let service = ServiceBuilder::new()
        .map_request(|request: Request<()>| request.map(|()| Empty::<Bytes>::new()))
        .layer(HealthLayer::new(health))
        .service(inside);
    let crowd = Crowd::new(service, 76, Arc::new(|| ()));
    crowd.asks_for_an_hour().await;
    let (called, ended, given_up) = crowd.done();
    assert!(called > 10_000 && ended > 5_000 && given_up > 2_000, "{called} {ended} {given_up}");
    assert!(upstream.calls() < called, "some were refused");
}

#[tokio::test(start_paused = true)]
async fn it_survives_an_hour_of_everything_and_leaves_nothing() {
    let (books, _told) = Books::opened();
    let before = Handle::current().metrics().num_alive_tasks();
    let (health, upstream, patient) = (Health::new(), Upstream::new(75), Patient::new());
    patient.is_looked_at_by(&health);
    let asked = Arc::new(AtomicU64::new(0));
    let probing = tokio::spawn(probes(health.clone(), Arc::clone(&asked)));
    let operating = tokio::spawn(operates(health.clone()));
    let working: Vec<_> =
        (0..4).map(|seed| tokio::spawn(is_worker(seed, health.clone()))).collect();

    is_asked_for_an_hour(&health, &upstream).await;
    probing.await.unwrap();
    let [in_order, cut_off] = operating.await.unwrap();
    assert!(in_order > 10 && cut_off > 0, "{in_order} {cut_off}");
    for worker in working {
        worker.await.unwrap();
    }
    assert!(asked.load(SeqCst) > 300, "{asked:?}");
    assert!(patient.hung() > 100 && patient.panicked() > 100, "{patient:?}");
    assert_eq!((health.phase(), health.in_flight()), (Phase::Serving, 0));

    // What is well again is found to be.
    patient.recovers();
    sleep(60 * SECOND).await;
    assert_eq!(
        Probe::ALL.map(|probe| health.status(probe)),
        [Status::Pass; 3],
        "{:?}",
        health.report()
    );
    let watching = tokio::spawn(watches(health.clone()));
    sleep(SECOND).await;
    health.drain(5 * SECOND);
    assert_eq!(timeout(60 * SECOND, health.drained_within(30 * SECOND)).await, Ok(0));
    assert_eq!(watching.await.unwrap(), 2);

    books.balance(&health.report());
    drop(health);
    let mut tasks = before;
    for _ in 0..100 {
        tokio::task::yield_now().await;
        tasks = Handle::current().metrics().num_alive_tasks();
    }
    assert_eq!((tasks, patient.is_held()), (before, false));
}
