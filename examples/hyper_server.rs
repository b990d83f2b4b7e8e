//! A server on hyper alone, with all that a server needs: `cargo run --example hyper_server`.
//!
//! `health → timeout → limit-concurrency → limit-rate → handler`, over HTTP/1.1 and HTTP/2, and a client in
//! the same program that provokes each of them. Look at the statuses and their reasons: each refusal is an
//! ordinary answer, and the probe is answered when nothing else is.
//!
//! It prints:
//!
//! ```text
//! /          200 OK hello
//! / as red   200 OK hello
//! / as red   200 OK hello
//! / as red   429 Too Many Requests quota-exceeded, come back later
//! /slow      503 Service Unavailable timed-out
//! /          429 Too Many Requests at-capacity, come back later
//! /readyz    200 OK pass
//! /          503 Service Unavailable shutting-down, come back later
//! /readyz    503 Service Unavailable fail
//! /livez     200 OK pass
//! /held      200 OK hello
//! /held      200 OK hello
//! drained
//! ```
#![allow(clippy::print_stdout, reason = "an example")]

use std::{
    convert::Infallible, error::Error, future::pending, net::Ipv4Addr, num::NonZeroU32,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use palisade::{
    health::{Health, HealthLayer},
    key::{HeaderKey, Missing},
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{LimitRateLayer, Quota},
    timeout::TimeoutLayer,
};
use tokio::{join, net::TcpListener, sync::Semaphore, task::yield_now};
use tower::{ServiceBuilder, service_fn};

/// Where `/held` waits until it is let go.
static GATE: Semaphore = Semaphore::const_new(0);

async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    match request.uri().path() {
        "/slow" => pending().await,
        "/held" => GATE.acquire().await.expect("it is never closed").forget(),
        _ => {}
    }
    Ok(Response::new(Full::from("hello\n")))
}

const TWICE_AN_HOUR: Quota = Quota::per_hour(NonZeroU32::new(2).unwrap());

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let health = Health::new();
    let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
    // Made once: the layers have the state, and each connection's clones of the service share it.
    let service = ServiceBuilder::new()
        .layer(HealthLayer::new(&health))
        .layer(TimeoutLayer::server(Duration::from_secs(1)))
        .layer(LimitConcurrencyLayer::new(2))
        .layer(LimitRateLayer::new(TWICE_AN_HOUR, api_key).with_missing(Missing::Skip))
        .service(service_fn(handler));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                server.serve_connection_with_upgrades(TokioIo::new(connection), service).await
            });
        }
    });

    let ask = async |path: &str, key: Option<&str>| {
        let mut request = Request::get(format!("http://{address}{path}"));
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        told(client.request(request.body(Full::<Bytes>::default())?).await?).await
    };
    println!("/          {}", ask("/", None).await?);
    for _ in 0..3 {
        println!("/ as red   {}", ask("/", Some("red")).await?);
    }
    println!("/slow      {}", ask("/slow", None).await?);

    let held = async { join!(ask("/held", None), ask("/held", None)) };
    let meanwhile = async {
        while health.in_flight() < 2 {
            yield_now().await;
        }
        println!("/          {}", ask("/", None).await?);
        println!("/readyz    {}", ask("/readyz", None).await?);
        // From now on what is new is refused, and those two are waited for.
        health.drain(Duration::ZERO);
        println!("/          {}", ask("/", None).await?);
        println!("/readyz    {}", ask("/readyz", None).await?);
        println!("/livez     {}", ask("/livez", None).await?);
        GATE.add_permits(2);
        Ok::<_, Box<dyn Error>>(())
    };
    let ((one, other), meanwhile) = join!(held, meanwhile);
    meanwhile?;
    println!("/held      {}\n/held      {}", one?, other?);
    health.drained().await;
    println!("drained");
    Ok(())
}

/// The status, and of a refusal its reason and when to come back.
async fn told(response: Response<Incoming>) -> Result<String, Box<dyn Error>> {
    let (head, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
    let reason = body.split_once("urn:palisade:").and_then(|(_, rest)| rest.split('"').next());
    let back = head.headers.contains_key("retry-after");
    Ok(match reason {
        Some(reason) => {
            format!("{} {reason}{}", head.status, if back { ", come back later" } else { "" })
        }
        None => format!("{} {}", head.status, body.trim()),
    })
}
