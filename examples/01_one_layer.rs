//! One layer over a closure: `cargo run --example 01_one_layer`.
//!
//! Three requests arrive at once at a service that allows two. Look for who is refused, and for
//! what frees a place: not the head of a response, but the end of its body.
//!
//! It prints:
//!
//! ```text
//! at once:   200 OK, 200 OK, 429 Too Many Requests
//! the third: at-capacity, come back in Some(1s)
//! in flight: 2 of 2, though both heads are there
//! in flight: 1 of 2, after one body was read
//! next:      200 OK
//! admitted 3, refused 1
//! ```

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use palisade::{Rejection, limit_concurrency::LimitConcurrencyLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "an example")]
async fn main() -> Result<(), Infallible> {
    let layer = LimitConcurrencyLayer::new(2);
    let in_flight = layer.handle();
    let service = ServiceBuilder::new().layer(layer).service(service_fn(hello));

    let ask = || service.clone().oneshot(Request::new(()));
    let (first, second, third) = tokio::try_join!(ask(), ask(), ask())?;
    println!("at once:   {}, {}, {}", first.status(), second.status(), third.status());

    let rejection = Rejection::of(&third).expect("the third is one too many");
    println!("the third: {}, come back in {:?}", rejection.reason(), rejection.retry_after());

    println!(
        "in flight: {} of {}, though both heads are there",
        in_flight.in_flight(),
        in_flight.max()
    );
    first.into_body().collect().await?;
    println!(
        "in flight: {} of {}, after one body was read",
        in_flight.in_flight(),
        in_flight.max()
    );

    println!("next:      {}", ask().await?.status());
    println!("admitted {}, refused {}", in_flight.admitted(), in_flight.rejected());
    drop(second);
    Ok(())
}

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}
