//! The table held against the store of exact keys.

use proptest::prelude::*;

use super::{
    set::Set,
    tests::{SECOND, n},
    *,
};
use crate::{Decisions, ExactStore, Quota, Store, Sweep, Window};

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Take(u16, u32),
    TakeAll(u16, u32),
    Charge(u16, u32),
    Get(u16),
    Refund(u16, u32),
    Set(u16, u32),
    Reset(u16),
    Sweep,
}

fn events(keys: u16) -> impl Strategy<Value = Vec<Event>> {
    let key = move || 0..keys;
    let event = prop_oneof![
        3 => (0..34_u32, any::<u64>()).prop_map(|(bits, nanos)| Event::Pass(nanos % (1 << bits))),
        8 => (key(), 1..4_u32).prop_map(|(key, cost)| Event::Take(key, cost)),
        8 => (key(), 1..4_u32).prop_map(|(key, cost)| Event::TakeAll(key, cost)),
        2 => (key(), 1..100_u32).prop_map(|(key, cost)| Event::Charge(key, cost)),
        2 => key().prop_map(Event::Get),
        1 => (key(), 1..4_u32).prop_map(|(key, cost)| Event::Refund(key, cost)),
        1 => (key(), 1..2000_u32).prop_map(|(key, limit)| Event::Set(key, limit)),
        1 => key().prop_map(Event::Reset),
        2 => Just(Event::Sweep),
    ];
    proptest::collection::vec(event, 0..400)
}

/// How many pairs of these keys' windows the table takes for one another.
fn collisions(table: &TableStore, keys: u16, windows: &[Window]) -> usize {
    let mut places = Vec::new();
    for key in 0..keys {
        for window in windows {
            let hash = table.hash(&key, window);
            places.push((table.lines.home(hash) / 2, Set::of(&table.lines, hash).tag));
        }
    }
    let pairs = |at: usize| places[..at].iter().filter(|place| **place == places[at]).count();
    (0..places.len()).map(pairs).sum()
}

proptest! {
    /// In nanoseconds, by seeds of their own, with collectors that come when they like: of quotas that
    /// the table keeps in its finest ticks, all that the two ever tell is the same.
    #[test]
    fn decides_as_the_exact_store_but_for_collisions_and_evictions(
        limits in [1..2000_u32, 1..100_u32],
        events in events(30),
    ) {
        let exact = ExactStore::<u16>::new().with_max_keys(60).with_ttl(Duration::ZERO);
        let table = TableStore::new().with_capacity(1000).with_ttl(SECOND);
        let quotas = [Quota::per_second(n(limits[0])), Quota::per_minute(n(limits[1]))];
        let windows = [Window::new(0, quotas[0]), Window::new(1, quotas[1])];
        prop_assume!(collisions(&table, 30, &windows) == 0);
        let mut now = table.beginning;
        for event in events {
            // Of the same keys sometimes one window, sometimes the other.
            let window = |key: u16| windows[usize::from(key % 2)];
            match event {
                Event::Pass(nanos) => now += Duration::from_nanos(nanos),
                Event::Take(key, cost) => prop_assert_eq!(
                    table.take(&key, window(key), n(cost), now),
                    exact.take(&key, window(key), n(cost), now)
                ),
                Event::TakeAll(key, cost) => {
                    let told: Decisions = table.take_all(&key, &windows, n(cost), now);
                    prop_assert_eq!(told, exact.take_all(&key, &windows, n(cost), now));
                }
                Event::Charge(key, cost) => prop_assert_eq!(
                    table.charge(&key, window(key), n(cost), now),
                    exact.charge(&key, window(key), n(cost), now)
                ),
                Event::Get(key) => prop_assert_eq!(
                    table.get(&key, window(key), now),
                    exact.get(&key, window(key), now)
                ),
                Event::Refund(key, cost) => {
                    table.refund(&key, window(key), n(cost), now);
                    exact.refund(&key, window(key), n(cost), now);
                }
                Event::Set(key, limit) => {
                    let (own, until) = (Quota::per_minute(n(limit)), Some(now + 9 * SECOND));
                    let own = Window::new(window(key).index(), own);
                    prop_assert!(table.set(&key, own, until, now).is_ok());
                    prop_assert!(exact.set(&key, own, until, now).is_ok());
                }
                Event::Reset(key) => {
                    Store::reset(&table, &key, window(key));
                    Store::reset(&exact, &key, window(key));
                }
                Event::Sweep => {
                    Sweep::sweep(&table, now);
                    Sweep::sweep(&exact, now);
                }
            }
        }
        prop_assert_eq!((table.evicted_live(), exact.evicted_live()), (0, 0));
    }

    /// Crowded, by any seed: who gets more than by the exact store does so by an eviction, and who
    /// gets less by a collision, as does whose bucket another fills.
    #[test]
    fn differs_by_no_more_than_it_counts(
        takes in proptest::collection::vec((0..60_u16, 0..1_000_000_u64), 0..600),
    ) {
        let window = Quota::per_minute(n(3)).into();
        let (exact, table) = (ExactStore::<u16>::new(), TableStore::new().with_capacity(1));
        let collisions = collisions(&table, 60, &[window]);
        let (mut now, mut more, mut less) = (table.beginning, 0, 0);
        for (key, later) in takes {
            now += Duration::from_nanos(later);
            let expected = exact.take(&key, window, n(1), now).allowed();
            let allowed = table.take(&key, window, n(1), now).allowed();
            more += u64::from(allowed && !expected);
            less += u64::from(expected && !allowed);
        }
        prop_assert!(more <= 3 * table.evicted_live(), "{more} for {}", table.evicted_live());
        prop_assert!(less == 0 || collisions > 0);
        prop_assert_eq!(exact.evicted_live(), 0);
    }
}
