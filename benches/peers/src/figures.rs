//! What was measured, and what follows from it.

use std::collections::HashMap;

use crate::{
    callgrind::{self, Job},
    measure::{Spread, Times},
    row::{Bound, Driver, Row},
};

#[derive(Default)]
pub(crate) struct Figures {
    times: HashMap<Job, Times>,
    instructions: HashMap<Job, f64>,
    allocations: HashMap<String, [f64; 2]>,
}

impl Figures {
    /// Takes the rounds of these rows, all of which have as many.
    pub(crate) fn take_rounds(
        &mut self,
        rows: &[Row],
        driver: Driver,
        mut rounds: HashMap<String, Times>,
    ) {
        let taken = rows.iter().filter_map(|row| Some((row.name, rounds.remove(row.name)?)));
        self.times.extend(taken.map(|(name, times)| ((name, driver), times)));
    }

    pub(crate) fn count_instructions<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a Row>,
        drivers: &[Driver],
    ) {
        let jobs = rows.flat_map(|row| {
            let can = drivers.iter().copied().filter(|&driver| row.can(driver));
            can.map(|driver| (row.name, driver))
        });
        self.instructions.extend(callgrind::instructions(jobs.collect()));
    }

    pub(crate) fn take_allocations(&mut self, counted: Vec<(String, f64, f64)>) {
        self.allocations
            .extend(counted.into_iter().map(|(name, count, bytes)| (name, [count, bytes])));
    }

    fn times(&self, name: &'static str, driver: Driver) -> Option<&Times> {
        self.times.get(&(name, driver))
    }

    pub(crate) fn time_of(&self, row: &Row, driver: Driver) -> Option<Spread> {
        Some(Spread::of(self.times(row.name, driver)?.iter().copied()))
    }

    /// What the row takes longer than its base, round by round.
    pub(crate) fn net(&self, row: &Row, driver: Driver) -> Option<Spread> {
        Some(Spread::of(self.net_times(row.name, row.base, driver)?))
    }

    /// The least that a round took, over the least of its base: where other work on the machine
    /// doubles half of the rounds.
    pub(crate) fn least_net(
        &self,
        name: &'static str,
        base: &'static str,
        driver: Driver,
    ) -> Option<f64> {
        let least = |name| self.times(name, driver)?.iter().copied().reduce(f64::min);
        Some(least(name)? - least(base)?)
    }

    /// Ours over the peer's, of the least.
    pub(crate) fn least_against(&self, row: &Row, bound: &Bound, rows: &[Row]) -> Option<f64> {
        let peer = rows.iter().find(|row| row.name == bound.peer)?;
        if bound.driver.is_end_to_end() {
            return None;
        }
        let ours = self.least_net(row.name, row.base, bound.driver)?;
        Some(ours / self.least_net(peer.name, peer.base, bound.driver)?)
    }

    fn net_times(
        &self,
        name: &'static str,
        base: &'static str,
        driver: Driver,
    ) -> Option<impl Iterator<Item = f64> + '_> {
        let (times, base) = (self.times(name, driver)?, self.times(base, driver)?);
        Some(times.iter().zip(base).map(|(time, base)| time - base))
    }

    /// How many times as long as this peer the row takes, round by round.
    pub(crate) fn times_of(&self, row: &Row, peer: &'static str, driver: Driver) -> Option<Spread> {
        let (times, peer) = (self.times(row.name, driver)?, self.times(peer, driver)?);
        Some(Spread::of(times.iter().zip(peer).map(|(time, peer)| time / peer)))
    }

    /// What is to be at most the bound: net over net, but end to end all over all.
    pub(crate) fn against(&self, row: &Row, bound: &Bound, rows: &[Row]) -> Option<Spread> {
        if bound.driver.is_end_to_end() {
            return self.times_of(row, bound.peer, bound.driver);
        }
        let peer = rows.iter().find(|row| row.name == bound.peer)?;
        let net = self.net_times(row.name, row.base, bound.driver)?;
        let peers = self.net_times(peer.name, peer.base, bound.driver)?;
        Some(Spread::of(net.zip(peers).map(|(net, peer)| net / peer)))
    }

    /// How many nanoseconds more the row takes, round by round.
    pub(crate) fn more_than(
        &self,
        row: &Row,
        peer: &'static str,
        driver: Driver,
    ) -> Option<Spread> {
        Some(Spread::of(self.net_times(row.name, peer, driver)?))
    }

    /// The same of instructions.
    pub(crate) fn instructions_against(
        &self,
        row: &Row,
        bound: &Bound,
        rows: &[Row],
    ) -> Option<f64> {
        let peer = rows.iter().find(|row| row.name == bound.peer)?;
        if bound.driver.is_end_to_end() {
            return Some(
                self.instructions(row, bound.driver)? / self.instructions(peer, bound.driver)?,
            );
        }
        Some(
            self.net_instructions(row, bound.driver)?
                / self.net_instructions(peer, bound.driver)?,
        )
    }

    pub(crate) fn instructions(&self, row: &Row, driver: Driver) -> Option<f64> {
        self.instructions.get(&(row.name, driver)).copied()
    }

    pub(crate) fn net_instructions(&self, row: &Row, driver: Driver) -> Option<f64> {
        Some(self.instructions(row, driver)? - self.instructions.get(&(row.base, driver))?)
    }

    /// Allocations and bytes over those of the base.
    pub(crate) fn net_allocations(&self, row: &Row) -> [Option<f64>; 2] {
        let own = self.allocations.get(row.name);
        let base = self.allocations.get(row.base);
        [0, 1].map(|what| Some(own?[what] - base?[what]))
    }
}
