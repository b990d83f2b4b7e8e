use std::{
    fmt, mem,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Instant,
};

use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::AbortHandle,
};

use crate::{
    Check, Finding, Probe, Report, Reports, Status,
    board::{Board, MOST, New, Seen, Source},
    clock::{Clock, now},
    gate::Gate,
    log::{LAYER, tell},
    reports::Latest,
    runner::{Stopped, run, tick},
    services::Services,
    summary::Summary,
    sync::{AtomicU64, Mutex, lock},
};

/// What all clones of a [`Health`](crate::Health) share.
pub(crate) struct Registry {
    /// What probes are answered, and until when; written under the lock of `inner`.
    summary: AtomicU64,
    pub(crate) clock: Clock,
    pub(crate) gate: &'static Gate,
    pub(crate) services: Services,
    inner: Mutex<Inner>,
    latest: Latest,
    /// Told when there is another. It holds nothing, so that nobody holds its lock.
    changed: watch::Sender<()>,
    /// Tells the ticker that it is to look earlier than it thinks.
    sooner: Arc<Notify>,
    /// Whether something waits for a runtime to run in.
    unstarted: AtomicBool,
    /// Whether it was told that there is no room.
    full: AtomicBool,
}

struct Inner {
    board: Board,
    until: Option<Instant>,
    /// The checks that were registered where there is no runtime.
    waiting: Vec<(u64, Spawn)>,
    ticker: Option<AbortHandle>,
}

type Spawn = Box<dyn FnOnce(&Handle) -> AbortHandle + Send>;

impl Inner {
    /// Takes what waits for a runtime by this number away, if it does.
    fn unwait(&mut self, id: u64) -> Option<Spawn> {
        let at = self.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        Some(self.waiting.remove(at).1)
    }
}

