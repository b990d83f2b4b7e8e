//! What a call takes a breaker that has many calls in its window.

use failsafe::Config;
use palisade::breaker::{BreakerLayer, Trip};
use tower::Layer;

use crate::{
    adapters::Failsafe,
    inner::{Bare, plain},
    measure::Spread,
    row::{Driver, Row},
    settings::{MINUTE, circuit_breaker, timed_circuit_breaker},
    table::{Table, figure},
};

/// How many calls there are in the window, before those that are timed.
const BEFORE: [u64; 4] = [0, 1000, 10_000, 1_000_000];

/// So few that they hardly change how many there are.
const TIMED: u64 = 64;

/// Where a call takes as many steps as there are calls in the window, a million calls take a quarter of
/// an hour.
const IN_TIME: u64 = 10_000;

fn rows() -> Vec<(Row, u64)> {
    let all = u64::MAX;
    vec![
        (Row::new("bare", plain, |inner: Bare| inner), all),
        (
            Row::new("palisade/breaker", plain, |inner: Bare| {
                BreakerLayer::new(Trip::default().window(MINUTE)).layer(inner)
            }),
            all,
        ),
        (
            Row::new("failsafe/default", plain, |inner: Bare| Failsafe {
                inner,
                breaker: Config::new().build(),
            }),
            all,
        ),
        (
            Row::new("tower-resilience/circuitbreaker by time", plain, |inner: Bare| {
                timed_circuit_breaker().layer(inner)
            }),
            IN_TIME,
        ),
        (
            Row::new("tower-resilience/circuitbreaker by count", plain, |inner: Bare| {
                circuit_breaker().layer(inner)
            }),
            all,
        ),
    ]
}

/// Each round is on a service of its own.
pub(crate) fn print_windows(rounds: usize) {
    println!("\nA call with this many in the window, in ns:\n");
    let mut table = Table::new(["contender", "0", "1k", "10k", "1M"]);
    for (row, most) in rows() {
        let times = BEFORE.map(|before| {
            let times = (0..rounds).filter(|_| before <= most).map(|_| timed(&row, before));
            figure(Some(Spread::of(times.collect::<Vec<_>>()).median), 0)
        });
        let [none, thousand, ten_thousand, million] = times;
        table.row([row.name.to_owned(), none, thousand, ten_thousand, million]);
    }
    table.print();
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn timed(row: &Row, before: u64) -> f64 {
    let mut sample = row.sample(Driver::Ready).expect("it is driven on one thread");
    sample(before);
    // What is met for the first time is in the caches then.
    sample(TIMED);
    sample(TIMED).as_nanos() as f64 / TIMED as f64
}
