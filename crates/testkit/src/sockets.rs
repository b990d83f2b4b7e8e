//! Servers and clients over loopback sockets.
//!
//! What crosses a socket takes real time, so tests do not pause tokio's: they wait with
//! [`eventually`] for what another task or the kernel has yet to do, and for everything else with
//! channels and [`Gate`](crate::Gate)s.

mod client;
mod raw;
mod server;

use std::{fmt::Debug, panic::Location, time::Duration};

use tokio::time::Instant;

pub use client::Client;
pub use raw::{Raw, exchange};
pub use server::{Server, deaf};

/// Waits until `condition` holds, looking once a millisecond.
///
/// # Panics
///
/// After ten seconds, at the caller's line.
#[track_caller]
pub fn eventually(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    let patient = async move {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    async move {
        let in_time = tokio::time::timeout(Duration::from_secs(10), patient).await;
        assert!(in_time.is_ok(), "what {caller} waits for did not happen");
    }
}

/// Waits until `left` names nothing any more, looking once a millisecond.
///
/// # Panics
///
/// After ten seconds, at the caller's line and with what is left.
#[track_caller]
pub fn eventually_none<T: Debug>(mut left: impl FnMut() -> Vec<T>) -> impl Future<Output = ()> {
    let (caller, until) = (Location::caller(), Instant::now() + Duration::from_secs(10));
    async move {
        loop {
            let left = left();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "what {caller} waits for to go is there: {left:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
