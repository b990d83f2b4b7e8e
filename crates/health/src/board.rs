use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::AbortHandle;

use self::entry::Entry;
use crate::{
    Finding, Status,
    report::{Item, Probe, Report, answers},
    told::Told,
};

pub(crate) use self::entry::Source;

mod entry;

/// The machine behind [`Health`](crate::Health): all that is looked at, and what it comes to.
#[derive(Debug)]
pub(crate) struct Board {
    entries: Vec<Entry>,
    next: u64,
    transitions: u64,
    statuses: [Status; 3],
    draining: bool,
    /// Whether something was put on it that no report has.
    is_new: bool,
    /// Of the probes' own answers.
    told: [Told; 3],
}

/// Something to be put on the board.
#[derive(Debug)]
pub(crate) struct New {
    pub(crate) name: String,
    pub(crate) probe: Probe,
    pub(crate) critical: bool,
    pub(crate) source: Source,
}

/// What has gone from the board for something new.
#[derive(Debug)]
pub(crate) struct Former {
    pub(crate) id: u64,
    pub(crate) task: Option<AbortHandle>,
}

/// A change of status to be told of in the log, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// `None` of the probe's own answer.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) probe: Probe,
    pub(crate) from: Status,
    pub(crate) to: Status,
    /// How many changes these were.
    pub(crate) times: u64,
    pub(crate) detail: Option<Arc<str>>,
}

/// What has come of a look at everything.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) statuses: [Status; 3],
    /// When to look again, because time alone may have changed something.
    pub(crate) until: Option<Instant>,
    pub(crate) changes: Vec<Change>,
    /// Whether anybody is to be woken.
    pub(crate) wakes: bool,
    /// If it is another than before.
    pub(crate) report: Option<Report>,
}

/// At the earliest, whatever is looked at: a bound on how often time alone makes us look.
const SOON: Duration = Duration::from_millis(1);

/// How much may be on it: more than anybody reads, and little enough to look at all of it under a lock.
pub(crate) const MOST: usize = 1000;

impl Board {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            next: 0,
            transitions: 0,
            statuses: [Status::Pass; 3],
            draining: false,
            is_new: false,
            told: [Told::new(Status::Pass); 3],
        }
    }

    /// Returns its number, and what it has replaced; `None` if there is no room.
    ///
    /// What it replaces: a check of this name, and whoever is lost.
    pub(crate) fn put(&mut self, new: New, now: Instant) -> Option<(u64, Option<Former>)> {
        let New { name, probe, critical, source } = new;
        let is_former = |entry: &Entry| {
            entry.is_named(&name, probe, &source)
                && (entry.source.is_lost() || matches!(source, Source::Check(_)))
        };
        let former = self.entries.iter().position(is_former);
        if former.is_none() && self.entries.len() >= MOST {
            return None;
        }
        let status = source.look(now, self.draining).map_or(Status::Unknown, |look| look.status);
        let name = Arc::from(name.as_str());
        let item = Item { name, probe, critical, status, since: now, detail: None };
        let id = self.next;
        self.next += 1;
        self.is_new = true;
        let mut entry =
            Entry { id, source, item, task: None, told: Told::new(status), missed: false };
        let Some(former) = former else {
            self.entries.push(entry);
            return Some((id, None));
        };
        let place = &mut self.entries[former];
        // So that what has changed is told.
        (entry.item.status, entry.item.since) = (place.item.status, place.item.since);
        entry.told = place.told;
        let Entry { id: former, task, .. } = mem::replace(place, entry);
        self.forget_succeeded();
        Some((id, Some(Former { id: former, task })))
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

    /// Nothing will be found of this check any more.
    pub(crate) fn died(&mut self, id: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id)
            && let Source::Check(standing) = &mut entry.source
        {
            standing.died();
        }
    }

    /// A task that has been started again is not missed: whoever is lost goes once there is a younger one.
    /// Each is asked about once, since later ones replace it as they come.
    fn forget_succeeded(&mut self) {
        let is_lost = |entry: &Entry| !entry.missed && entry.source.is_lost();
        let lost: Vec<_> =
            self.entries.iter().filter(|entry| is_lost(entry)).map(|entry| entry.id).collect();
        for id in lost {
            let Some(at) = self.entries.iter().position(|entry| entry.id == id) else { continue };
            let is_succeeded = self.entries.iter().any(|entry| entry.succeeds(&self.entries[at]));
            if is_succeeded {
                self.entries.remove(at);
            } else {
                self.entries[at].missed = true;
            }
        }
    }

    /// Looks at everything. Time should not go back from one look to the next; what was told before is
    /// not taken back by it.
    pub(crate) fn look(&mut self, now: Instant, draining: bool) -> Seen {
        let mut changes = Vec::new();
        let mut until = None;
        let before = self.entries.len();
        self.forget_succeeded();
        let mut is_new = mem::take(&mut self.is_new);
        let (mut wakes, mut transitions) = (self.draining != draining, 0);
        self.entries.retain_mut(|entry| {
            let (item, told) = (&mut entry.item, &mut entry.told);
            // What has once started is not asked again.
            if item.probe != Probe::Startup || !item.status.is_up() {
                let Some(look) = entry.source.look(now, draining) else { return false };
                until = earlier(until, look.until);
                is_new |= item.detail != look.detail;
                item.detail = look.detail;
                if item.status != look.status {
                    transitions += 1;
                    told.changed();
                    (item.status, item.since) = (look.status, now);
                }
            }
            if let Some((from, times)) = told.due(item.status, now) {
                changes.push(Change {
                    name: Some(Arc::clone(&item.name)),
                    probe: item.probe,
                    from,
                    to: item.status,
                    times,
                    detail: item.detail.clone(),
                });
            }
            until = earlier(until, told.until());
            true
        });
        self.transitions += transitions;
        let statuses = answers(self.items(), draining);
        for probe in Probe::ALL {
            let (told, to) = (&mut self.told[probe as usize], statuses[probe as usize]);
            if self.statuses[probe as usize] != to {
                wakes = true;
                told.changed();
            }
            if let Some((from, times)) = told.due(to, now) {
                changes.push(Change { name: None, probe, from, to, times, detail: None });
            }
            until = earlier(until, told.until());
        }
        wakes |= transitions > 0;
        is_new |= wakes || before != self.entries.len();
        (self.statuses, self.draining) = (statuses, draining);
        let report = is_new.then(|| self.report());
        let until = until.map(|until| until.max(now + SOON));
        Seen { statuses, until, changes, wakes, report }
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            statuses: self.statuses,
            draining: self.draining,
            items: self.items().cloned().collect(),
            transitions: self.transitions,
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
