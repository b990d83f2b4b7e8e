//! Allocations per call: counted by another binary of this crate, whose allocator counts.

use std::{env, process::Command};

use crate::{
    Options,
    apps::apps,
    contenders::contenders,
    row::{Driver, Row, selected},
};

/// After this many calls nothing grows any more.
const WARM_UP: u64 = 2000;
const CALLS: u64 = 1000;

/// Prints what each row allocates in a call: its name, allocations, bytes, separated by tabs.
///
/// `count` runs what it is given and tells what was allocated meanwhile, in this order.
pub fn count_allocations(options: &Options, count: impl Fn(&mut dyn FnMut()) -> (u64, u64)) {
    for row in selected(contenders().into_iter().chain(apps()).collect(), &options.filter) {
        let Some(mut sample) = row.sample(on_one_thread(&row)) else { continue };
        sample(WARM_UP);
        let (allocations, bytes) = count(&mut || {
            sample(CALLS);
        });
        println!("{}\t{}\t{}", row.name, per_call(allocations), per_call(bytes));
    }
}

/// Only the calling thread's allocations are counted.
fn on_one_thread(row: &Row) -> Driver {
    if row.can(Driver::Pipe) { Driver::Pipe } else { Driver::Ready }
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_call(total: u64) -> f64 {
    total as f64 / CALLS as f64
}

/// Allocations and bytes in a call, by the row's name.
pub(crate) fn counted(options: &Options) -> Vec<(String, f64, f64)> {
    counted_with(options.filter.iter().flat_map(|name| ["--filter", name]))
}

/// Bytes a key takes in a store, and the most that it took while the store grew, by the row's name.
pub(crate) fn counted_memory() -> Vec<(String, f64, f64)> {
    counted_with(["--memory"])
}

fn counted_with<'a>(args: impl IntoIterator<Item = &'a str>) -> Vec<(String, f64, f64)> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(cargo)
        .args(["run", "--release", "--locked", "--quiet", "--manifest-path", manifest])
        .args(["--bin", "allocations", "--"])
        .args(args)
        .output()
        .expect("cargo starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the binary `allocations`: {complaint}");
    String::from_utf8_lossy(&output.stdout).lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<(String, f64, f64)> {
    let mut fields = line.split('\t');
    let name = fields.next()?.to_owned();
    Some((name, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
