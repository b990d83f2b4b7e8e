//! A rate for each API key: `cargo run --example 03_key_from_a_header`.
//!
//! Each tenant may ask twice a minute, and three times an hour. Look for who is refused: red, who asked
//! three times, and not blue. The headers say what is left and when to come back, of the window that
//! matters most first; who waits as long is let in. After half a minute that is the hour's, of which
//! what the minute refused was not taken. Those who show no key share one bucket in each window, unless
//! the layer is told to refuse them.
//!
//! It prints:
//!
//! ```text
//! red:  200 OK, ratelimit: "minute";r=1;t=30, "hour";r=2;t=1200
//! red:  200 OK, ratelimit: "minute";r=0;t=30, "hour";r=1;t=1200
//! red:  429 Too Many Requests, ratelimit: "minute";r=0;t=30, "hour";r=1, retry-after: 30
//!       violated-policies: ["minute"]
//! blue: 200 OK, ratelimit: "minute";r=1;t=30, "hour";r=2;t=1200
//! none: 200 OK, ratelimit: "minute";r=1;t=30, "hour";r=2;t=1200
//! 30 s later
//! red:  200 OK, ratelimit: "hour";r=0;t=1170, "minute";r=0;t=30
//! red:  429 Too Many Requests, ratelimit: "hour";r=0;t=1170, "minute";r=0;t=30, retry-after: 1170
//!       violated-policies: ["minute", "hour"]
//! none: 400 Bad Request, for key-missing
//! refused 2, and 1 without a key
//! ```
#![allow(clippy::print_stdout, reason = "an example")]

use std::{convert::Infallible, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use palisade::{
    Rejection,
    key::{HeaderKey, Missing},
    limit_rate::{LimitRateLayer, Quota, RateLimitHeaders},
};
use tower::{ServiceBuilder, ServiceExt};

const TWICE_A_MINUTE: Quota = Quota::per_minute(NonZeroU32::new(2).unwrap());
const THREE_AN_HOUR: Quota = Quota::per_hour(NonZeroU32::new(3).unwrap());

// Time stands still but for `advance`, so that the half minute is short.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Infallible> {
    let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
    let layer = LimitRateLayer::new(TWICE_A_MINUTE, api_key)
        .with_name("minute")
        .with_quota("hour", THREE_AN_HOUR)
        .with_headers(RateLimitHeaders::Draft);
    let buckets = layer.handle();
    let service = ServiceBuilder::new().layer(layer.clone()).service_fn(hello);

    for tenant in ["red", "red", "red", "blue"] {
        show(tenant, &service.clone().oneshot(from(tenant)).await?);
    }
    show("none", &service.clone().oneshot(Request::new(())).await?);

    println!("30 s later");
    tokio::time::advance(Duration::from_secs(30)).await;
    for tenant in ["red", "red"] {
        show(tenant, &service.clone().oneshot(from(tenant)).await?);
    }

    let strict = ServiceBuilder::new().layer(layer.with_missing(Missing::Reject)).service_fn(hello);
    let refused = strict.oneshot(Request::new(())).await?;
    let why = Rejection::of(&refused).expect("it has no key").reason();
    println!("none: {}, for {why}", refused.status());
    println!("refused {}, and {} without a key", buckets.refused(), buckets.keyless());
    Ok(())
}

fn from(tenant: &str) -> Request<()> {
    Request::get("/").header("x-api-key", tenant).body(()).expect("valid")
}

fn show<B>(tenant: &str, response: &Response<B>) {
    print!("{:<6}{}", format!("{tenant}:"), response.status());
    for name in ["ratelimit", "retry-after"] {
        if let Some(value) = response.headers().get(name) {
            print!(", {name}: {}", value.to_str().expect("it is ASCII"));
        }
    }
    println!();
    // The same is in the problem document, for the client's program.
    for (name, windows) in Rejection::of(response).iter().flat_map(|refusal| refusal.members()) {
        println!("      {name}: {windows:?}");
    }
}

async fn hello(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}
