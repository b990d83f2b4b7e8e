//! Counts what each contender allocates, in a process of its own: the counting allocator would slow
//! the timed runs. Started by the main binary.

use clap::Parser;

fn main() {
    let options = peers::Options::parse();
    if options.memory {
        return peers::count_memory(&|work| {
            let counted = allocation_counter::measure(work);
            [counted.bytes_current, i64::try_from(counted.bytes_max).unwrap_or(i64::MAX)]
        });
    }
    peers::count_allocations(&options, |work| {
        let counted = allocation_counter::measure(work);
        (counted.count_total, counted.bytes_total)
    });
}
