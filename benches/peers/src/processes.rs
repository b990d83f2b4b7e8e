//! Rounds in several processes. Each has its own addresses for stack and heap, and some contenders
//! take a tenth more or less time with them: what is measured in one process repeats there, and
//! nowhere else.

use std::{
    collections::HashMap,
    env,
    process::{Command, Stdio},
};

use crate::{
    Options,
    measure::{Plan, Times, rounds},
    row::{Driver, Row},
};

/// The one process: prints the rows' names and the nanoseconds of each round, separated by tabs.
pub(crate) fn print_rounds(rows: &[Row], driver: Driver, plan: Plan) {
    let made = rows.iter().filter_map(|row| Some((row.name, row.sample(driver)?)));
    let (names, mut samples): (Vec<_>, Vec<_>) = made.unzip();
    for (name, times) in names.into_iter().zip(rounds(&mut samples, plan)) {
        let times: Vec<_> = times.iter().map(f64::to_string).collect();
        println!("{name}\t{}", times.join("\t"));
    }
}

/// All of them, one after the other: the rounds of all together, by the row's name.
pub(crate) fn all_rounds(
    options: &Options,
    driver: Driver,
    processes: usize,
    plan: Plan,
) -> HashMap<String, Times> {
    let mut together = HashMap::<_, Times>::new();
    for _ in 0..processes {
        let program = env::current_exe().expect("this program has a path");
        let output = Command::new(program)
            .args(["--rounds", &plan.rounds.to_string(), "--driver", driver.name()])
            .args(options.quick.then_some("--quick"))
            .args(options.filter.iter().flat_map(|name| ["--filter", name]))
            .stderr(Stdio::inherit())
            .output()
            .expect("this program starts");
        assert!(output.status.success(), "a process failed: {}", driver.name());
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let (name, times) = line.split_once('\t').expect("a name and times");
            let times = times.split('\t').map(|time| time.parse::<f64>().expect("a time"));
            together.entry(name.to_owned()).or_default().extend(times);
        }
    }
    together
}
