//! Time limits in a tonic server and around a tonic client, over real sockets.
//!
//! tonic has timers of its own on either side, which answer `CANCELLED`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Full};
use palisade::{
    limit_concurrency::{InFlight, LimitConcurrencyLayer},
    timeout::{Timeout, TimeoutLayer, Timeouts},
};
use palisade_testkit::{
    Gate,
    grpc::{CountReply, CountRequest, Echo, EchoClient, EchoServer, SayRequest},
    sockets::{Client, Server, eventually},
};
use prost::Message;
use tonic::{
    Code, Status, Streaming,
    transport::{self, Channel, Endpoint, server::TcpIncoming},
};
use tower::{Layer, ServiceBuilder};

/// What most tests wait out.
const LIMIT: Duration = Duration::from_millis(200);

/// What none does.
const LONG: Duration = Duration::from_secs(60);

/// How often a race is run that must always have the same winner.
const OFTEN: usize = 50;

const SAY: &str = "/palisade.echo.v1.Echo/Say";
const COUNT: &str = "/palisade.echo.v1.Echo/Count";

/// A server whose held calls are held for ever, and what is going on in it.
fn served_and_watched(layer: TimeoutLayer) -> (Server, Timeouts, InFlight) {
    let (timeouts, limit) = (layer.handle(), LimitConcurrencyLayer::new(1024));
    let in_flight = limit.handle();
    let echo = EchoServer::new(Echo::new(Gate::new()));
    let server = Server::start(|listener| {
        transport::Server::builder()
            .layer(ServiceBuilder::new().layer(layer).layer(limit))
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    });
    (server, timeouts, in_flight)
}

fn served(layer: TimeoutLayer) -> (Server, Timeouts) {
    let (server, timeouts, _) = served_and_watched(layer);
    (server, timeouts)
}

/// One without any limit, but for tonic's own timer.
fn bare() -> Server {
    let echo = EchoServer::new(Echo::new(Gate::new()));
    Server::start(|listener| {
        transport::Server::builder()
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    })
}

fn channel(server: &Server) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.address())).unwrap().connect_lazy()
}

fn client(server: &Server) -> EchoClient<Channel> {
    EchoClient::new(channel(server))
}

fn limited(server: &Server, layer: &TimeoutLayer) -> EchoClient<Timeout<Channel>> {
    EchoClient::new(layer.layer(channel(server)))
}

fn say() -> SayRequest {
    SayRequest { text: "hello".into(), ..SayRequest::default() }
}

fn held() -> SayRequest {
    SayRequest { held: true, ..say() }
}

/// A call whose client waits this long for its answer.
fn waiting<T>(message: T, timeout: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(timeout);
    request
}

fn is_timeout(status: &Status) {
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let message = "The answer did not come in the time allowed for this request.";
    assert!(status.message().starts_with(message), "{status:?}");
}

/// Three numbers, and what the stream ends with.
async fn count_to_the_end(mut numbers: Streaming<CountReply>) -> Status {
    for number in 1..=3 {
        assert_eq!(numbers.message().await.unwrap().unwrap().number, number);
    }
    numbers.message().await.unwrap_err()
}

/// What a client sees that has no timers of its own: the head of a trailers-only answer.
async fn call_raw(client: &Client, grpc_timeout: &str) -> HeaderMap {
    let message = held().encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let request = Request::post(SAY)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", grpc_timeout)
        .body(Full::new(Bytes::from(framed)))
        .unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let (head, body) = response.into_parts();
    assert!(body.collect().await.unwrap().to_bytes().is_empty());
    head.headers
}

#[tokio::test]
async fn a_method_that_hangs_is_given_up_and_its_connection_kept() {
    let (server, timeouts) = served(TimeoutLayer::server(LIMIT));
    let mut client = client(&server);
    for _ in 0..2 {
        is_timeout(&client.say(held()).await.unwrap_err());
        assert_eq!(client.say(say()).await.unwrap().into_inner().text, "hello");
    }
    assert_eq!(timeouts.timed_out(), 2);
}

#[tokio::test]
async fn a_client_cannot_make_a_server_wait_for_longer() {
    let (server, timeouts) = served(TimeoutLayer::server(LIMIT));
    is_timeout(&client(&server).say(waiting(held(), LONG)).await.unwrap_err());
    assert_eq!(timeouts.timed_out(), 1);
}

/// Nobody can say so to the client sooner than its own transport, whose timer was set first; unless the
/// client was slow to look.
#[tokio::test]
async fn a_client_that_waits_for_less_than_a_server_hears_of_its_own_timer() {
    let (server, _, in_flight) = served_and_watched(TimeoutLayer::server(LONG));
    let status = client(&server).say(waiting(held(), LIMIT)).await.unwrap_err();
    assert!(matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded), "{status:?}");
    // Nor does the server go on.
    eventually(|| (in_flight.admitted(), in_flight.in_flight()) == (1, 0)).await;
}

/// tonic's own timer in the server is set to the same time, and later.
#[tokio::test]
async fn a_server_answers_before_tonic_does() {
    let (server, timeouts) = served(TimeoutLayer::server(LONG));
    let client = Client::connect(&server, Version::HTTP_2).await;
    for answered in 1..=OFTEN {
        let headers = call_raw(&client, "20m").await;
        assert_eq!(headers["grpc-status"], "4", "{headers:?}");
        assert_eq!(timeouts.timed_out(), answered as u64);
    }
}

