//! Things to be looked at of which everything may be expected, and the books of what is said of them.

use std::{
    collections::HashMap,
    fmt::Debug,
    future::pending,
    panic::resume_unwind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use futures_util::future::BoxFuture;
use palisade::health::{Check, Finding, Health, Heartbeat, Report, Status};
use tokio::time::{Instant, sleep};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry,
};

use crate::soaks::{Dice, HOUR, SECOND};

/// Says nothing where tests write their output, as a panic would.
fn panics() -> ! {
    resume_unwind(Box::new("as planned"))
}

/// How a look goes; from the last on, well.
const PANICS_AT_ONCE: u64 = 0;
const PANICS: u64 = 1;
const HANGS: u64 = 2;
const IS_SLOW: u64 = 3;
const IS_ILL: u64 = 4;
const WARNS: u64 = 5;
const SAYS_NOTHING: u64 = 6;
const WELL: u64 = 7;

/// What checks look at: well, ill, slow, silent, or the death of who looks.
#[derive(Clone, Debug)]
pub(crate) struct Patient(Arc<Chart>);

#[derive(Debug, Default)]
struct Chart {
    well: AtomicBool,
    hung: AtomicU64,
    panicked: AtomicU64,
}

impl Patient {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn recovers(&self) {
        self.0.well.store(true, SeqCst);
    }

    pub(crate) fn hung(&self) -> u64 {
        self.0.hung.load(SeqCst)
    }

    pub(crate) fn panicked(&self) -> u64 {
        self.0.panicked.load(SeqCst)
    }

    /// Whether anybody else still looks at it.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// By eight checks of readiness, every other one critical, with whatever settings; and by one that must
    /// pass once.
    pub(crate) fn is_looked_at_by(&self, health: &Health) {
        for seed in 0..8_u32 {
            let check = Check::new(format!("check {seed}"), self.look(seed.into()))
                .every((1 + seed % 5) * SECOND)
                .failures(1 + seed % 3)
                .successes(1 + seed % 2)
                .max_age(10 * SECOND);
            let check = if seed % 2 == 0 { check } else { check.critical() };
            health.readiness().check(check);
        }
        health.startup().check(Check::new("start", self.look(8)));
    }

    fn look(
        &self,
        seed: u64,
    ) -> impl FnMut() -> BoxFuture<'static, Finding> + Send + 'static + use<> {
        let (chart, mut dice) = (Arc::clone(&self.0), Dice::new(1000 + seed));
        move || {
            let plan = if chart.well.load(SeqCst) { WELL } else { dice.below(WELL + 3) };
            let time = dice.up_to(3 * SECOND / 2);
            match plan {
                PANICS_AT_ONCE | PANICS => chart.panicked.fetch_add(1, SeqCst),
                HANGS => chart.hung.fetch_add(1, SeqCst),
                _ => 0,
            };
            if plan == PANICS_AT_ONCE {
                panics();
            }
            Box::pin(async move {
                match plan {
                    HANGS => pending().await,
                    PANICS => {
                        sleep(time).await;
                        panics();
                    }
                    IS_SLOW => sleep(time).await,
                    _ => {}
                }
                match plan {
                    IS_ILL => Finding::from(Err::<(), _>("out of order")),
                    WARNS => Status::Warn.into(),
                    SAYS_NOTHING => Status::Unknown.into(),
                    _ => ().into(),
                }
            })
        }
    }
}

/// A task that beats, late now and then, and dies in every way, so that a successor takes its place. At the
/// end it retires.
pub(crate) async fn is_worker(seed: u64, health: Health) {
    let (mut dice, until) = (Dice::new(2000 + seed), Instant::now() + HOUR);
    while Instant::now() < until {
        let mut lives = Dice::new(dice.below(u64::MAX));
        let health = health.clone();
        let life = tokio::spawn(async move {
            let heartbeat = Heartbeat::every(format!("worker {seed}"), 5 * SECOND);
            let pulse = match seed {
                0 => health.liveness().pulse(heartbeat),
                1 => health.readiness().pulse(heartbeat.critical()),
                _ => health.readiness().pulse(heartbeat),
            };
            loop {
                sleep(lives.up_to(6 * SECOND)).await;
                pulse.beat();
                match lives.below(40) {
                    0 => panics(),
                    1 => return,
                    2 => return pulse.retire(),
                    _ if Instant::now() >= until => return pulse.retire(),
                    _ => {}
                }
            }
        });
        let _ = life.await;
        sleep(dice.up_to(5 * SECOND)).await;
    }
    // One that died last is still told of; its successor has nothing to do.
    let heartbeat = Heartbeat::every(format!("worker {seed}"), 5 * SECOND);
    let pulse = if seed == 0 {
        health.liveness().pulse(heartbeat)
    } else {
        health.readiness().pulse(heartbeat)
    };
    pulse.retire();
}

/// What was told of each, in the log: from which status to which, one after the other.
#[derive(Clone, Default)]
pub(crate) struct Books(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// By what it is, the status that was told last.
    last: HashMap<String, String>,
    checks: u64,
    probes: u64,
    /// What does not follow from what was told before.
    wrong: Vec<String>,
}

impl Books {
    pub(crate) fn opened() -> (Self, DefaultGuard) {
        let books = Self::default();
        let guard = tracing::subscriber::set_default(registry().with(books.clone()));
        (books, guard)
    }

    /// Each change was told once, and what was told last is.
    pub(crate) fn balance(&self, report: &Report) {
        let entries = self.0.lock().unwrap();
        assert!(entries.wrong.is_empty(), "{:?}", entries.wrong);
        // Of a worker that retires, what was not told yet is not told.
        let (told, all) = (entries.checks, report.transitions());
        assert!(told <= all && told >= all / 10 * 9, "{told} of {all}");
        assert!(
            entries.checks > 1000 && entries.probes > 300,
            "{} {}",
            entries.checks,
            entries.probes
        );
        for item in report.items() {
            let last = entries.last.get(&format!("{} {}", item.probe(), item.name()));
            assert!(last.is_none_or(|last| *last == item.status().to_string()), "{item:?}");
        }
        for probe in palisade::health::Probe::ALL {
            let last = entries.last.get(&format!("{probe} "));
            assert!(last.is_none_or(|last| *last == report.status(probe).to_string()), "{probe}");
        }
    }
}

#[derive(Default)]
struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for Books {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        let (Some(from), Some(to)) = (fields.remove("from"), fields.remove("to")) else { return };
        let name = fields.remove("check").unwrap_or_default();
        let key = format!("{} {name}", fields["probe"]);
        let mut entries = self.0.lock().unwrap();
        // A line may tell of several, and so of one that came back.
        let times = fields.remove("changes").map_or(1, |changes| changes.parse().unwrap());
        *(if name.is_empty() { &mut entries.probes } else { &mut entries.checks }) += times;
        let last = entries.last.insert(key.clone(), to.clone());
        // Of a heart that is retired nothing more is said, and its successor begins anew.
        let goes_on = name.starts_with("worker") || last.as_ref().is_none_or(|last| *last == from);
        if (from == to && times == 1) || !goes_on {
            entries.wrong.push(format!("{key}: {last:?}, and then from {from} to {to}"));
        }
    }
}
