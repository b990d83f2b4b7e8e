use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    time::Instant,
};

use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

use self::tasks::Spawn;
use crate::{
    Finding, Probe, Report, Reports, Status,
    board::{Board, Seen},
    clock::{Clock, now},
    gate::Gate,
    log::tell,
    reports::Latest,
    services::Services,
    summary::Summary,
    sync::{AtomicU64, Mutex, lock},
};

mod tasks;

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
