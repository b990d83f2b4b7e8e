//! Instructions per call: this program runs itself under valgrind, twice for each row.

use std::{
    env,
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
};

use crate::{drive::Sample, row::Driver};

/// A row, and how it is driven.
pub(crate) type Job = (&'static str, Driver);

/// What the second run counts more than the first belongs to the calls it does more: warming up
/// costs both the same.
const CALLS: [u64; 2] = [500, 2500];

pub(crate) fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success())
}

/// Instructions per call. They are counted, not timed, so two jobs may run at once.
pub(crate) fn instructions(jobs: Vec<Job>) -> Vec<(Job, f64)> {
    let jobs = Mutex::new(jobs);
    let counted = Mutex::new(Vec::new());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some(job) = next() {
            let per_call = per_call(job);
            counted.lock().unwrap_or_else(PoisonError::into_inner).push((job, per_call));
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    counted.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_call(job: Job) -> f64 {
    let [few, many] = CALLS.map(|calls| total(job, calls));
    many.saturating_sub(few) as f64 / (CALLS[1] - CALLS[0]) as f64
}

/// What one process executes while it drives the row.
fn total((row, driver): Job, calls: u64) -> u64 {
    let program = env::current_exe().expect("this program has a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*only_this_is_counted*")
        .arg(program)
        .args(["--spin", row, "--driver", driver.name(), "--calls", &calls.to_string()])
        .output()
        .expect("valgrind starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{row} under callgrind: {said}");
    let collected = said.lines().rev().find_map(|line| line.split("Collected :").nth(1));
    let total = collected.and_then(|total| total.trim().parse().ok());
    total.unwrap_or_else(|| panic!("callgrind did not say how much it collected: {said}"))
}

/// Drives a row where callgrind counts. What is made before may do as much as it wants, and never
/// the same twice: quanta's clock calibrates itself.
#[inline(never)]
pub(crate) fn only_this_is_counted(sample: &mut Sample, calls: u64) {
    std::hint::black_box(sample(calls));
}
