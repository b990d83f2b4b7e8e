//! Measures what was asked for, and prints it.

use std::{fs, time::Duration};

use crate::{
    Options,
    allocations::{counted, counted_memory},
    apps::{IDENTITY, apps},
    callgrind,
    contenders::contenders,
    figures::Figures,
    keys::{Collecting, DRIVERS, Stall, collecting, keyed_checks},
    measure::{Plan, Spread},
    options::Part,
    processes::{all_rounds, print_rounds},
    row::{Driver, Row, selected},
    socket,
    table::{Table, figure},
    verdicts::print_bounds,
    windows::print_windows,
};

/// Measures, and prints the tables.
///
/// # Panics
///
/// When a contender does not answer as it should, or what was started fails.
pub fn run(options: &Options) {
    if let Some(driver) = options.driver {
        return do_part(options, driver);
    }
    if let Some(name) = &options.serve {
        let row = apps().into_iter().find(|row| row.name == name);
        return socket::serve(row.and_then(|row| row.app).expect("a row that is an app")());
    }
    let counts = options.wants(Part::Instructions) || options.wants(Part::Allocations);
    let rows = |rows, wanted| if wanted { selected(rows, &options.filter) } else { Vec::new() };
    let over_pipe = counts || options.wants(Part::EndToEnd);
    let direct = rows(contenders(), counts || options.wants(Part::Calls));
    let served = rows(apps(), over_pipe || options.wants(Part::Sockets));
    let keyed = rows(keyed_checks(), options.wants(Part::Keys));
    let figures = measured(options, &direct, &served, &keyed);
    if !direct.is_empty() {
        print_direct(&figures, &direct);
    }
    if over_pipe && !served.is_empty() {
        print_served(&figures, &served);
    }
    if options.wants(Part::Sockets) && !served.is_empty() {
        print_sockets(&figures, &served);
    }
    if !keyed.is_empty() {
        print_keyed(&figures, &keyed);
    }
    let rows: Vec<_> = direct.into_iter().chain(served).chain(keyed).collect();
    print_bounds(&figures, &rows);
    if options.wants(Part::Memory) {
        print_memory();
    }
    if options.wants(Part::Collecting) {
        print_collecting(if options.quick { 2 } else { 15 });
    }
    if options.wants(Part::Windows) {
        print_windows(if options.quick { 3 } else { 25 });
    }
}

/// In a process that was started for it.
fn do_part(options: &Options, driver: Driver) {
    if let Some(rounds) = options.rounds {
        let rows = match driver {
            driver if driver.is_end_to_end() => apps(),
            driver if DRIVERS.contains(&driver) => keyed_checks(),
            _ => contenders(),
        };
        let plan = Plan { rounds, slice: slice(options, driver) };
        print_rounds(&selected(rows, &options.filter), driver, plan);
    } else if let (Some(name), Some(calls)) = (&options.spin, options.calls) {
        let rows = contenders().into_iter().chain(apps()).chain(keyed_checks());
        let row = { rows }.find(|row| row.name == name);
        let sample = row.and_then(|row| row.sample(driver));
        let mut sample = sample.expect("a row that can be driven so");
        callgrind::only_this_is_counted(&mut sample, calls);
    }
}

/// Times first, while the machine is quietest.
fn measured(options: &Options, direct: &[Row], served: &[Row], keyed: &[Row]) -> Figures {
    let mut figures = Figures::default();
    let mut time = |rows: &[Row], driver: Driver| {
        let (processes, rounds) = match (options.quick, driver) {
            (true, _) => (2, 5),
            // Each process fills all stores first.
            (_, Driver::HundredThousand | Driver::Million) => (4, 15),
            (_, Driver::New) => (3, 5),
            (_, Driver::HotShared | Driver::DeniedShared | Driver::Socket | Driver::SocketBusy) => {
                (4, 25)
            }
            _ => (12, 25),
        };
        eprintln!("timing {processes} processes with {rounds} rounds, {}", driver.name());
        let plan = Plan { rounds, slice: slice(options, driver) };
        figures.take_rounds(rows, driver, all_rounds(options, driver, processes, plan));
    };
    print_load("before");
    if options.wants(Part::Calls) {
        for driver in [Driver::Ready, Driver::Pending, Driver::Shared] {
            time(direct, driver);
        }
    }
    if options.wants(Part::EndToEnd) {
        time(served, Driver::Pipe);
    }
    if options.wants(Part::Sockets) {
        time(served, Driver::Socket);
        time(served, Driver::SocketBusy);
    }
    if options.wants(Part::Keys) {
        for driver in DRIVERS {
            time(keyed, driver);
        }
    }
    print_load("after");
    if options.wants(Part::Allocations) {
        eprintln!("counting allocations");
        figures.take_allocations(counted(options));
    }
    if options.wants(Part::Instructions) && callgrind::is_installed() {
        eprintln!("counting instructions");
        let drivers = [Driver::Ready, Driver::Pipe, Driver::Pending];
        let drivers = if options.quick { &drivers[..2] } else { &drivers };
        figures.count_instructions(direct.iter().chain(served), drivers);
        figures.count_instructions(keyed.iter(), &[Driver::Hot, Driver::Denied]);
    } else if options.wants(Part::Instructions) {
        println!("no instructions: valgrind is not installed");
    }
    figures
}

