//! limit-concurrency in a tonic server and around a tonic client, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::net::SocketAddr;

use futures_util::future::{join, join_all};
use http::{Request, Response, Version};
use http_body::Body as _;
use http_body_util::Empty;
use palisade::limit_concurrency::{InFlight, LimitConcurrency, LimitConcurrencyLayer};
use palisade_testkit::{
    Gate,
    grpc::{CountRequest, Echo, EchoClient, EchoServer, SayRequest},
    sockets::{Client, Server, deaf, eventually},
};
use tonic::{
    Code, Status,
    body::Body,
    transport::{self, Channel, Endpoint, server::TcpIncoming},
};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

/// A server without any limit.
fn unlimited() -> (Server, Gate) {
    let gate = Gate::new();
    let echo = EchoServer::new(Echo::new(gate.clone()));
    let server = Server::start(|listener| {
        transport::Server::builder()
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    });
    (server, gate)
}

/// A server under a limit of `max`.
fn limited(max: usize) -> (Server, Gate, InFlight) {
    let (gate, layer) = (Gate::new(), LimitConcurrencyLayer::new(max));
    let in_flight = layer.handle();
    let echo = EchoServer::new(Echo::new(gate.clone()));
    let server = Server::start(|listener| {
        transport::Server::builder()
            .layer(layer)
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    });
    (server, gate, in_flight)
}

fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

fn client(server: &Server) -> EchoClient<Channel> {
    EchoClient::new(channel(server.address()))
}

fn say() -> SayRequest {
    SayRequest { text: "hello".into(), ..SayRequest::default() }
}

fn held() -> SayRequest {
    SayRequest { held: true, ..say() }
}

fn is_refusal(status: &Status) {
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(
        status.message(),
        "This service is handling as many requests as it can. Please try again soon."
    );
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "1000");
}

async fn settles_with(in_flight: &InFlight, admitted: u64, rejected: u64) {
    eventually(|| in_flight.in_flight() == 0).await;
    let counted = (in_flight.admitted(), in_flight.rejected());
    assert_eq!(counted, (admitted, rejected));
}

#[tokio::test]
async fn a_server_admits_all_but_one_over_all_connections() {
    const MAX: usize = 4;
    let (server, gate, in_flight) = limited(MAX);
    let clients = [client(&server), client(&server)];
    let calls = (0..=MAX).map(|call| {
        let mut client = clients[call % 2].clone();
        async move { client.say(held()).await }
    });
    let watch = async {
        eventually(|| in_flight.admitted() + in_flight.rejected() > MAX as u64).await;
        assert_eq!(in_flight.in_flight(), MAX);
        gate.open();
    };
    let (answers, ()) = join(join_all(calls), watch).await;
    let (admitted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((admitted.len(), refused.len()), (MAX, 1));
    is_refusal(refused[0].as_ref().unwrap_err());
    settles_with(&in_flight, MAX as u64, 1).await;
}

#[tokio::test]
async fn a_stream_holds_its_permit_until_its_end() {
    let (server, gate, in_flight) = limited(1);
    let mut client = client(&server);
    let counted = client.count(CountRequest { to: 3, held: true }).await;
    let mut numbers = counted.unwrap().into_inner();
    for number in 1..=3 {
        assert_eq!(numbers.message().await.unwrap().unwrap().number, number);
        is_refusal(&client.say(say()).await.unwrap_err());
    }
    gate.open();
    assert!(numbers.message().await.unwrap().is_none());
    settles_with(&in_flight, 1, 3).await;
    assert_eq!(client.say(say()).await.unwrap().into_inner().text, "hello");
}

#[tokio::test]
async fn a_streaming_call_is_refused_like_any_other() {
    let (server, _, in_flight) = limited(0);
    let refused = client(&server).count(CountRequest::default()).await;
    is_refusal(&refused.unwrap_err());
    settles_with(&in_flight, 0, 1).await;
}

#[tokio::test]
async fn a_refusal_is_a_head_and_nothing_else() {
    let (server, _, in_flight) = limited(0);
    let request = Request::post("/palisade.echo.v1.Echo/Say")
        .header("content-type", "application/grpc+proto")
        .body(Empty::new())
        .unwrap();
    let client = Client::connect(&server, Version::HTTP_2).await;
    let response = client.send(request).await.unwrap();
    assert!(response.body().is_end_stream());
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "8");
    assert!(!headers.contains_key("retry-after"));
    settles_with(&in_flight, 0, 1).await;
}

