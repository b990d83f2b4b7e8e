//! The real process, over loopback sockets.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod arguments;
mod breakers;
mod health;
mod limit;
mod process;
mod protocols;
mod rates;
mod retries;
mod settings;
mod shutdown;
mod status;
mod timeouts;