/// About how long a row is driven in a round.
fn slice(options: &Options, driver: Driver) -> Duration {
    Duration::from_micros(match (options.quick, driver) {
        (true, Driver::Socket | Driver::SocketBusy) => 5000,
        (true, _) => 500,
        // Thousands of requests, so that it matters little how it begins and ends.
        (false, Driver::Socket | Driver::SocketBusy) => 100_000,
        (false, Driver::Ready | Driver::Pending) => 2000,
        // Short enough that two threads keep their processors.
        (false, Driver::HotShared | Driver::DeniedShared) => 300,
        // About a million keys.
        (false, Driver::New) => 250_000,
        // Enough that keys are in the cache which were pushed out of it by other stores' turns.
        (false, Driver::HundredThousand) => 40_000,
        (false, _) => 4000,
    })
}

/// Where the system tells it.
fn print_load(when: &str) {
    if let Ok(load) = fs::read_to_string("/proc/loadavg") {
        println!("load average {when} the timed part: {}", load.split(' ').next().unwrap_or("?"));
    }
}

fn print_direct(figures: &Figures, rows: &[Row]) {
    println!("\nCalled directly:\n");
    let mut table = Table::new([
        "contender",
        "ns",
        "IQR %",
        "net",
        "× bare",
        "pending: net",
        "2 threads: net",
        "IQR %",
        "instr.",
        "pending: instr.",
        "allocs",
        "bytes",
    ]);
    for row in rows {
        let time = |driver| figures.time_of(row, driver);
        let net = |driver| figure(figures.net(row, driver).map(|net| net.median), 1);
        let ratio = figures.times_of(row, row.base, Driver::Ready);
        let [allocations, bytes] = figures.net_allocations(row);
        table.row([
            row.name.to_owned(),
            figure(time(Driver::Ready).map(|time| time.median), 1),
            figure(time(Driver::Ready).map(Spread::percent), 0),
            net(Driver::Ready),
            figure(ratio.map(|ratio| ratio.median), 2),
            net(Driver::Pending),
            net(Driver::Shared),
            figure(time(Driver::Shared).map(Spread::percent), 0),
            figure(figures.net_instructions(row, Driver::Ready), 0),
            figure(figures.net_instructions(row, Driver::Pending), 0),
            figure(allocations, 0),
            figure(bytes, 0),
        ]);
    }
    table.print();
}

fn print_served(figures: &Figures, rows: &[Row]) {
    println!("\nEnd to end:\n");
    let mut table = Table::new([
        "server",
        "ns",
        "IQR %",
        "× bare",
        "× identity",
        "instr.",
        "× bare",
        "allocs",
        "bytes",
    ]);
    for row in rows {
        let time = figures.time_of(row, Driver::Pipe);
        let over = |peer| figures.times_of(row, peer, Driver::Pipe).map(|ratio| ratio.median);
        let on_axum = rows.iter().any(|other| other.name == IDENTITY && other.base == row.base);
        let instructions = figures.instructions(row, Driver::Pipe);
        let net = figures.net_instructions(row, Driver::Pipe);
        let [allocations, bytes] = figures.net_allocations(row);
        table.row([
            row.name.to_owned(),
            figure(time.map(|time| time.median), 0),
            figure(time.map(Spread::percent), 1),
            figure(over(row.base), 3),
            figure(over(IDENTITY).filter(|_| on_axum), 3),
            figure(instructions, 0),
            figure(instructions.zip(net).map(|(all, net)| all / (all - net)), 3),
            figure(allocations, 0),
            figure(bytes, 0),
        ]);
    }
    table.print();
}

