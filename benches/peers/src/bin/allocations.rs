//! Counts what each contender allocates, in a process of its own: the counting allocator would slow
//! the timed runs. Started by the main binary.

use clap::Parser;

fn main() {
    peers::count_allocations(&peers::Options::parse(), |work| {
        let counted = allocation_counter::measure(work);
        (counted.count_total, counted.bytes_total)
    });
}
