//! What an answer tells its client, read as a client would: by a parser of structured fields.

use bytes::Bytes;
use http::{HeaderMap, Response};
use sfv::{BareItem, List, ListEntry, Parameters, Parser};

/// The one window of `RateLimit-Policy` and `RateLimit`, and `Retry-After`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) quota: i64,
    pub(crate) window: i64,
    pub(crate) remaining: i64,
    /// In how many seconds there is more.
    pub(crate) more_in: Option<i64>,
    pub(crate) retry_after: Option<i64>,
}

impl Fields {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let (policy, limit) = (item(headers, "ratelimit-policy"), item(headers, "ratelimit"));
        assert_eq!(policy.0, limit.0, "they speak of one policy");
        let retry_after = headers.get("retry-after");
        Self {
            quota: integer(&policy.1, "q").unwrap(),
            window: integer(&policy.1, "w").unwrap(),
            remaining: integer(&limit.1, "r").unwrap(),
            more_in: integer(&limit.1, "t"),
            retry_after: retry_after.map(|seconds| seconds.to_str().unwrap().parse().unwrap()),
        }
    }
}

/// The only member of a header that is a list of strings.
fn item(headers: &HeaderMap, name: &str) -> (String, Parameters) {
    let mut items = items(headers, name);
    assert_eq!(items.len(), 1, "{name} in {headers:?}");
    items.remove(0)
}

/// The members of a header that is a list of strings.
fn items(headers: &HeaderMap, name: &str) -> Vec<(String, Parameters)> {
    assert_eq!(headers.get_all(name).iter().count(), 1, "{name} in {headers:?}");
    let list: List = Parser::new(headers[name].as_bytes()).parse().unwrap();
    let item = |entry: &ListEntry| {
        let ListEntry::Item(item) = entry else { panic!("{name} is {list:?}") };
        let BareItem::String(policy) = &item.bare_item else { panic!("{name} is {item:?}") };
        (policy.as_str().to_owned(), item.params.clone())
    };
    list.iter().map(item).collect()
}

/// What a header says of each window: its name, and one of its parameters.
pub(crate) fn windows(headers: &HeaderMap, name: &str, parameter: &str) -> Vec<(String, i64)> {
    let told = |(name, parameters)| (name, integer(&parameters, parameter).unwrap());
    items(headers, name).into_iter().map(told).collect()
}

fn integer(parameters: &Parameters, name: &str) -> Option<i64> {
    parameters.get(name).map(|value| value.as_integer().unwrap().into())
}

pub(crate) fn is_problem(answer: &Response<Bytes>, status: u16, reason: &str) {
    assert_eq!(answer.status(), status);
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["content-length"], *answer.body().len().to_string());
    let problem: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(problem["type"], format!("urn:palisade:{reason}"));
    assert_eq!(problem["status"], status);
}

/// A refusal of one who may come back.
pub(crate) fn is_refusal(answer: &Response<Bytes>) -> Fields {
    is_problem(answer, 429, "quota-exceeded");
    let fields = Fields::of(answer.headers());
    let (t, retry_after) = (fields.more_in.unwrap(), fields.retry_after.unwrap());
    assert_eq!(fields.remaining, 0);
    assert!(t >= 1 && retry_after >= t, "{fields:?}");
    fields
}
