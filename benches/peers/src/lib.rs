//! Measures what a request pays for Palisade's layers and for those of their peers, side by side.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! `contenders` lists the services that are called directly, `apps` those behind an HTTP connection,
//! `keys` the stores that are asked alone: a new contender is one entry there. What is measured and how is told in `benches/README.md`.

mod adapters;
mod allocations;
mod apps;
mod callgrind;
mod contenders;
mod drive;
mod figures;
mod inner;
mod keys;
mod loopback;
mod measure;
mod options;
mod pipe;
mod processes;
mod report;
mod row;
mod settings;
mod socket;
mod table;
mod verdicts;
mod windows;

pub use allocations::count_allocations;
pub use keys::count_memory;
pub use loopback::Loopback;
pub use options::Options;
pub use report::run;
