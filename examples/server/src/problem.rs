//! Answers that say what is wrong with a request.

use axum::{
    Json,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};

/// An RFC 9457 problem document. Of type `about:blank`, since the status says all that is general.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    r#type: &'static str,
    title: Option<&'static str>,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    detail: String,
    #[serde(flatten)]
    invalid: Option<InvalidField>,
}

/// A status as the number it is.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn number<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: String) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason(),
            status,
            detail,
            invalid: None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let content_type = (CONTENT_TYPE, "application/problem+json");
        (self.status, [content_type], Json(self)).into_response()
    }
}

/// A field of a request that has a value other than what is accepted. Answered by a 400.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct InvalidField {
    #[serde(rename = "field")]
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) accepted: String,
}

impl From<InvalidField> for Problem {
    fn from(invalid: InvalidField) -> Self {
        let InvalidField { name, value, accepted } = &invalid;
        let detail = format!("{name} is {value:?}, but must be {accepted}.");
        Self { invalid: Some(invalid), ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }
}

impl IntoResponse for InvalidField {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
