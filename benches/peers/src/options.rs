use clap::{Parser, ValueEnum};

use crate::row::Driver;

/// Measures Palisade's layers beside their peers. Prints tables in Markdown.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// A smoke test: few and short rounds, whose figures mean little.
    #[arg(long)]
    pub(crate) quick: bool,

    /// Only rows whose name contains this (several may be given), and those they are compared with.
    #[arg(long, value_name = "NAME")]
    pub(crate) filter: Vec<String>,

    /// Only this part (several may be given).
    #[arg(long)]
    pub(crate) only: Vec<Part>,

    /// Times the rows, driven like `--driver`, and prints every round: one process of several.
    #[arg(long, hide = true, requires = "driver")]
    pub(crate) rounds: Option<usize>,

    /// Drives this row and measures nothing: what runs under callgrind.
    #[arg(long, hide = true, requires_all = ["driver", "calls"])]
    pub(crate) spin: Option<String>,

    /// Serves this row's app on a loopback port, and prints which: the other process of two.
    #[arg(long, hide = true)]
    pub(crate) serve: Option<String>,

    #[arg(long, hide = true)]
    pub(crate) driver: Option<Driver>,

    #[arg(long, hide = true)]
    pub(crate) calls: Option<u64>,

    /// Of the binary that counts allocations: counts what keys take in memory.
    #[arg(long, hide = true)]
    pub memory: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Time of services that are called directly.
    Calls,
    /// Time of services behind an HTTP/1 connection.
    EndToEnd,
    /// Requests a second of servers over loopback, asked by a second process.
    Sockets,
    /// Instructions under callgrind, if valgrind is installed.
    Instructions,
    /// Allocations and bytes.
    Allocations,
    /// Time of stores that are asked without a service.
    Keys,
    /// What a million keys take in memory.
    Memory,
    /// How long a check takes while a million keys are collected.
    Collecting,
    /// How long a call takes a breaker with up to a million calls in its window.
    Windows,
}

impl Options {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
