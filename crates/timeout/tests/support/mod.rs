//! What the tests of this crate share.
#![allow(dead_code, reason = "each test uses a part")]

pub(crate) mod bodies;

use std::{future::Future, time::Duration};

use http::{Request, Response};
use palisade_testkit::{Probe, ProbeBody, ProbeError};
use palisade_timeout::{ResponseBody, TimeoutLayer};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn get() -> Request<()> {
    Request::new(())
}

pub(crate) fn with(headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

pub(crate) fn grpc(headers: &[(&str, &str)]) -> Request<()> {
    let mut request = with(headers);
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    request
}

pub(crate) async fn call(
    layer: &TimeoutLayer,
    probe: Probe,
    request: Request<()>,
) -> Result<Response<ResponseBody<ProbeBody>>, ProbeError> {
    layer.layer(probe).oneshot(request).await
}

pub(crate) fn since(began: Instant) -> Duration {
    began.elapsed()
}

/// What comes of a future, and how long it took.
pub(crate) async fn passed<F: Future>(future: F) -> (F::Output, Duration) {
    let began = Instant::now();
    (future.await, began.elapsed())
}
