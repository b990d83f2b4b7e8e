//! Fields of a JSON object in a request's body, and an answer for each way to get them wrong.

use std::fmt;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header::CONTENT_TYPE},
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use crate::problem::{InvalidField, Problem};

/// A body that is one JSON object, field by field as it was sent.
#[derive(Debug)]
pub(crate) struct Fields(Vec<(String, Value)>);

impl Fields {
    /// The fields that were sent, in the order in which they are `known`.
    ///
    /// # Errors
    ///
    /// The first field that is unknown or was sent twice.
    pub(crate) fn known<const N: usize>(
        self,
        known: [&str; N],
    ) -> Result<[Option<Value>; N], InvalidField> {
        let mut found = [const { None }; N];
        for (name, value) in self.0 {
            let Some(at) = known.iter().position(|known| *known == name) else {
                let accepted = format!("left out: known is only {}", all(&known));
                return Err(invalid(&name, &value, accepted));
            };
            if found[at].is_some() {
                return Err(invalid(&name, &value, "given only once".to_owned()));
            }
            found[at] = Some(value);
        }
        Ok(found)
    }
}

/// As in a sentence.
fn all(names: &[&str]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.concat(),
    }
}

/// A field with a value that is not accepted. A string is told without its quotes.
pub(crate) fn invalid(name: &str, value: &Value, accepted: String) -> InvalidField {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    InvalidField { name: name.to_owned(), value, accepted }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let content_type = request.headers().get(CONTENT_TYPE).map_or("", |value| {
            let value = value.to_str().unwrap_or_default();
            value.split(';').next().unwrap_or_default().trim()
        });
        // A page of somebody else's cannot make a browser send this unasked.
        if !content_type.eq_ignore_ascii_case("application/json") {
            let detail = format!(
                "Content-Type is {content_type:?}, but must be application/json, as curl's --json says."
            );
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            Problem::new(rejection.status(), format!("{}.", rejection.body_text()))
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let detail = format!("The body must be a JSON object: {error}.");
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Collects)
    }
}

/// Unlike a map, keeps what was sent twice.
struct Collects;

impl<'de> Visitor<'de> for Collects {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