#[tokio::test]
async fn a_grpc_timeout_that_is_none_is_as_if_it_were_not_there() {
    let (server, timeouts) = served(TimeoutLayer::server(LIMIT));
    let client = Client::connect(&server, Version::HTTP_2).await;
    for (answered, invalid) in ["+5S", "123456789n", "1s", "0.1S", "soon"].iter().enumerate() {
        let headers = call_raw(&client, invalid).await;
        assert_eq!(headers["grpc-status"], "4", "{headers:?}");
        assert_eq!((timeouts.timed_out(), timeouts.expired()), (answered as u64 + 1, 0));
    }
}

#[tokio::test]
async fn a_call_for_which_nobody_waits_any_more_is_not_begun() {
    let (server, timeouts) = served(TimeoutLayer::server(LONG));
    let client = Client::connect(&server, Version::HTTP_2).await;
    let headers = call_raw(&client, "0n").await;
    assert_eq!(headers["grpc-status"], "4", "{headers:?}");
    assert_eq!((timeouts.timed_out(), timeouts.expired()), (0, 1));
}

#[tokio::test]
async fn a_stream_that_a_server_cuts_off_says_why() {
    let (server, timeouts) = served(TimeoutLayer::server(LIMIT));
    let mut client = client(&server);
    let numbers = client.count(CountRequest { to: 3, held: true }).await.unwrap().into_inner();
    let status = count_to_the_end(numbers).await;
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    let message = "The answer did not end in the time allowed for this request.";
    assert!(status.message().starts_with(message), "{status:?}");
    assert_eq!((timeouts.timed_out(), timeouts.cut()), (0, 1));
    // The connection is none the worse.
    assert_eq!(client.say(say()).await.unwrap().into_inner().text, "hello");
}

#[tokio::test]
async fn a_stream_that_a_client_cuts_off_says_why() {
    let server = bare();
    for layer in [TimeoutLayer::client(3 * LIMIT), TimeoutLayer::client(3 * LIMIT).forward()] {
        let mut client = limited(&server, &layer);
        let numbers = client.count(CountRequest { to: 3, held: true }).await.unwrap().into_inner();
        let status = count_to_the_end(numbers).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        assert_eq!(client.say(say()).await.unwrap().into_inner().text, "hello");
    }
}

#[tokio::test]
async fn each_method_may_have_a_limit_of_its_own() {
    let by_method =
        TimeoutLayer::server(LONG).by(|head| (head.uri().path() == COUNT).then_some(LIMIT));
    let (server, timeouts) = served(by_method);
    let mut client = client(&server);
    let numbers = client.count(CountRequest { to: 3, held: true }).await.unwrap().into_inner();
    assert_eq!(count_to_the_end(numbers).await.code(), Code::DeadlineExceeded);
    let waits = tokio::time::timeout(2 * LIMIT, client.say(held())).await;
    waits.unwrap_err();
    assert_eq!((timeouts.timed_out(), timeouts.cut()), (0, 1));
}

/// A client's limit of 20 milliseconds, run out of often.
async fn is_always_deadline_exceeded(layer: TimeoutLayer, wire: Option<Duration>) {
    let server = bare();
    let mut client = limited(&server, &layer);
    for timed_out in 1..=OFTEN {
        let mut request = tonic::Request::new(held());
        if let Some(timeout) = wire {
            request.set_timeout(timeout);
        }
        let status = client.say(request).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{timed_out}: {status:?}");
    }
}

const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_client_gives_up() {
    is_always_deadline_exceeded(TimeoutLayer::client(SHORT), None).await;
}

#[tokio::test]
async fn a_client_that_tells_the_server_gives_up() {
    is_always_deadline_exceeded(TimeoutLayer::client(SHORT).forward(), None).await;
}

#[tokio::test]
async fn a_caller_that_waits_for_less_than_a_client_gives_up() {
    is_always_deadline_exceeded(TimeoutLayer::client(LONG), Some(SHORT)).await;
    is_always_deadline_exceeded(TimeoutLayer::client(LONG).forward(), Some(SHORT)).await;
}

#[tokio::test]
async fn a_caller_that_waits_for_longer_than_a_client_is_given_up_on() {
    is_always_deadline_exceeded(TimeoutLayer::client(SHORT), Some(LONG)).await;
    is_always_deadline_exceeded(TimeoutLayer::client(SHORT).forward(), Some(LONG)).await;
}

#[tokio::test]
async fn a_caller_and_a_client_that_wait_equally_long_give_up() {
    is_always_deadline_exceeded(TimeoutLayer::client(SHORT), Some(SHORT)).await;
    is_always_deadline_exceeded(TimeoutLayer::client(SHORT).forward(), Some(SHORT)).await;
}

#[tokio::test]
async fn a_call_that_a_client_gives_up_ends_in_the_server() {
    for layer in [TimeoutLayer::client(LIMIT), TimeoutLayer::client(LIMIT).forward()] {
        let (server, _, in_flight) = served_and_watched(TimeoutLayer::server(LONG));
        let status = limited(&server, &layer).say(held()).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        eventually(|| (in_flight.admitted(), in_flight.in_flight()) == (1, 0)).await;
    }
}
