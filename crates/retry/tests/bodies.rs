//! Bodies that people send, sent again.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{convert::Infallible, fmt::Debug};

use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, channel::Channel};
use palisade_core::BoxError;
use palisade_retry::ReplayBody;

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])
}

fn frames() -> [Frame<Bytes>; 4] {
    [
        Frame::data(Bytes::from("a")),
        Frame::data(Bytes::from("soup of the day".repeat(100))),
        Frame::data(Bytes::from("z")),
        Frame::trailers(trailers()),
    ]
}

fn streamed() -> impl Body<Data = Bytes, Error = Infallible> + Send + 'static {
    StreamBody::new(stream::iter(frames().map(Ok)))
}

/// Its frames, as they print.
async fn all<B: Body<Data = Bytes, Error: Debug> + Unpin>(mut body: B) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        all.push(format!("{:?}", frame.unwrap()));
    }
    all
}

/// Every copy is what the body alone is, wherever the copy before was cut off.
async fn is_sent_again<B>(new: impl Fn() -> B)
where
    B: Body<Data = Bytes, Error: Into<BoxError> + Debug>,
{
    let said = new().size_hint().exact();
    let expected = all(Box::pin(new())).await;
    for cut in 0..=expected.len() {
        let (mut copy, mut backup) = ReplayBody::new(new(), 64 * 1024);
        for _ in 0..2 {
            assert_eq!(copy.size_hint().exact(), said);
            for _ in 0..cut {
                copy.frame().await.unwrap().unwrap();
            }
            drop(copy);
            copy = backup.next().unwrap();
        }
        drop(backup);
        assert_eq!(all(copy).await, expected, "cut after {cut} frames");
    }
}

#[tokio::test]
async fn a_full_body() {
    is_sent_again(|| Full::<Bytes>::from("soup")).await;
    is_sent_again(Full::<Bytes>::default).await;
}

#[tokio::test]
async fn a_stream_with_trailers() {
    is_sent_again(streamed).await;
}

#[tokio::test]
async fn an_axum_body() {
    is_sent_again(|| axum::body::Body::from("soup")).await;
    is_sent_again(|| axum::body::Body::new(streamed())).await;
    is_sent_again(axum::body::Body::empty).await;
}

#[tokio::test]
async fn a_tonic_body() {
    is_sent_again(|| tonic::body::Body::new(streamed())).await;
    is_sent_again(tonic::body::Body::empty).await;
}

#[tokio::test]
async fn a_channel_that_is_still_being_written() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    let (mut first, mut backup) = ReplayBody::new(body, 64 * 1024);
    let writer = tokio::spawn(async move {
        for frame in frames() {
            sender.send(frame).await.unwrap();
        }
    });
    first.frame().await.unwrap().unwrap();
    // It waits for the second frame, or has it, and is dropped in the middle of that.
    drop(tokio_test::task::spawn(first.frame()).poll());
    drop(first);
    let second = backup.next().unwrap();
    assert_eq!(all(second).await, all(Box::pin(streamed())).await);
    writer.await.unwrap();
}

#[tokio::test]
async fn an_upload_that_its_client_aborts_is_not_begun_again() {
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(2);
    let (mut first, mut backup) = ReplayBody::new(body, 64 * 1024);
    sender.send_data(Bytes::from("so")).await.unwrap();
    sender.abort("gone".into());
    first.frame().await.unwrap().unwrap();
    assert_eq!(first.frame().await.unwrap().unwrap_err().to_string(), "gone");
    drop(first);
    assert!(backup.is_lost());
    assert!(backup.next().is_none());
}
