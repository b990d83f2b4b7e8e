//! A tonic client that tries again, and knows when to stop: `cargo run --example grpc_client`.
//!
//! A generated client over `timeout → retry → breaker → limit → timeout`, and in the same program a server
//! that does as it is told. Look at how often that was called for what was asked: again where the method may
//! be called twice, once where it may not, and not at all once the breaker has seen enough. Whoever ends a
//! call, a layer or the server, the client is told by a gRPC status.
//!
//! It prints:
//!
//! ```text
//! is well         may not             1 calls, Ok
//! fails 2 times   may be called twice 3 calls, Ok
//! fails once      may not             1 calls, Unavailable: at lunch
//! does not answer may not             1 calls, DeadlineExceeded: The answer did not come in the time allowed for this request.
//! does not answer may be called twice 3 calls, DeadlineExceeded: The answer did not come in the time allowed for this request.
//! fails 9 times   may be called twice 1 calls, Unavailable: What this service depends on is not well at the moment. Please try again later.
//! is well         may be called twice 0 calls, Unavailable: What this service depends on is not well at the moment. Please try again later.
//! tried again 5 times, 1 with success
//! circuit Open, refused 2
//! ```
#![allow(clippy::print_stdout, reason = "an example")]

use std::{
    error::Error,
    net::Ipv4Addr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::stream::{Empty, empty};
use palisade::{
    Backoff,
    breaker::{Breaker, BreakerLayer, Policy, Trip},
    limit_concurrency::{LimitConcurrency, LimitConcurrencyLayer},
    retry::{Retry, RetryBody, RetryLayer, RetryPolicy, TransientClassifier},
    timeout::{Timeout, TimeoutLayer},
};
use palisade_testkit::grpc::{
    CountReply, CountRequest, EchoClient, EchoServer, SayReply, SayRequest, echo_server::Echo,
};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::ServiceBuilder;

/// What a generated client is made of. Each layer's service can be written down.
type Stack = Timeout<
    Retry<
        Breaker<LimitConcurrency<Timeout<Channel>>>,
        TransientClassifier,
        fn(RetryBody<Body>) -> Body,
    >,
>;

const ATTEMPT: Duration = Duration::from_millis(100);
const TOTAL: Duration = Duration::from_secs(2);

/// The layers of one upstream, in their order: clones of them share their budget, circuit and limit.
struct Layers {
    retry: RetryLayer<TransientClassifier, fn(RetryBody<Body>) -> Body>,
    breaker: BreakerLayer,
    limit: LimitConcurrencyLayer,
}

impl Layers {
    fn new() -> Self {
        let policy = RetryPolicy::grpc()
            .idempotent(["palisade.echo.v1.Echo/Say"])
            .backoff(Backoff::constant(Duration::from_millis(1)));
        let trip = Policy::new(Trip::consecutive(6));
        Self {
            retry: RetryLayer::new(policy).with_body(Body::new),
            breaker: BreakerLayer::new(trip),
            limit: LimitConcurrencyLayer::new(64),
        }
    }

    fn client(&self, channel: Channel) -> EchoClient<Stack> {
        EchoClient::new(
            ServiceBuilder::new()
                // How long a call may take in all. Shared, so that the retry knows.
                .layer(TimeoutLayer::client(TOTAL).shared())
                .layer(self.retry.clone())
                // Of each attempt by itself.
                .layer(self.breaker.clone())
                .layer(self.limit.clone())
                .layer(TimeoutLayer::client(ATTEMPT))
                .service(channel),
        )
    }
}

/// Does as it is told.
#[derive(Clone, Default)]
struct Told {
    mood: Arc<Mutex<Mood>>,
    calls: Arc<AtomicU32>,
}

#[derive(Clone, Copy, Default)]
enum Mood {
    #[default]
    Well,
    /// So many calls fail.
    Failing(u32),
    Silent,
}

impl Told {
    async fn answer(&self) -> Result<(), Status> {
        self.calls.fetch_add(1, Relaxed);
        let mood = {
            let mut mood = self.mood.lock().expect("nobody panics");
            let now = *mood;
            if let Mood::Failing(left) = &mut *mood {
                *left = left.saturating_sub(1);
            }
            now
        };
        match mood {
            Mood::Well | Mood::Failing(0) => Ok(()),
            Mood::Failing(_) => Err(Status::unavailable("at lunch")),
            Mood::Silent => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl Echo for Told {
    async fn say(&self, asked: Request<SayRequest>) -> Result<Response<SayReply>, Status> {
        self.answer().await?;
        Ok(Response::new(SayReply { text: asked.into_inner().text }))
    }

    type CountStream = Pin<Box<Empty<Result<CountReply, Status>>>>;

    async fn count(&self, _: Request<CountRequest>) -> Result<Response<Self::CountStream>, Status> {
        self.answer().await?;
        Ok(Response::new(Box::pin(empty())))
    }
}

/// Calls once while the server is in this mood, and tells what came of it.
async fn call(client: &mut EchoClient<Stack>, told: &Told, mood: Mood, twice: bool) {
    *told.mood.lock().expect("nobody panics") = mood;
    let before = told.calls.load(Relaxed);
    let outcome = if twice {
        client.say(SayRequest::default()).await.map(drop)
    } else {
        client.count(CountRequest::default()).await.map(drop)
    };
    let server = match mood {
        Mood::Well => "is well".to_owned(),
        Mood::Failing(1) => "fails once".to_owned(),
        Mood::Failing(times) => format!("fails {times} times"),
        Mood::Silent => "does not answer".to_owned(),
    };
    let method = if twice { "may be called twice" } else { "may not" };
    let (code, line) = match &outcome {
        Ok(()) => (Code::Ok, ""),
        Err(status) => (status.code(), status.message()),
    };
    let calls = told.calls.load(Relaxed) - before;
    let colon = if line.is_empty() { "" } else { ": " };
    println!("{server:16}{method:20}{calls} calls, {code:?}{colon}{line}");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let told = Told::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let server = Server::builder().add_service(EchoServer::new(told.clone()));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let layers = Layers::new();
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
    let mut client = layers.client(channel);

    call(&mut client, &told, Mood::Well, false).await;
    call(&mut client, &told, Mood::Failing(2), true).await;
    call(&mut client, &told, Mood::Failing(1), false).await;
    call(&mut client, &told, Mood::Silent, false).await;
    call(&mut client, &told, Mood::Silent, true).await;
    call(&mut client, &told, Mood::Failing(9), true).await;
    call(&mut client, &told, Mood::Well, true).await;

    let (retries, stats) = (layers.retry.handle(), layers.breaker.handle().stats());
    println!("tried again {} times, {} with success", retries.retried(), retries.recovered());
    println!("circuit {:?}, refused {}", layers.breaker.handle().state(), stats.refused);
    Ok(())
}
