//! `google.rpc.Status` with its details, as `grpc-status-details-bin` carries them.
//!
//! Written by hand: four messages of the protobuf wire format
//! (<https://protobuf.dev/programming-guides/encoding/>) are less than a dependency on a protobuf
//! library would be for every user of a layer. A test has them read by one.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use http::HeaderValue;

use crate::{Rejection, wire};

/// The value of `grpc-status-details-bin`: base64 without padding, as
/// [gRPC has it](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
pub(crate) fn header(rejection: &Rejection) -> Option<HeaderValue> {
    HeaderValue::try_from(STANDARD_NO_PAD.encode(status(rejection).0)).ok()
}

/// `google.rpc.Status { int32 code = 1; string message = 2; repeated Any details = 3; }`
fn status(rejection: &Rejection) -> Message {
    let mut status = Message::default()
        .number(1, rejection.grpc_code().number().into())
        .text(2, &wire::message(rejection))
        .message(3, &any("ErrorInfo", &error_info(rejection)));
    if let Some(wait) = rejection.retry_after() {
        // `google.protobuf.Duration { int64 seconds = 1; int32 nanos = 2; }`, at most 10,000 years.
        let seconds = wait.as_secs().min(315_576_000_000);
        let duration = Message::default().number(1, seconds).number(2, wait.subsec_nanos().into());
        status = status.message(3, &any("RetryInfo", &Message::default().message(1, &duration)));
    }
    let request = Message::default().text(1, &rejection.id().to_string());
    status.message(3, &any("RequestInfo", &request))
}

/// `google.rpc.ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }`,
/// the reason in its upper case.
fn error_info(rejection: &Rejection) -> Message {
    let reason = rejection.reason().as_str().to_ascii_uppercase().replace('-', "_");
    let info = Message::default().text(1, &reason).text(2, "palisade");
    // A map is a list of messages with a key and a value.
    rejection.members().fold(info, |info, (name, words)| {
        info.message(3, &Message::default().text(1, name).text(2, &words.join(",")))
    })
}

/// `google.protobuf.Any { string type_url = 1; bytes value = 2; }`
fn any(name: &str, value: &Message) -> Message {
    Message::default().text(1, &format!("type.googleapis.com/google.rpc.{name}")).message(2, value)
}

#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// A field of an integer type. What is zero is left out, as protobuf does.
    fn number(mut self, field: u8, value: u64) -> Self {
        if value != 0 {
            self.0.push(field << 3);
            self.varint(value);
        }
        self
    }

    fn text(self, field: u8, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u8, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    fn bytes(mut self, field: u8, value: &[u8]) -> Self {
        const LENGTH_DELIMITED: u8 = 2;
        self.0.push(field << 3 | LENGTH_DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, value: u64) {
        let (low, rest) = ((value & 0x7f) as u8, value >> 7);
        if rest == 0 {
            self.0.push(low);
        } else {
            self.0.push(low | 0x80);
            self.varint(rest);
        }
    }
}
