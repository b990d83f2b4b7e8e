//! Every interleaving of an allowance's reservations:
//!
//! `RUSTFLAGS="--cfg palisade_loom" cargo test -p palisade-retry --release --lib`

use loom::thread;

use super::*;

#[test]
fn no_interleaving_reserves_more_than_there_is() {
    // Three switches of one thread to another at any places show most of what there is (M. Musuvathi,
    // S. Qadeer, PLDI 2007).
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let allowance = Allowance::new(3);
        let others: Vec<_> = (0..2)
            .map(|_| {
                let allowance = Arc::clone(&allowance);
                thread::spawn(move || {
                    let reserved = allowance.reserve(2);
                    if reserved {
                        assert!((2..=3).contains(&allowance.in_use()));
                        allowance.release(2);
                    }
                    reserved
                })
            })
            .collect();
        if allowance.reserve(1) {
            assert!(allowance.in_use() <= 3);
            allowance.release(1);
        }
        let reserved = others.into_iter().map(|other| other.join().unwrap());
        // Only the other one stands in the way of who needs two of three.
        assert!(reserved.fold(false, |any, one| any | one));
        assert_eq!(allowance.in_use(), 0);
    });
}
