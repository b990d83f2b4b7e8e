//! Two layers, and why their order matters: `cargo run --example 02_two_layers`.
//!
//! A service has room for one request, and two seconds for it. It is asked for what never comes. Look
//! for the place: with the limit outside of the timeout, the refusal keeps it until its client has
//! read it, and the next is turned away. The other way round it is free when the refusal is there, as
//! when a body is cut off. A caller who says how long it waits is answered by then.
//!
//! It prints:
//!
//! ```text
//! limit outside:   503 Service Unavailable after 2s, in flight 1, the next: 429 Too Many Requests
//! timeout outside: 503 Service Unavailable after 2s, in flight 0, the next: 200 OK
//! a late body:     200 OK, in flight 1; cut off after 2s, in flight 0
//! grpc-timeout:    503 Service Unavailable after 500ms
//! ```
#![allow(clippy::print_stdout, reason = "an example")]

use std::{convert::Infallible, future::pending, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, Pending};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use palisade::{
    limit_concurrency::{InFlight, LimitConcurrencyLayer},
    timeout::TimeoutLayer,
};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt};

type Late = StreamBody<Pending<Result<Frame<Bytes>, Infallible>>>;

// Time stands still until everybody waits, then it leaps: the seconds are short.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Infallible> {
    let timeout = TimeoutLayer::server(Duration::from_secs(2));
    let limit = LimitConcurrencyLayer::new(1);
    let in_flight = limit.handle();
    let other_way = ServiceBuilder::new().layer(limit).layer(timeout.clone()).service_fn(serve);
    overrun("limit outside:   ", other_way, &in_flight).await?;

    let limit = LimitConcurrencyLayer::new(1);
    let in_flight = limit.handle();
    let service = ServiceBuilder::new().layer(timeout).layer(limit).service_fn(serve);
    overrun("timeout outside: ", service.clone(), &in_flight).await?;

    let start = Instant::now();
    let response = service.clone().oneshot(get("/")).await?;
    print!("a late body:     {}, in flight {}; ", response.status(), in_flight.in_flight());
    response.into_body().collect().await.expect_err("it is cut off");
    println!("cut off after {:?}, in flight {}", start.elapsed(), in_flight.in_flight());

    let start = Instant::now();
    let hurried = Request::get("/never").header("grpc-timeout", "500m").body(()).expect("valid");
    let status = service.oneshot(hurried).await?.status();
    println!("grpc-timeout:    {status} after {:?}", start.elapsed());
    Ok(())
}

/// Asks for what never comes, and for something else while the refusal is not read.
async fn overrun<S, B>(order: &str, service: S, in_flight: &InFlight) -> Result<(), Infallible>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    let start = Instant::now();
    let unread = service.clone().oneshot(get("/never")).await?;
    let (status, took, held) = (unread.status(), start.elapsed(), in_flight.in_flight());
    let next = service.oneshot(get("/")).await?.status();
    println!("{order}{status} after {took:?}, in flight {held}, the next: {next}");
    Ok(())
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).expect("valid")
}

/// Never answers, or with a body that never comes.
async fn serve(request: Request<()>) -> Result<Response<Late>, Infallible> {
    if request.uri() == "/never" {
        pending::<()>().await;
    }
    Ok(Response::new(StreamBody::new(stream::pending())))
}
