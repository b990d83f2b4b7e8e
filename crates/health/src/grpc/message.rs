use std::sync::Arc;

use bytes::Bytes;

use super::{
    frame::{Malformed, framed},
    wire::{Fields, LENGTH, VARINT, put_bytes},
};
use crate::ServingStatus;

/// The service of a `HealthCheckRequest`, which `Check` and `Watch` are sent: its field 1, the last one if
/// there are several, empty if there is none.
pub(crate) fn check_request(message: &[u8]) -> Result<&str, Malformed> {
    let mut fields = Fields::new(message);
    let mut service = "";
    while let Some(key) = fields.next()? {
        match (key.number, key.layout) {
            (1, LENGTH) => service = fields.string()?,
            (1, _) => return Err(Malformed::Garbage),
            _ => fields.skip(key)?,
        }
    }
    Ok(service)
}

/// A `HealthListRequest`, which has no fields.
pub(crate) fn list_request(message: &[u8]) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    while let Some(key) = fields.next()? {
        fields.skip(key)?;
    }
    Ok(())
}

/// A `HealthCheckResponse` with its prefix: an answer to `Check`, or one of those to `Watch`.
pub(crate) fn response(status: ServingStatus) -> Bytes {
    framed(&status_message(status)).into()
}

/// More services than `List` may tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// As many services a `HealthListResponse` may have (gRFC A90); for more the status is
/// `RESOURCE_EXHAUSTED`.
pub(crate) const MOST_LISTED: usize = 100;

/// A `HealthListResponse` with its prefix.
pub(crate) fn list_response(services: &[(Arc<str>, ServingStatus)]) -> Result<Bytes, TooMany> {
    if services.len() > MOST_LISTED {
        return Err(TooMany);
    }
    let (mut message, mut entry) = (Vec::new(), Vec::new());
    for (name, status) in services {
        entry.clear();
        put_bytes(1, name.as_bytes(), &mut entry);
        put_bytes(2, &status_message(*status), &mut entry);
        put_bytes(1, &entry, &mut message);
    }
    Ok(framed(&message).into())
}

/// Field 1, unless it is the default.
fn status_message(status: ServingStatus) -> Vec<u8> {
    if status == ServingStatus::Unknown { Vec::new() } else { vec![1 << 3 | VARINT, status as u8] }
}
