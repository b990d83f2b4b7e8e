//! Watching a layer: its handle and its log. `cargo run --example 06_watch_it`.
//!
//! A thousand requests meet a service that has room for none. Look for the handle's counters, which
//! are the metrics, and for the log: one line at `warn` for the whole flood. With `RUST_LOG=debug`
//! there is a line for each refusal. The id is the one the client was given: the request's own, if it
//! has one.
//!
//! It prints:
//!
//! ```text
//! WARN palisade: Requests refused layer="limit-concurrency" refused=1 over=0ns last_reason=at-capacity last_id=00000000-0000-4000-8000-00000000002a
//! WARN palisade: Requests refused layer="limit-concurrency" refused=1000 over=10s last_reason=at-capacity last_id=00000000-0000-4000-8000-00000000002a
//! in flight 0 of 0, admitted 0, refused 1001
//! in flight 1 of 8, admitted 1, refused 1001
//! ```

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use palisade::limit_concurrency::{InFlight, LimitConcurrencyLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tracing_subscriber::EnvFilter;

// Time stands still but for `advance`, so that the ten seconds between two summaries are short.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Infallible> {
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .without_time()
        .with_ansi(false)
        .with_writer(io::stdout)
        .init();

    let layer = LimitConcurrencyLayer::new(0);
    let in_flight = layer.handle();
    let service = ServiceBuilder::new().layer(layer).service(service_fn(hello));
    let ask = || {
        let id = "00000000-0000-4000-8000-00000000002a";
        let request = Request::get("/").header("x-request-id", id).body(()).expect("it is valid");
        service.clone().oneshot(request)
    };

    for _ in 0..1_000 {
        ask().await?;
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    ask().await?;
    show(&in_flight);

    in_flight.set_max(8);
    let _admitted = ask().await?;
    show(&in_flight);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "an example")]
fn show(limit: &InFlight) {
    let (now, max) = (limit.in_flight(), limit.max());
    println!(
        "in flight {now} of {max}, admitted {}, refused {}",
        limit.admitted(),
        limit.rejected()
    );
}

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}
