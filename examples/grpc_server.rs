//! A tonic server with all that a server needs: `cargo run --example grpc_server`.
//!
//! `health → timeout → limit-concurrency → limit-rate → service`, and a client in the same program that
//! provokes each of them. Look at what it is told: gRPC statuses that any client understands, some with a
//! time to come back after. On the same port `grpc.health.v1.Health` is answered, and the probes of
//! Kubernetes too, without a service of tonic's for either.
//!
//! It prints:
//!
//! ```text
//! hello
//! as red: hello
//! as red: hello
//! as red: ResourceExhausted: You have sent too many requests. Please try again later. (come back later)
//! with two in flight: ResourceExhausted: This service is handling as many requests as it can. Please try again soon. (come back later)
//! /readyz: 200 OK, pass
//! while it shuts down: Unavailable: This instance is shutting down. Please try again: another one will answer. (come back later)
//! /readyz: 503 Service Unavailable, fail
//! /livez: 200 OK, pass
//! in flight: hello, hello
//! drained, and gone
//! ```
#![allow(clippy::print_stdout, reason = "an example")]

use std::{error::Error, net::Ipv4Addr, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use palisade::{
    health::{Health, HealthLayer},
    key::{HeaderKey, Missing},
    limit_concurrency::LimitConcurrencyLayer,
    limit_rate::{LimitRateLayer, Quota},
    timeout::TimeoutLayer,
};
use palisade_testkit::{
    Gate,
    grpc::{Echo, EchoClient, EchoServer, SayRequest},
};
use tokio::{join, net::TcpListener, task::yield_now};
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};

const TWICE_AN_HOUR: Quota = Quota::per_hour(NonZeroU32::new(2).unwrap());

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let health = Health::new();
    let api_key = HeaderKey::new(HeaderName::from_static("x-api-key"));
    let gate = Gate::new();
    let server = Server::builder()
        .layer(HealthLayer::new(&health))
        .layer(TimeoutLayer::server(Duration::from_secs(1)))
        .layer(LimitConcurrencyLayer::new(2))
        .layer(LimitRateLayer::new(TWICE_AN_HOUR, api_key).with_missing(Missing::Skip))
        .add_service(EchoServer::new(Echo::new(gate.clone())));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let drained = health.clone();
    let stop = async move { drained.drained().await };
    let serving =
        tokio::spawn(server.serve_with_incoming_shutdown(TcpIncoming::from(listener), stop));

    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let client = EchoClient::new(channel);
    let probe = async |path: &str| {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let request = Request::get(format!("http://{address}{path}")).body(Empty::<Bytes>::new())?;
        let (head, body) = client.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        println!("{path}: {}, {}", head.status, String::from_utf8_lossy(&body).trim());
        Ok::<_, Box<dyn Error>>(())
    };

    println!("{}", say(&client, None, false).await);
    for _ in 0..3 {
        println!("as red: {}", say(&client, Some("red"), false).await);
    }
    let held = async { join!(say(&client, None, true), say(&client, None, true)) };
    let meanwhile = async {
        while health.in_flight() < 2 {
            yield_now().await;
        }
        println!("with two in flight: {}", say(&client, None, false).await);
        probe("/readyz").await?;
        // From now on what is new is refused, and those two are waited for.
        health.drain(Duration::ZERO);
        println!("while it shuts down: {}", say(&client, None, false).await);
        probe("/readyz").await?;
        probe("/livez").await?;
        gate.open();
        Ok::<_, Box<dyn Error>>(())
    };
    let ((one, other), meanwhile) = join!(held, meanwhile);
    meanwhile?;
    println!("in flight: {one}, {other}");
    drop(client);
    serving.await??;
    println!("drained, and gone");
    Ok(())
}

/// What the server says, or why not.
async fn say(client: &EchoClient<Channel>, key: Option<&'static str>, held: bool) -> String {
    let mut request =
        tonic::Request::new(SayRequest { text: "hello".into(), held, ..SayRequest::default() });
    if let Some(key) = key {
        request
            .metadata_mut()
            .insert("x-api-key", tonic::metadata::MetadataValue::from_static(key));
    }
    match client.clone().say(request).await {
        Ok(reply) => reply.into_inner().text,
        Err(status) => {
            let back = status.metadata().contains_key("grpc-retry-pushback-ms");
            let later = if back { " (come back later)" } else { "" };
            format!("{:?}: {}{later}", status.code(), status.message())
        }
    }
}
