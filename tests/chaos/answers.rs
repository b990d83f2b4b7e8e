//! What the upstream answers.

use std::{convert::Infallible, fmt, future::pending, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Request, Response, header::CONTENT_TYPE, header::RETRY_AFTER};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::sleep;

use super::headers::TOOK;
use crate::soaks::Dice;

pub(crate) type Answer = UnsyncBoxBody<Bytes, Broken>;

/// Whoever serves closes the connection, or resets the stream.
#[derive(Debug)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken as planned")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// Says how much it took.
    Well,
    /// The same, later.
    Slow(Duration),
    /// With a time after which to come again, or without.
    Status(u16, Option<&'static str>),
    Hangs,
    /// Ends with no answer.
    Breaks,
    /// Ends in the middle of one.
    BreaksOff,
    /// Says something, and then nothing more.
    HangsInside,
    Huge,
    /// A gRPC status behind a message, or in the place of one.
    Says(&'static str, bool),
}

const FRAME: usize = 16 << 10;
const HUGE: usize = 64;

pub(crate) fn plan(request: &Request<Incoming>, well: bool, dice: &mut Dice) -> Plan {
    let is_grpc = request.headers().contains_key("te");
    if well || dice.percent(55) {
        return if is_grpc { Plan::Says("0", true) } else { Plan::Well };
    }
    match dice.below(10) {
        0 | 1 if is_grpc => Plan::Says(dice.one_of(&["14", "8", "13", "3"]), dice.percent(50)),
        0 | 1 => Plan::Status(
            dice.one_of(&[500, 503, 503, 429, 404]),
            dice.one_of(&[None, None, Some("0"), Some("1"), Some("60")]),
        ),
        2 | 3 => Plan::Slow(dice.up_to(Duration::from_millis(100))),
        4 => Plan::Hangs,
        5 | 6 => Plan::Breaks,
        7 => Plan::BreaksOff,
        8 => Plan::HangsInside,
        _ => Plan::Huge,
    }
}

pub(crate) async fn give(
    request: Request<Incoming>,
    plan: Plan,
) -> Result<Response<Answer>, Broken> {
    let frame = || Ok(Frame::data(Bytes::from_static(&[b'.'; FRAME])));
    let is_grpc = request.headers().contains_key("te");
    let body = match plan {
        Plan::Well => return took(request).await,
        Plan::Slow(time) => {
            sleep(time).await;
            if !is_grpc {
                return took(request).await;
            }
            said("0")
        }
        Plan::Status(status, after) => {
            let mut response = Response::new(Empty::new().map_err(Into::into).boxed_unsync());
            *response.status_mut() = status.try_into().unwrap();
            if let Some(after) = after {
                response.headers_mut().insert(RETRY_AFTER, after.parse().unwrap());
            }
            return Ok(response);
        }
        Plan::Hangs => pending().await,
        Plan::Breaks => return Err(Broken),
        Plan::BreaksOff => {
            let frames = stream::iter([frame(), Err(Broken)]);
            StreamBody::new(frames).boxed_unsync()
        }
        Plan::HangsInside => {
            StreamBody::new(stream::iter([frame()]).chain(stream::pending())).boxed_unsync()
        }
        Plan::Huge => StreamBody::new(stream::repeat_with(frame).take(HUGE)).boxed_unsync(),
        Plan::Says(code, true) => {
            // It has been read when it is answered, as a unary call's is.
            let _ = request.into_body().collect().await;
            said(code)
        }
        Plan::Says(code, false) => {
            let mut response = Response::new(Empty::new().map_err(Into::into).boxed_unsync());
            response.headers_mut().insert(CONTENT_TYPE, "application/grpc".parse().unwrap());
            response.headers_mut().insert("grpc-status", code.parse().unwrap());
            return Ok(response);
        }
    };
    let mut response = Response::new(body);
    if is_grpc {
        response.headers_mut().insert(CONTENT_TYPE, "application/grpc".parse().unwrap());
    }
    Ok(response)
}

/// An empty message, and this status.
fn said(code: &'static str) -> Answer {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    let message = Frame::data(Bytes::from_static(&[0; 5]));
    StreamBody::new(stream::iter([Ok(message), Ok(Frame::trailers(trailers))])).boxed_unsync()
}

async fn took(request: Request<Incoming>) -> Result<Response<Answer>, Broken> {
    // Whoever sent it went away.
    let body = request.into_body().collect().await.map_err(|_| Broken)?.to_bytes();
    let whole = body.iter().enumerate().all(|(at, byte)| *byte == pattern(at));
    let response = Response::builder().header(TOOK, if whole { body.len() } else { usize::MAX });
    let body = Full::new(Bytes::from_static(b"well")).map_err(Into::into).boxed_unsync();
    Ok(response.body(body).unwrap())
}

/// What stands at this place of everything that is sent, so that a piece that is lost, or sent again, shows.
#[allow(clippy::cast_possible_truncation, reason = "the remainder is a byte")]
pub(crate) fn pattern(at: usize) -> u8 {
    (at % 251) as u8
}
