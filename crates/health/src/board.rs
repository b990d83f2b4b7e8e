use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use crate::{
    Finding, Status,
    heart::{Gone, Heart},
    latch::LatchState,
    report::{Item, Probe, Report, answers},
    standing::{Look, Standing},
};

/// The machine behind [`Health`](crate::Health): all that is looked at, and what it comes to.
#[derive(Debug)]
pub(crate) struct Board {
    entries: Vec<Entry>,
    next: u64,
    transitions: u64,
    /// That of the last report.
    sequence: u64,
    statuses: [Status; 3],
    draining: bool,
    /// Whether something was put on it that no report has.
    is_new: bool,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    source: Source,
    /// As it was last told.
    item: Item,
    task: Option<AbortHandle>,
}

/// Where it is known from how something stands.
#[derive(Debug)]
pub(crate) enum Source {
    Check(Standing),
    Heart(Arc<Heart>),
    Latch(Arc<LatchState>),
}

/// Something to be put on the board.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) name: String,
    pub(crate) probe: Probe,
    pub(crate) critical: bool,
    pub(crate) source: Source,
}

/// A change of status, to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// `None` of the probe's own answer.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) probe: Probe,
    pub(crate) from: Status,
    pub(crate) to: Status,
    pub(crate) detail: Option<Arc<str>>,
}

/// What has come of a look at everything.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) statuses: [Status; 3],
    /// When to look again, because time alone may have changed something.
    pub(crate) until: Option<Instant>,
    pub(crate) changes: Vec<Change>,
    /// If it is another than before.
    pub(crate) report: Option<Report>,
}

/// At the earliest, whatever is looked at: a bound on how often time alone makes us look.
const SOON: Duration = Duration::from_millis(1);

impl Source {
    /// `None` if it is over.
    fn look(&self, now: Instant) -> Option<Look> {
        match self {
            Self::Check(standing) => Some(standing.look(now)),
            Self::Heart(heart) => heart.look(now),
            Self::Latch(latch) => Some(latch.look()),
        }
    }

    /// Whether one of the same name takes its place: a check is told anew, and who is gone has a
    /// successor.
    fn makes_room(&self) -> bool {
        match self {
            Self::Check(_) => true,
            Self::Heart(heart) => heart.gone().is_some_and(|gone| gone != Gone::Retired),
            Self::Latch(latch) => latch.is_lost(),
        }
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            next: 0,
            transitions: 0,
            sequence: 0,
            statuses: [Status::Pass; 3],
            draining: false,
            is_new: false,
        }
    }

    /// Returns its number, and the task of what it has replaced.
    pub(crate) fn put(&mut self, new: New, now: Instant) -> (u64, Option<AbortHandle>) {
        let New { name, probe, critical, source } = new;
        let (id, name) = (self.next, Arc::<str>::from(name));
        self.next += 1;
        self.is_new = true;
        let status = source.look(now).map_or(Status::Unknown, |look| look.status);
        let mut item = Item { name, probe, critical, status, since: now, detail: None };
        let former = self.entries.iter_mut().find(|former| {
            former.item.probe == probe
                && former.item.name == item.name
                && former.source.makes_room()
        });
        if let Some(former) = former {
            // So that what has changed is told.
            (item.status, item.since) = (former.item.status, former.item.since);
            let former = mem::replace(former, Entry { id, source, item, task: None });
            return (id, former.task);
        }
        self.entries.push(Entry { id, source, item, task: None });
        (id, None)
    }

    /// The task that looks at this. Given back if that has been replaced in the meantime.
    pub(crate) fn set_task(&mut self, id: u64, task: AbortHandle) -> Option<AbortHandle> {
        match self.entries.iter_mut().find(|entry| entry.id == id) {
            Some(entry) => entry.task.replace(task),
            None => Some(task),
        }
    }

    /// The tasks of all that is on it.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = &AbortHandle> {
        self.entries.iter().filter_map(|entry| entry.task.as_ref())
    }

    /// What a check has found. `false` if nobody wants to know any more.
    pub(crate) fn found(&mut self, id: u64, finding: Finding, now: Instant) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else {
            return false;
        };
        let Source::Check(standing) = &mut entry.source else { return false };
        standing.found(finding, now);
        entry.item.probe != Probe::Startup || !standing.look(now).status.is_up()
    }

    /// Looks at everything. Time should not go back from one look to the next; what was told before is
    /// not taken back by it.
    pub(crate) fn look(&mut self, now: Instant, draining: bool) -> Seen {
        let mut changes = Vec::new();
        let mut until = None;
        let before = self.entries.len();
        let mut is_new = mem::take(&mut self.is_new);
        self.entries.retain_mut(|entry| {
            let item = &mut entry.item;
            // What has once started is not asked again.
            if item.probe == Probe::Startup && item.status.is_up() {
                return true;
            }
            let Some(look) = entry.source.look(now) else { return false };
            until = earlier(until, look.until);
            is_new |= item.detail != look.detail;
            item.detail = look.detail;
            if item.status != look.status {
                changes.push(Change {
                    name: Some(Arc::clone(&item.name)),
                    probe: item.probe,
                    from: item.status,
                    to: look.status,
                    detail: item.detail.clone(),
                });
                (item.status, item.since) = (look.status, now);
            }
            true
        });
        self.transitions += changes.len() as u64;
        let statuses = answers(self.items(), draining);
        for probe in Probe::ALL {
            let (from, to) = (self.statuses[probe as usize], statuses[probe as usize]);
            if from != to {
                changes.push(Change { name: None, probe, from, to, detail: None });
            }
        }
        is_new |= !changes.is_empty() || before != self.entries.len() || self.draining != draining;
        (self.statuses, self.draining) = (statuses, draining);
        self.sequence += u64::from(is_new);
        let report = is_new.then(|| self.report());
        let until = until.map(|until| until.max(now + SOON));
        Seen { statuses, until, changes, report }
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            statuses: self.statuses,
            draining: self.draining,
            items: self.items().cloned().collect(),
            transitions: self.transitions,
            sequence: self.sequence,
        }
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.entries.iter().map(|entry| &entry.item)
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
