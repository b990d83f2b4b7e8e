use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// A gRPC status code.
///
/// The list is complete: the
/// [gRPC specification](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md) has no others.
/// Shown as `RESOURCE_EXHAUSTED`; on the wire it is [`number`](Self::number).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum GrpcCode {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// By number.
const NAMED: [(GrpcCode, &str); 17] = [
    (GrpcCode::Ok, "OK"),
    (GrpcCode::Cancelled, "CANCELLED"),
    (GrpcCode::Unknown, "UNKNOWN"),
    (GrpcCode::InvalidArgument, "INVALID_ARGUMENT"),
    (GrpcCode::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (GrpcCode::NotFound, "NOT_FOUND"),
    (GrpcCode::AlreadyExists, "ALREADY_EXISTS"),
    (GrpcCode::PermissionDenied, "PERMISSION_DENIED"),
    (GrpcCode::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (GrpcCode::FailedPrecondition, "FAILED_PRECONDITION"),
    (GrpcCode::Aborted, "ABORTED"),
    (GrpcCode::OutOfRange, "OUT_OF_RANGE"),
    (GrpcCode::Unimplemented, "UNIMPLEMENTED"),
    (GrpcCode::Internal, "INTERNAL"),
    (GrpcCode::Unavailable, "UNAVAILABLE"),
    (GrpcCode::DataLoss, "DATA_LOSS"),
    (GrpcCode::Unauthenticated, "UNAUTHENTICATED"),
];

impl GrpcCode {
    /// The number sent in `grpc-status`.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code that a service which answers `status` over HTTP gives over gRPC.
    ///
    /// This is the mapping that `google.rpc.Code` states for services, read backwards:
    /// 429 is `RESOURCE_EXHAUSTED`, 503 `UNAVAILABLE`, 504 `DEADLINE_EXCEEDED`. It is *not* the
    /// table by which a gRPC client guesses a code when a proxy answered without one; there 429 is
    /// `UNAVAILABLE`.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Ok,
            400 => Self::InvalidArgument,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::NotFound,
            408 | 504 => Self::DeadlineExceeded,
            409 => Self::Aborted,
            429 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            500 => Self::Internal,
            501 => Self::Unimplemented,
            502 | 503 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The code that a gRPC client takes an answer for that has no `grpc-status`, by its HTTP status:
    /// some proxy's, likely. `None` for 200, where the status is still to come.
    ///
    /// This is gRPC's
    /// [mapping](https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md), and not
    /// [`from_status`](Self::from_status).
    #[must_use]
    pub fn from_answer(status: StatusCode) -> Option<Self> {
        Some(match status.as_u16() {
            200 => return None,
            400 | 431 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502..=504 => Self::Unavailable,
            _ => Self::Unknown,
        })
    }

    /// The code in `grpc-status`, in the head of a trailers-only answer or in the trailers.
    ///
    /// What is there and is none of the codes is `Unknown`.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&GRPC_STATUS)?;
        let number = match value.as_bytes() {
            [digit @ b'0'..=b'9'] => digit - b'0',
            [b'1', digit @ b'0'..=b'9'] => 10 + digit - b'0',
            _ => return Some(Self::Unknown),
        };
        Some(Self::of_number(number))
    }

    /// Says this code in `grpc-status`, in place of what was said.
    ///
    /// # Panics
    ///
    /// Never but where a header map does: at 32,768 headers.
    pub fn insert(self, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS.clone(), HeaderValue::from(u16::from(self.number())));
    }

    /// The code with this number; `Unknown` if there is none.
    pub(crate) fn of_number(number: u8) -> Self {
        NAMED.get(usize::from(number)).map_or(Self::Unknown, |&(code, _)| code)
    }
}

impl fmt::Display for GrpcCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(NAMED[usize::from(self.number())].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_found_by_its_number_and_read_as_it_is_written() {
        for number in 0..=255 {
            let code = GrpcCode::of_number(number);
            let expected = if number <= 16 { number } else { 2 };
            assert_eq!(code.number(), expected);
            let upper = format!("{code:?}").to_uppercase();
            assert_eq!(code.to_string().replace('_', ""), upper);
            let mut headers = HeaderMap::new();
            code.insert(&mut headers);
            assert_eq!(GrpcCode::of(&headers), Some(code));
            assert_eq!(headers["grpc-status"], expected.to_string());
        }
    }
}
