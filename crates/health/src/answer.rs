//! What probes are answered.

use std::fmt::Write;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE},
};
use palisade_core::{GrpcCode, Head};

use crate::{Health, Item, Probe, Report, Status, body::Own, clock::now, settings::Settings};

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Over HTTP: 200 or 503, and in the body the status in a word, or line by line what led to it.
pub(crate) fn http(
    health: &Health,
    settings: &Settings,
    probe: Probe,
    head: Head<'_>,
) -> Response<Own> {
    let (status, text) = if settings.details.are_for(head) {
        let report = health.report();
        (report.status(probe), details(&report, probe).into())
    } else {
        let status = health.status(probe);
        (status, Bytes::from_static(word(status).as_bytes()))
    };
    let code = if status.is_up() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let body = if head.method() == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        Own::Over
    } else {
        Own::Text(text)
    };
    with(headers, code, body)
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Pass => "pass\n",
        Status::Warn => "warn\n",
        Status::Unknown => "unknown\n",
        Status::Fail => "fail\n",
    }
}

/// A line for each check, as Kubernetes' servers show them, and one for the whole.
fn details(report: &Report, probe: Probe) -> String {
    let now = now();
    let mut text = String::new();
    // Ready is only who is alive and has started.
    let counts = |item: &&Item| probe == Probe::Readiness || item.probe() == probe;
    for item in report.items().iter().filter(counts) {
        let mark = if item.status().is_up() { '+' } else { '-' };
        let name = plain(item.name());
        let (status, age) = (item.status(), item.age(now).as_secs());
        let critical = if item.is_critical() { ", critical" } else { "" };
        let detail = plain(item.detail().unwrap_or_default());
        let colon = if detail.is_empty() { "" } else { ": " };
        // Into a string it always succeeds.
        let _ = writeln!(text, "[{mark}] {name} {status} for {age} s{critical}{colon}{detail}");
    }
    if report.is_draining() && probe == Probe::Readiness {
        text.push_str("[-] draining\n");
    }
    text + word(report.status(probe))
}

/// On one line, whatever it is: what ends lines, and what terminals take for commands, is a space.
fn plain(text: &str) -> String {
    let ends_lines = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.replace(ends_lines, " ")
}

/// Over gRPC: what follows the head says the rest.
pub(crate) fn grpc(body: Own) -> Response<Own> {
    with(grpc_headers(), StatusCode::OK, body)
}

/// Over gRPC, trailers-only.
pub(crate) fn grpc_error(code: GrpcCode, message: &str) -> Response<Own> {
    let mut headers = grpc_headers();
    code.insert(&mut headers);
    // All of them are written here, in ASCII and without what would have to be encoded.
    if let Ok(message) = HeaderValue::from_str(message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    with(headers, StatusCode::OK, Own::Over)
}

fn grpc_headers() -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers
}

fn with(headers: HeaderMap, status: StatusCode, body: Own) -> Response<Own> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
