//! What a key takes in memory, counted by the binary whose allocator counts.

use std::{collections::hash_map::RandomState, net::IpAddr};

use governor::clock::QuantaClock;

use super::{
    MILLION,
    check::{Key, fill},
    stores::{Allowance, Capped, Exact, Governor, Palisade, Still, Store},
};

/// Tells how many bytes are held after something was done, and the most that were held meanwhile.
type Count<'a> = &'a dyn Fn(&mut dyn FnMut()) -> [i64; 2];

/// Prints what each store takes for a million keys: its name, bytes a key, and at their most,
/// separated by tabs.
pub fn count_memory(count: Count<'_>) {
    of::<u64, Governor<u64, RandomState, QuantaClock>>("governor/u64", count);
    of::<u64, Palisade<Still>>("palisade/u64", count);
    of::<u64, Exact<u64, Still>>("palisade, exact/u64", count);
    of::<IpAddr, Governor<IpAddr, RandomState, QuantaClock>>("governor/ip", count);
    of::<IpAddr, Capped<IpAddr>>("moka with a cap/ip", count);
    of::<IpAddr, Palisade<Still>>("palisade/ip", count);
    of::<IpAddr, Exact<IpAddr, Still>>("palisade, exact/ip", count);
    of::<String, Governor<String, RandomState, QuantaClock>>("governor/string", count);
    of::<String, Palisade<Still>>("palisade/string", count);
    of::<String, Exact<String, Still>>("palisade, exact/string", count);
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn of<K: Key, S: Store<K>>(name: &str, count: Count<'_>) {
    let mut store = None;
    let bytes = count(&mut || {
        let made = S::holding(MILLION, Allowance::Ample);
        fill::<K>(&made, MILLION);
        store = Some(made);
    });
    let [now, most] = bytes.map(|bytes| bytes as f64 / MILLION as f64);
    println!("{name}\t{now}\t{most}");
}
