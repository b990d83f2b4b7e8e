//! Stores of rate limits, asked without a service around them. A new contender is one more entry.

mod check;
mod collect;
mod memory;
mod stores;

use std::{collections::hash_map::RandomState, net::IpAddr};

use governor::clock::{MonotonicClock, QuantaClock};

pub(crate) use self::collect::{Collecting, Stall, collecting};
pub use self::memory::count_memory;
use self::{
    check::{Key, hits, hits_from_two, new_keys, refusals, refusals_from_two},
    stores::{Capped, Exact, Governor, Nothing, Palisade, Still, Store, TokioClock},
};
use crate::row::{Driver, Row};

/// How these are asked.
pub(crate) const DRIVERS: [Driver; 8] = [
    Driver::Hot,
    Driver::Thousand,
    Driver::HundredThousand,
    Driver::Million,
    Driver::New,
    Driver::Denied,
    Driver::HotShared,
    Driver::DeniedShared,
];

const MILLION: u64 = 1_000_000;

type Foldhash = foldhash::fast::RandomState;

const IP: &str = "nothing/ip";
const U64: &str = "nothing/u64";
const STRING: &str = "nothing/string";
const GOVERNOR_IP: &str = "governor/ip";
const GOVERNOR_U64: &str = "governor/u64";
const GOVERNOR_STRING: &str = "governor/string";
const SAME_CLOCK: &str = "governor, std's clock/ip";
const NO_CLOCK: &str = "governor, no clock/ip";
const NO_CLOCK_FOLDHASH: &str = "governor, foldhash, no clock/ip";

/// Ours stand beside those that they are compared with.
pub(crate) fn keyed_checks() -> Vec<Row> {
    vec![
        row::<IpAddr, Nothing>(IP, IP),
        row::<IpAddr, Governor<IpAddr, RandomState, QuantaClock>>(GOVERNOR_IP, IP),
        row::<IpAddr, Governor<IpAddr, Foldhash, QuantaClock>>("governor, foldhash/ip", IP),
        compared(
            row::<IpAddr, Palisade<TokioClock>>("palisade/ip", IP),
            &[GOVERNOR_IP, SAME_CLOCK],
        ),
        beside(row::<IpAddr, Exact<IpAddr, TokioClock>>("palisade, exact/ip", IP), GOVERNOR_IP),
        row::<IpAddr, Governor<IpAddr, RandomState, MonotonicClock>>(SAME_CLOCK, IP),
        row::<IpAddr, Capped<IpAddr>>("moka with a cap/ip", IP),
        without_clock::<IpAddr, Governor<IpAddr, RandomState, Still>>(NO_CLOCK, IP),
        without_clock::<IpAddr, Governor<IpAddr, Foldhash, Still>>(NO_CLOCK_FOLDHASH, IP),
        compared_in_cache(
            without_clock::<IpAddr, Palisade<Still>>("palisade, no clock/ip", IP),
            &[NO_CLOCK, NO_CLOCK_FOLDHASH],
        ),
        row::<u64, Nothing>(U64, U64),
        row::<u64, Governor<u64, RandomState, QuantaClock>>(GOVERNOR_U64, U64),
        row::<u64, Governor<u64, Foldhash, QuantaClock>>("governor, foldhash/u64", U64),
        compared(row::<u64, Palisade<TokioClock>>("palisade/u64", U64), &[GOVERNOR_U64]),
        beside(row::<u64, Exact<u64, TokioClock>>("palisade, exact/u64", U64), GOVERNOR_U64),
        row::<String, Nothing>(STRING, STRING),
        row::<String, Governor<String, RandomState, QuantaClock>>(GOVERNOR_STRING, STRING),
        row::<String, Governor<String, Foldhash, QuantaClock>>("governor, foldhash/string", STRING),
        compared(
            row::<String, Palisade<TokioClock>>("palisade/string", STRING),
            &[GOVERNOR_STRING],
        ),
        beside(
            row::<String, Exact<String, TokioClock>>("palisade, exact/string", STRING),
            GOVERNOR_STRING,
        ),
    ]
}

/// Only what fits into the caches: without a clock to wait for, the processor begins the next checks
/// while it waits for memory, which it cannot do for one request. At a million keys that makes ours
/// look twice as fast as it is.
fn without_clock<K: Key, S: Store<K>>(name: &'static str, base: &'static str) -> Row {
    Row::named(name, base)
        .driven(Driver::Hot, || hits::<K, S>(1))
        .driven(Driver::Thousand, || hits::<K, S>(1000))
        .driven(Driver::Denied, refusals::<K, S>)
}

fn row<K: Key, S: Store<K>>(name: &'static str, base: &'static str) -> Row {
    Row::named(name, base)
        .driven(Driver::Hot, || hits::<K, S>(1))
        .driven(Driver::Thousand, || hits::<K, S>(1000))
        .driven(Driver::HundredThousand, || hits::<K, S>(100_000))
        .driven(Driver::Million, || hits::<K, S>(MILLION))
        .driven(Driver::New, new_keys::<K, S>)
        .driven(Driver::Denied, refusals::<K, S>)
        .driven(Driver::HotShared, || hits_from_two::<K, S>(1))
        .driven(Driver::DeniedShared, refusals_from_two::<K, S>)
}

const IN_CACHE: [(Driver, f64); 2] = [(Driver::Hot, 0.6), (Driver::Thousand, 0.55)];
const BEYOND: [(Driver, f64); 2] = [(Driver::HundredThousand, 0.5), (Driver::Million, 0.75)];

fn compared(row: Row, peers: &[&'static str]) -> Row {
    let row = compared_in_cache(row, peers);
    peers.iter().fold(row, |row, peer| bounded(row, peer, BEYOND))
}

fn compared_in_cache(row: Row, peers: &[&'static str]) -> Row {
    peers.iter().fold(row, |row, peer| bounded(row, peer, IN_CACHE))
}

/// For whom nothing is promised.
fn beside(row: Row, peer: &'static str) -> Row {
    let drivers = IN_CACHE.into_iter().chain(BEYOND).map(|(driver, _)| driver);
    drivers.fold(row, |row, driver| row.beside(driver, peer))
}

fn bounded(row: Row, peer: &'static str, bounds: [(Driver, f64); 2]) -> Row {
    bounds.into_iter().fold(row, |row, (driver, at_most)| row.bound(driver, peer, at_most))
}
