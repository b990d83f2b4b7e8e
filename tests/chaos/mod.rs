//! The whole stack of a server over sockets, its upstream, and its clients, of which none behaves.

mod answers;
mod books;
mod clients;
mod crowd;
mod eventful;
mod handlers;
mod headers;
mod leaks;
mod probes;
mod rude;
mod stack;
mod tap;
mod upstream;
mod world;

pub(crate) use leaks::{Leaks, Panics};
pub(crate) use world::World;