fn print_sockets(figures: &Figures, rows: &[Row]) {
    println!("\nOver loopback, asked by a second process:\n");
    let mut table = Table::new([
        "server",
        "requests/s",
        "IQR %",
        "× bare",
        "quartiles",
        "µs busy a request",
        "× bare",
        "quartiles",
    ]);
    let quartiles = |ratio: Option<Spread>| {
        ratio.map_or_else(String::new, |ratio| format!("{:.2}–{:.2}", ratio.low, ratio.high))
    };
    for row in rows.iter().filter(|row| row.can(Driver::Socket)) {
        let time = figures.time_of(row, Driver::Socket);
        // Requests a second, not seconds a request.
        let rate = figures.times_of(row, row.base, Driver::Socket).map(Spread::inverse);
        let busy = figures.time_of(row, Driver::SocketBusy);
        let busier = figures.times_of(row, row.base, Driver::SocketBusy);
        table.row([
            row.name.to_owned(),
            figure(time.map(|time| 1e9 / time.median), 0),
            figure(time.map(Spread::percent), 0),
            figure(rate.map(|rate| rate.median), 3),
            quartiles(rate),
            figure(busy.map(|busy| busy.median / 1000.0), 2),
            figure(busier.map(|busier| busier.median), 3),
            quartiles(busier),
        ]);
    }
    table.print();
}

fn print_keyed(figures: &Figures, rows: &[Row]) {
    println!("\nKeyed checks, net: the median of all rounds, and the least:\n");
    let mut table = Table::new([
        "store/key",
        "hot",
        "1k",
        "100k",
        "1M",
        "new",
        "denied",
        "2 threads: hot",
        "2: denied",
        "instr.: hot",
        "denied",
    ]);
    for row in rows.iter().filter(|row| row.name != row.base) {
        let net = |driver| {
            let median = figure(figures.net(row, driver).map(|net| net.median), 0);
            let least = figure(figures.least_net(row.name, row.base, driver), 0);
            // Of two threads the least is a run in which they met the least.
            let two = matches!(driver, Driver::HotShared | Driver::DeniedShared);
            if two || median == least { median } else { format!("{median}, {least}") }
        };
        let instructions = |driver| figure(figures.net_instructions(row, driver), 0);
        let [hot, thousand, hundred, million, new, denied, two_hot, two_denied] = DRIVERS.map(net);
        table.row([
            row.name.to_owned(),
            hot,
            thousand,
            hundred,
            million,
            new,
            denied,
            two_hot,
            two_denied,
            instructions(Driver::Hot),
            instructions(Driver::Denied),
        ]);
    }
    table.print();
}

fn print_memory() {
    println!("\nA million keys in memory:\n");
    let mut table = Table::new(["store/key", "bytes a key", "at most"]);
    for (name, bytes, most) in counted_memory() {
        table.row([name, figure(Some(bytes), 1), figure(Some(most), 1)]);
    }
    table.print();
}

/// In microseconds.
fn print_collecting(runs: usize) {
    println!("\nChecks while a million keys are collected, and as long without, in µs:\n");
    let mut table = Table::new([
        "collected by",
        "ms",
        "longest: median",
        "least",
        "without: median",
        "least",
        "p99.9: median",
        "without",
        "checks",
    ]);
    for Collecting { name, runs } in collecting(runs) {
        type Of<'a> = &'a dyn Fn(&(Duration, [Stall; 2])) -> Duration;
        let micros = |of: Of<'_>| -> Vec<f64> {
            runs.iter().map(|run| of(run).as_secs_f64() * 1e6).collect()
        };
        let median = |micros: &Vec<f64>| figure(Some(Spread::of(micros.clone()).median), 1);
        let least = |micros: &Vec<f64>| figure(micros.iter().copied().reduce(f64::min), 1);
        let longest = [0, 1].map(|nth| micros(&|(_, stalls)| stalls[nth].longest));
        let most = [0, 1].map(|nth| micros(&|(_, stalls)| stalls[nth].most));
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
        let counts = runs.iter().map(|(_, stalls)| stalls[0].checks as f64);
        let took = Spread::of(micros(&|(took, _)| *took)).median / 1000.0;
        table.row([
            name.to_owned(),
            figure(Some(took), 1),
            median(&longest[0]),
            least(&longest[0]),
            median(&longest[1]),
            least(&longest[1]),
            median(&most[0]),
            median(&most[1]),
            figure(Some(Spread::of(counts).median), 0),
        ]);
    }
    table.print();
}
