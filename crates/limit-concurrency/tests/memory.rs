//! What limits cost that come and go. The only test of its process: all limits share what is unused.
#![cfg(not(palisade_loom))]

use allocation_counter::measure;
use palisade_limit_concurrency::Limit;

#[test]
fn a_limit_that_comes_and_goes_leaves_nothing_behind() {
    let come_and_go = || {
        let limit = Limit::new(3);
        let permit = limit.try_acquire();
        // Whichever goes last.
        drop(limit);
        drop(permit);
    };
    come_and_go();
    let thousand = measure(|| (0..1000).for_each(|_| come_and_go()));
    assert_eq!((thousand.count_current, thousand.bytes_current), (0, 0));
}
