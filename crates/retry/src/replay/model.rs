//! A body that can be sent again, as a list of what was read.

use std::collections::VecDeque;

use super::{
    kept::{COPIED, FREE_PIECES, PIECE},
    script::{Hint, Seen, Step, hint, length},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Ended,
    Failed,
    Panicked,
}

#[derive(Debug)]
pub(super) struct Model {
    /// What the original gave.
    read: Vec<Step>,
    /// What it has yet to give.
    rest: VecDeque<Step>,
    over: Option<Over>,
    /// How many frames the living copy has given.
    copy: Option<usize>,
    backup: bool,
    lost: bool,
    /// How many of the frames were read when the backup was dropped.
    committed: usize,
    hint: Hint,
    honest: bool,
    max: usize,
    room: usize,
}

fn bytes(steps: &[Step]) -> usize {
    let trailers = steps.iter().filter(|step| **step == Step::Trailers).count();
    length(steps) + trailers * "grpc-status0".len()
}

fn pieces(steps: &[Step]) -> usize {
    steps.iter().map(|step| if *step == Step::Trailers { 2 } else { 1 }).sum()
}

fn charge(steps: &[Step]) -> usize {
    bytes(steps) + PIECE * pieces(steps)
}

impl Model {
    pub(super) fn new(steps: &[Step], said: Hint, honest: bool, max: usize, room: usize) -> Self {
        Self {
            read: Vec::new(),
            rest: steps.iter().copied().collect(),
            over: None,
            copy: Some(0),
            backup: true,
            lost: hint(said, length(steps)).0 > max as u64,
            committed: 0,
            hint: said,
            honest,
            max,
            room,
        }
    }

    pub(super) fn poll(&mut self) -> Option<Seen> {
        let given = self.copy.as_mut()?;
        if *given < self.read.len() {
            *given += 1;
            return Some(Seen::Frame(self.read[*given - 1]));
        }
        Some(match self.over {
            Some(Over::Panicked) => {
                self.over = Some(Over::Failed);
                Seen::Error
            }
            Some(_) => Seen::End,
            None => match self.rest.pop_front() {
                None => {
                    self.over = Some(Over::Ended);
                    Seen::End
                }
                Some(Step::Pending) => Seen::Pending,
                Some(Step::Fail) => {
                    self.over = Some(Over::Failed);
                    self.lost = true;
                    Seen::Error
                }
                Some(Step::Panic) => {
                    self.over = Some(Over::Panicked);
                    Seen::Panic
                }
                Some(frame) => {
                    *given += 1;
                    self.read.push(frame);
                    self.lost |= self.backup && self.is_too_much();
                    Seen::Frame(frame)
                }
            },
        })
    }

    fn is_too_much(&self) -> bool {
        bytes(&self.read) > self.max
            || pieces(&self.read) > FREE_PIECES + self.max / PIECE
            || charge(&self.read) > self.room
    }

    pub(super) fn drop_copy(&mut self) {
        if self.copy.take().is_some() {
            self.lost |= matches!(self.over, Some(Over::Failed | Over::Panicked));
        }
    }

    pub(super) fn next(&mut self) -> Option<bool> {
        let next = self.copy.is_none() && !self.lost;
        if self.backup && next {
            self.copy = Some(0);
        }
        self.backup.then_some(next)
    }

    pub(super) fn drop_backup(&mut self) {
        if self.backup {
            self.backup = false;
            self.committed = self.read.len();
        }
    }

    pub(super) fn is_lost(&self) -> Option<bool> {
        self.backup.then_some(self.lost)
    }

    fn kept(&self) -> &[Step] {
        match self.copy {
            _ if self.lost => &[],
            _ if self.backup => &self.read,
            Some(given) if given < self.committed => &self.read[given..self.committed],
            _ => &[],
        }
    }

    pub(super) fn reserved(&self) -> usize {
        charge(self.kept())
    }

    /// Of what is kept, that which is not copied.
    pub(super) fn shared(&self) -> usize {
        let large = |step: &&Step| matches!(step, Step::Data(length) if *length > COPIED);
        length(self.kept().iter().filter(large))
    }

    pub(super) fn original_is_there(&self) -> bool {
        self.over.is_none() && (self.copy.is_some() || self.backup && !self.lost)
    }

    pub(super) fn is_end_stream(&self) -> Option<bool> {
        let all = self.copy? == self.read.len();
        Some(match self.over {
            None => all && self.honest && self.rest.is_empty(),
            Some(Over::Ended | Over::Failed) => all,
            Some(Over::Panicked) => false,
        })
    }

    pub(super) fn size_hint(&self) -> Option<(u64, Option<u64>)> {
        if self.is_end_stream()? {
            return Some((0, Some(0)));
        }
        let again = length(&self.read[self.copy?..]);
        let total = again + length(&self.rest);
        let again = again as u64;
        Some(match (self.hint, self.over) {
            (Hint::Exact, _) => hint(Hint::Exact, total),
            (_, Some(_)) => (again, None),
            (said, None) => {
                let (lower, upper) = hint(said, length(&self.rest));
                (lower + again, upper.map(|upper| upper + again))
            }
        })
    }
}
