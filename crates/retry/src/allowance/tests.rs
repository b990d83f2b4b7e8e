use proptest::{collection::vec, prelude::*};

use super::*;

#[test]
fn what_does_not_fit_takes_nothing() {
    let allowance = Allowance::new(10);
    assert!(allowance.reserve(7));
    assert!(!allowance.reserve(4));
    assert_eq!(allowance.in_use(), 7);
    assert!(allowance.reserve(3) && allowance.reserve(0));
    assert!(!allowance.reserve(1));
    allowance.release(10);
    assert_eq!(allowance.in_use(), 0);
}

#[test]
fn the_largest_numbers_do_not_come_round() {
    let all = Allowance::new(usize::MAX);
    assert!(all.reserve(usize::MAX));
    assert!(!all.reserve(1) && !all.reserve(usize::MAX) && all.reserve(0));
    all.release(usize::MAX);
    assert_eq!(all.in_use(), 0);

    let none = Allowance::new(0);
    assert!(!none.reserve(1) && !none.reserve(usize::MAX) && none.reserve(0));
}

proptest! {
    #[test]
    fn it_counts_like_a_list_of_reservations(
        max in 0..100_usize,
        steps in vec((any::<bool>(), 0..60_usize), 0..100),
    ) {
        let allowance = Allowance::new(max);
        let mut held: Vec<usize> = Vec::new();
        for (reserve, number) in steps {
            if reserve {
                let fits = held.iter().sum::<usize>() + number <= max;
                prop_assert_eq!(allowance.reserve(number), fits);
                if fits {
                    held.push(number);
                }
            } else if !held.is_empty() {
                allowance.release(held.swap_remove(number % held.len()));
            }
            prop_assert_eq!(allowance.in_use(), held.iter().sum::<usize>());
        }
    }
}
