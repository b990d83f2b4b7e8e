//! The one command; see `benches/README.md`.

use clap::Parser;

fn main() {
    peers::run(&peers::Options::parse());
}
