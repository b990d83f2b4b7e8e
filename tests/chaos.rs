//! The whole stack of a server over sockets, between an upstream that does what it must not and clients that
//! break off, stall and say what is no HTTP, for thousands of requests.
//!
//! Afterwards nothing is held or left behind, all counters add up, and what is well is called again.
//!
//! What clients and upstream do is drawn from a seed: `PALISADE_CHAOS_SEED=7 cargo test --test chaos`, or
//! `random` for another each time. When each of it happens is up to the machine, so that the same seed is not
//! the same run; nothing that is asserted depends on how fast that is.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "chaos/mod.rs"]
mod chaos;
mod soaks;

use std::env;

use chaos::{Leaks, Panics, World};
use palisade::Rng;

const ROUNDS: u64 = 4;

/// The same for everybody, unless somebody asks for another: a change is not to fail by another's luck.
fn seed() -> u64 {
    match env::var("PALISADE_CHAOS_SEED") {
        Ok(seed) if seed == "random" => Rng::random().next_u64() % 1_000_000,
        Ok(seed) => seed.parse().expect("PALISADE_CHAOS_SEED is a number, or random"),
        Err(_) => 1,
    }
}

/// Says what a run that fails was drawn from.
struct Seed(u64);

impl Drop for Seed {
    #[allow(clippy::print_stderr, reason = "who is to repeat it must know")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat it: PALISADE_CHAOS_SEED={}", self.0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_clients_and_an_upstream_do_nothing_is_lost_stuck_or_left_behind() {
    let (seed, panics) = (Seed(seed()), Panics::noted());
    let mut world = World::new(seed.0);
    let mut leaks = Leaks::none_yet(&world).await;
    for round in 0..ROUNDS {
        world.storms(round).await;
        leaks.are_none().await;
        world.recovers().await;
        world.serves().await;
        panics.are_none();
    }
    world.was_eventful();
    let _server = world.leaves().await;
    leaks.is_over().await;
    panics.are_none();
}
