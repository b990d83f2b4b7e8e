//! What is known only at the end of a body.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use palisade_breaker::{BreakerLayer, State, Trip};
use tokio::time::advance;
use tower::{Layer, ServiceExt, service_fn};

use crate::{SECOND, grpc, opened, policy, send};

/// A gRPC answer with this status in its trailers.
fn trailing(
    status: &'static str,
) -> Response<impl http_body::Body<Data = Bytes, Error = Infallible>> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    let frames = [Frame::data(Bytes::from_static(b"message")), Frame::trailers(trailers)];
    Response::new(StreamBody::new(stream::iter(frames.map(Ok))))
}

/// Trap 14.
#[tokio::test(start_paused = true)]
async fn a_status_in_trailers_is_counted_when_the_body_ends() {
    let layer = BreakerLayer::new(policy());
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(trailing("14")));
    for _ in 0..2 {
        assert_eq!(layer.handle().state(), State::Closed);
        let answer = layer.layer(inner).oneshot(grpc()).await.unwrap();
        answer.into_body().collect().await.unwrap();
    }
    assert_eq!(layer.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_to_its_end_says_nothing() {
    let layer = BreakerLayer::new(policy());
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(trailing("14")));
    for _ in 0..9 {
        drop(layer.layer(inner).oneshot(grpc()).await.unwrap());
    }
    let stats = layer.handle().stats();
    assert_eq!((stats.state, stats.calls, stats.ignored), (State::Closed, 0, 9));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_streams_for_longer_than_its_lease_has_passed() {
    let (layer, switch) = opened().await;
    advance(5 * SECOND).await;
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(trailing("0")));
    let streaming = layer.layer(inner).oneshot(grpc()).await.unwrap();
    assert_eq!(switch.state(), State::HalfOpen);
    assert_eq!(send(&layer, 200).await.status(), 503, "it is not over");
    advance(31 * SECOND).await;
    assert_eq!(send(&layer, 200).await.status(), 200);
    assert_eq!(switch.state(), State::Closed);
    drop(streaming);
    assert_eq!(switch.stats().late, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_as_slow_as_its_head() {
    let slow = Trip::slow(SECOND, 0.5).min(1);
    let layer = BreakerLayer::new(slow);
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(trailing("0")));
    let streaming = layer.layer(inner).oneshot(grpc()).await.unwrap();
    advance(60 * SECOND).await;
    streaming.into_body().collect().await.unwrap();
    assert_eq!(layer.handle().state(), State::Closed);
    assert_eq!(layer.handle().stats().calls, 1);

    let inner = service_fn(async |_: Request<()>| {
        tokio::time::sleep(SECOND).await;
        Ok::<_, Infallible>(trailing("0"))
    });
    let streaming = layer.layer(inner).oneshot(grpc()).await.unwrap();
    streaming.into_body().collect().await.unwrap();
    assert_eq!(layer.handle().state(), State::Open);
}