#[tokio::test]
async fn a_client_that_goes_away_frees_its_permit() {
    let (server, _gate, in_flight) = limited(1);
    // With the stream, in the middle of it …
    let mut first = client(&server);
    let counted = first.count(CountRequest { to: 1, held: true }).await;
    let mut numbers = counted.unwrap().into_inner();
    numbers.message().await.unwrap().unwrap();
    assert_eq!(in_flight.in_flight(), 1);
    drop(numbers);
    eventually(|| in_flight.in_flight() == 0).await;
    // … and with the connection, before there is an answer.
    let mut second = client(&server);
    let call = tokio::spawn(async move { second.say(held()).await });
    eventually(|| in_flight.in_flight() == 1).await;
    call.abort();
    eventually(|| in_flight.in_flight() == 0).await;
    first.say(say()).await.unwrap();
    settles_with(&in_flight, 3, 0).await;
}

#[tokio::test]
async fn a_method_that_panics_frees_its_permit() {
    let (server, _gate, in_flight) = limited(1);
    let mut client = client(&server);
    for _ in 0..2 {
        let panics = SayRequest { panics: true, ..say() };
        client.say(panics).await.unwrap_err();
        eventually(|| in_flight.in_flight() == 0).await;
    }
    client.say(say()).await.unwrap();
    settles_with(&in_flight, 3, 0).await;
}

#[tokio::test]
async fn a_servers_own_status_is_not_changed() {
    let (server, _gate, in_flight) = limited(1);
    let layer = LimitConcurrencyLayer::new(1);
    let mut client = EchoClient::new(layer.layer(channel(server.address())));
    for code in 1..=16 {
        let fails = SayRequest { code, ..say() };
        let status = client.say(fails).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code.into(), "hello"));
    }
    settles_with(&in_flight, 16, 0).await;
    settles_with(&layer.handle(), 16, 0).await;
}

/// The client as a struct holds it that can write its type down.
struct Named {
    echo: EchoClient<LimitConcurrency<Channel>>,
}

/// The transport as a struct holds it that cannot.
type Erased = BoxCloneSyncService<Request<Body>, Response<Body>, transport::Error>;

fn erased(layer: &LimitConcurrencyLayer, channel: Channel) -> Erased {
    let limited = layer.layer(channel);
    BoxCloneSyncService::new(limited.map_response(|response| response.map(Body::new)))
}

/// A client under a limit of 1, tried through its generated methods whatever its transport is.
macro_rules! holds_to_its_limit {
    ($client:expr, $gate:expr, $in_flight:expr) => {
        let (mut client, gate, in_flight) = ($client, $gate, $in_flight);
        let counted = client.count(CountRequest { to: 2, held: true }).await;
        let mut numbers = counted.unwrap().into_inner();
        is_refusal(&client.say(say()).await.unwrap_err());
        while let Some(number) = numbers.message().await.unwrap() {
            assert_eq!(in_flight.in_flight(), 1);
            if number.number == 2 {
                gate.open();
            }
        }
        // The end of the stream is the end of the exchange, though the stream is still there.
        assert_eq!(in_flight.in_flight(), 0);
        assert_eq!(client.say(say()).await.unwrap().into_inner().text, "hello");
        drop(numbers);
        settles_with(&in_flight, 2, 1).await;
    };
}

#[tokio::test]
async fn a_client_whose_type_is_written_down_holds_to_its_limit() {
    let (server, gate) = unlimited();
    let layer = LimitConcurrencyLayer::new(1);
    let named = Named { echo: EchoClient::new(layer.layer(channel(server.address()))) };
    holds_to_its_limit!(named.echo, gate, layer.handle());
}

#[tokio::test]
async fn a_client_whose_type_is_erased_holds_to_its_limit() {
    let (server, gate) = unlimited();
    let layer = LimitConcurrencyLayer::new(1);
    let transport = erased(&layer, channel(server.address()));
    holds_to_its_limit!(EchoClient::new(transport), gate, layer.handle());
}

#[tokio::test]
async fn a_call_that_is_given_up_frees_the_clients_permit() {
    let (server, gate) = unlimited();
    let layer = LimitConcurrencyLayer::new(1);
    let client = EchoClient::new(layer.layer(channel(server.address())));
    let in_flight = layer.handle();
    let call = tokio::spawn({
        let mut client = client.clone();
        async move { client.say(held()).await }
    });
    eventually(|| in_flight.in_flight() == 1).await;
    is_refusal(&client.clone().say(say()).await.unwrap_err());
    call.abort();
    eventually(|| in_flight.in_flight() == 0).await;
    gate.open();
    client.clone().say(held()).await.unwrap();
    settles_with(&in_flight, 2, 1).await;
}

#[tokio::test]
async fn a_deaf_is_unavailable_through_the_layer_too() {
    let deaf = deaf();
    let address = deaf.local_addr().unwrap();
    let layer = LimitConcurrencyLayer::new(1);
    let bare = EchoClient::new(channel(address)).say(say()).await;
    let named = EchoClient::new(layer.layer(channel(address))).say(say()).await;
    let erased = EchoClient::new(erased(&layer, channel(address))).say(say()).await;
    for answer in [bare, named, erased] {
        assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    }
    settles_with(&layer.handle(), 2, 0).await;
}
