//! Serves over a socket, to be counted by strace; see `benches/README.md`.

use clap::Parser;

fn main() {
    peers::Loopback::parse().run();
}
