use proptest::prelude::*;

use super::*;

#[test]
fn admissions_are_counted_past_the_halfword() {
    let limit = Limit::new(2);
    limit.counters.set_word(0, u32::MAX - 1);
    for _ in 0..4 {
        drop(limit.try_acquire().unwrap());
    }
    assert_eq!(limit.admitted(), u64::from(u32::MAX - 1) + 4);
    assert_eq!(limit.in_flight(), 0);
}

#[test]
fn nothing_gets_past_the_last_permit_the_word_can_count() {
    let (limit, most) = (Limit::new(usize::MAX), (1 << 31) - 1);
    limit.counters.set_word(most - 1, 0);
    let last = limit.try_acquire().unwrap();
    assert!(limit.try_acquire().is_none());
    drop(last);
    assert_eq!((limit.in_flight(), limit.admitted()), (most as usize - 1, 1));
}

#[test]
fn a_limit_made_after_others_are_gone_begins_at_zero() {
    for max in 1..50 {
        let limit = Limit::new(max);
        let permits: Vec<_> = (0..max).map(|_| limit.try_acquire().unwrap()).collect();
        assert!(limit.try_acquire().is_none());
        assert_eq!((limit.in_flight(), limit.max()), (max, max));
        assert_eq!((limit.admitted(), limit.rejected()), (max as u64, 1));
        // Whether the permits or the limit are the last to go.
        if max % 2 == 0 {
            drop(limit);
            drop(permits);
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Acquire,
    /// Drops one of the permits that are out, if any are.
    Release(usize),
    SetMax(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Acquire),
        3 => any::<usize>().prop_map(Event::Release),
        1 => (0..6_usize).prop_map(Event::SetMax),
    ]
}

proptest! {
    /// The model is a list of permits.
    #[test]
    fn decides_and_counts_like_a_list_of_permits(
        first_max in 0..6_usize,
        events in proptest::collection::vec(event(), 0..200),
    ) {
        let limit = Limit::new(first_max);
        let (mut out, mut max, mut admitted, mut rejected) = (Vec::new(), first_max, 0, 0);
        for event in events {
            match event {
                Event::Acquire => {
                    let permit = limit.try_acquire();
                    prop_assert_eq!(permit.is_some(), out.len() < max);
                    match permit {
                        Some(permit) => { admitted += 1; out.push(permit); }
                        None => rejected += 1,
                    }
                }
                Event::Release(_) if out.is_empty() => {}
                Event::Release(which) => drop(out.swap_remove(which % out.len())),
                Event::SetMax(to) => { limit.set_max(to); max = to; }
            }
            prop_assert_eq!(limit.in_flight(), out.len());
            prop_assert_eq!(limit.max(), max);
            prop_assert_eq!((limit.admitted(), limit.rejected()), (admitted, rejected));
            prop_assert_eq!(limit.is_full(), out.len() >= max);
        }
    }
}
