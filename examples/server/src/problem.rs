//! Answers that say what is wrong with a request.

use axum::{
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// An RFC 9457 problem document. Of type `about:blank`, since the status says all that is general.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    document: Value,
}

impl Problem {
    /// A 400: `field` has a `value` other than what is `accepted`.
    pub(crate) fn field(field: &str, value: &str, accepted: &str) -> Self {
        let detail = format!("{field} is {value:?}, but must be {accepted}.");
        let mut this = Self::new(StatusCode::BAD_REQUEST, &detail);
        this.document["field"] = field.into();
        this.document["value"] = value.into();
        this.document["accepted"] = accepted.into();
        this
    }

    pub(crate) fn new(status: StatusCode, detail: &str) -> Self {
        let document = json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
        });
        Self { status, document }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let content_type = (CONTENT_TYPE, "application/problem+json");
        (self.status, [content_type], self.document.to_string()).into_response()
    }
}
