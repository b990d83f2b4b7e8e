//! What the service does.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    body::{Body, HttpBody},
    extract::Query,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::IntoResponse,
};
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::{BodyStream, StreamBody};
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    problem::{InvalidField, Problem},
    query::{Number, numbers},
};

/// How long `/work` takes, in milliseconds. At most a minute, after which any client has given up.
pub(crate) const MS: Number = Number { name: "ms", default: 100, least: 0, most: 60_000 };

/// How many lines `/stream` sends.
pub(crate) const CHUNKS: Number = Number { name: "chunks", default: 10, least: 1, most: 1_000 };

/// How many milliseconds lie between two lines.
pub(crate) const EVERY_MS: Number =
    Number { name: "every_ms", default: 200, least: 0, most: 10_000 };

type Pairs = Query<Vec<(String, String)>>;

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
