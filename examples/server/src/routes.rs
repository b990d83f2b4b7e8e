//! What the service does.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    body::{Body, HttpBody},
    extract::{Query, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST},
        uri::Authority,
    },
    response::{Html, IntoResponse},
};
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::{BodyStream, StreamBody};
use palisade::Id;
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    problem::{InvalidField, Problem},
    query::{Number, numbers},
    settings::Settings,
    tour,
};

/// How long `/work` takes, in milliseconds. At most a minute, after which any client has given up.
pub(crate) const MS: Number = Number { name: "ms", default: 100, least: 0, most: 60_000 };

/// How many lines `/stream` sends.
pub(crate) const CHUNKS: Number = Number { name: "chunks", default: 10, least: 1, most: 1_000 };

/// How many milliseconds lie between two lines.
pub(crate) const EVERY_MS: Number =
    Number { name: "every_ms", default: 200, least: 0, most: 10_000 };

type Pairs = Query<Vec<(String, String)>>;

/// `GET /`: what there is to try, on a page.
///
/// It is as any other route behind the layers, and loads nothing else. Nothing but its own script runs on it.
pub(crate) async fn page(
    State(settings): State<Settings>,
    uri: Uri,
    headers: HeaderMap,
) -> impl IntoResponse {
    let host = host(&uri, &headers).unwrap_or_else(|| settings.listen.to_string());
    // For one answer, which therefore is not to be kept.
    let nonce = format!("{:032x}", Id::random().as_u128());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = [(CACHE_CONTROL, "no-store".to_owned()), (CONTENT_SECURITY_POLICY, policy)];
    (headers, Html(tour::page(&host, &settings, &nonce)))
}

/// The host the client asked for: `:authority` over HTTP/2, `Host` over HTTP/1.
///
/// It ends up in HTML and in command lines that people copy into a shell, so only what is safe in
/// both is believed.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let asked = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(HOST)?.to_str().ok()?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:-[]".contains(c);
    (asked.chars().all(plain) && asked.parse::<Authority>().is_ok()).then(|| asked.to_owned())
}

/// What `/work` answers.
#[derive(Debug, Serialize)]
pub(crate) struct Worked {
    worked_ms: u64,
}

/// `GET /work?ms=N`: takes N milliseconds, without using the processor.
pub(crate) async fn work(Query(given): Pairs) -> Result<Json<Worked>, InvalidField> {
    let [ms] = numbers([MS], given)?;
    sleep(Duration::from_millis(ms)).await;
    Ok(Json(Worked { worked_ms: ms }))
}

/// `GET /stream?chunks=N&every_ms=M`: a body that takes its time.
pub(crate) async fn stream(Query(given): Pairs) -> Result<impl IntoResponse, InvalidField> {
    let [chunks, every_ms] = numbers([CHUNKS, EVERY_MS], given)?;
    let lines = lines(chunks, Duration::from_millis(every_ms));
    let content_type = (CONTENT_TYPE, "text/plain; charset=utf-8");
    Ok(([content_type], Body::from_stream(lines)))
}

fn lines(chunks: u64, every: Duration) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold(1, move |chunk| async move {
        if chunk > chunks {
            return None;
        }
        if chunk > 1 {
            sleep(every).await;
        }
        Some((Ok(format!("chunk {chunk} of {chunks}\n")), chunk + 1))
    })
}

/// `POST /echo`: the request's body, back as it comes in.
///
/// The answer begins with the first piece. A client that does not send any can thus be told so, and
/// one that expects `100 Continue` gets it.
pub(crate) async fn echo(headers: HeaderMap, body: Body) -> impl IntoResponse {
    let unknown = HeaderValue::from_static("application/octet-stream");
    let content_type = headers.get(CONTENT_TYPE).cloned().unwrap_or(unknown);
    let length = body.size_hint().exact().map(|length| [(CONTENT_LENGTH, length)]);
    let mut frames = Box::pin(BodyStream::new(body).peekable());
    frames.as_mut().peek().await;
    ([(CONTENT_TYPE, content_type)], length, Body::new(StreamBody::new(frames)))
}

/// A route that is there, asked with a method that it does not have.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}; Allow says what it takes.", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Everything else.
pub(crate) async fn nowhere(uri: Uri) -> Problem {
    let detail = format!("There is nothing at {}. GET / shows what there is.", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}