impl Registry {
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        let board = Board::new();
        let latest = Arc::new(Mutex::new(Arc::new(board.report())));
        Arc::new(Self {
            summary: AtomicU64::new(Summary::new([Status::Pass; 3], None).bits()),
            clock: Clock::new(now),
            gate: Gate::take(),
            services: Services::new(),
            inner: Mutex::new(Inner { board, until: None, waiting: Vec::new(), ticker: None }),
            latest,
            changed: watch::Sender::new(()),
            sooner: Arc::new(Notify::new()),
            unstarted: AtomicBool::new(true),
            full: AtomicBool::new(false),
        })
    }

    #[inline]
    pub(crate) fn status(&self, probe: Probe) -> Status {
        let now = now();
        let summary = Summary::from_bits(self.summary.load(Acquire));
        if summary.holds(self.clock.nanos(now)) {
            return summary.status(probe);
        }
        self.evaluate()[probe as usize]
    }

    pub(crate) fn report(&self) -> Arc<Report> {
        let now = now();
        if !Summary::from_bits(self.summary.load(Acquire)).holds(self.clock.nanos(now)) {
            self.evaluate();
        }
        Arc::clone(&lock(&self.latest))
    }

    pub(crate) fn subscribe(&self) -> Reports {
        Reports::new(Arc::clone(&self.latest), self.changed.subscribe())
    }

    /// Looks at everything anew, and tells of what has changed.
    #[cold]
    #[inline(never)]
    pub(crate) fn evaluate(&self) -> [Status; 3] {
        let mut inner = lock(&self.inner);
        // Under the lock, so that a moment that is past takes nothing back.
        let now = now();
        let Seen { statuses, until, changes, wakes, report } =
            inner.board.look(now, self.gate.is_draining());
        let refuses = self.gate.refuses_from().and_then(|from| self.clock.moment(from));
        let sooner = [until, refuses].into_iter().flatten().min();
        let is_sooner = sooner.is_some_and(|sooner| inner.until.is_none_or(|until| sooner < until));
        inner.until = sooner;
        let nanos = until.map(|until| self.clock.nanos(until));
        self.summary.store(Summary::new(statuses, nanos).bits(), Release);
        if let Some(report) = report {
            *lock(&self.latest) = Arc::new(report);
        }
        drop(inner);
        // After the lock: who is woken is not ours.
        if wakes {
            self.changed.send_replace(());
            self.gate.changed.notify_waiters();
        }
        if is_sooner {
            self.sooner.notify_one();
        }
        changes.iter().for_each(tell);
        statuses
    }

    /// When time alone may change something.
    pub(crate) fn until(&self) -> Option<Instant> {
        lock(&self.inner).until
    }

    pub(crate) fn put(self: &Arc<Self>, new: New) {
        let put = lock(&self.inner).board.put(new, now());
        let Some((_, former)) = put else { return self.refuse() };
        if let Some(task) = former.and_then(|former| former.task) {
            task.abort();
        }
        self.start();
        self.evaluate();
    }

    /// Tells of it once: who registers without end would fill the log as well.
    #[cold]
    fn refuse(&self) {
        if !self.full.swap(true, Relaxed) {
            tracing::warn!(
                target: "palisade",
                layer = LAYER,
                most = MOST,
                "Health is full, and watches nothing more"
            );
        }
    }

    pub(crate) fn check<F, Fut>(self: &Arc<Self>, probe: Probe, check: Check<F>)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output: Into<Finding>> + Send + 'static,
    {
        let source = Source::Check(check.standing());
        let Check { name, look, timing, critical, .. } = check;
        let critical = critical || probe == Probe::Startup;
        let mut inner = lock(&self.inner);
        let new = New { name, probe, critical, source };
        let Some((id, former)) = inner.board.put(new, now()) else {
            drop(inner);
            return self.refuse();
        };
        let this = Arc::downgrade(self);
        let spawn =
            move |runtime: &Handle| runtime.spawn(run(look, timing, this, id)).abort_handle();
        let unstarted = former.as_ref().and_then(|former| inner.unwait(former.id));
        inner.waiting.push((id, Box::new(spawn)));
        drop(inner);
        // After the lock: the check in it is not ours.
        drop(unstarted);
        if let Some(task) = former.and_then(|former| former.task) {
            task.abort();
        }
        self.unstarted.store(true, Release);
        self.start();
        self.evaluate();
    }

    /// Starts what waits for a runtime, if there is one here.
    #[inline]
    pub(crate) fn start(self: &Arc<Self>) {
        if self.unstarted.load(Acquire) {
            self.spawn();
        }
    }

    #[cold]
    #[inline(never)]
    fn spawn(self: &Arc<Self>) {
        let Ok(runtime) = Handle::try_current() else { return };
        let waiting = {
            let mut inner = lock(&self.inner);
            self.unstarted.store(false, Relaxed);
            if inner.ticker.as_ref().is_none_or(AbortHandle::is_finished) {
                let ticker = tick(Stopped(Arc::downgrade(self)), Arc::clone(&self.sooner));
                inner.ticker = Some(runtime.spawn(ticker).abort_handle());
            }
            mem::take(&mut inner.waiting)
        };
        for (id, spawn) in waiting {
            // Without the lock: a runtime that is about to end drops the check, which is not ours.
            let task = spawn(&runtime);
            let unwanted = lock(&self.inner).board.set_task(id, task);
            if let Some(unwanted) = unwanted {
                unwanted.abort();
            }
        }
    }

    /// What a check has found. `false` if it is not to look again.
    pub(crate) fn found(&self, id: u64, finding: Finding) -> bool {
        let goes_on = lock(&self.inner).board.found(id, finding, now());
        self.evaluate();
        goes_on
    }

    /// The task of a check has panicked.
    pub(crate) fn died(&self, id: u64) {
        lock(&self.inner).board.died(id);
        self.evaluate();
    }

    /// The ticker's runtime has ended; it is to be started in another.
    pub(crate) fn stopped(&self) {
        self.unstarted.store(true, Release);
    }

    pub(crate) fn weak(self: &Arc<Self>) -> Weak<Self> {
        Arc::downgrade(self)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let inner = lock(&self.inner);
        inner.board.tasks().chain(&inner.ticker).for_each(AbortHandle::abort);
        drop(inner);
        self.gate.orphan();
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("report", &lock(&self.latest))
            .field("phase", &self.gate.phase(self.clock.nanos(now())))
            .field("in_flight", &self.gate.in_flight())
            .finish_non_exhaustive()
    }
}
