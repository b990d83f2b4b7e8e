//! The messages of `grpc.health.v1` as they are on the wire, without a gRPC library.
//!
//! Sources: the [health checking protocol](https://github.com/grpc/grpc/blob/master/doc/health-checking.md)
//! and its `health.proto`, the
//! [protobuf encoding](https://protobuf.dev/programming-guides/encoding/), and
//! [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) for the five bytes
//! before each message.

mod frame;
mod message;
mod wire;

pub(crate) use frame::{Incoming, Malformed};
pub(crate) use message::{TooMany, check_request, list_request, list_response, response};

#[cfg(all(test, not(palisade_loom)))]
mod tests;
