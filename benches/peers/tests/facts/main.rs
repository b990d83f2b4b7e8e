//! What `palisade::compared` states of Palisade's peers, and beside it what Palisade does with the same.
//!
//! Each test is named for its fact. When a peer changes, its test fails, and the table is to be mended.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod breakers;
mod errors;
mod grpc;
mod limits;
mod more;
mod rates;
mod retries;
mod served;
mod timeouts;
mod upstream;
