//! A breaker around tonic's channel, and in a tonic server, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod breakers;

use breakers::{
    an_hour_later,
    grpc::{Told, channel, is_refusal, say, served},
    policy,
};
use http::{Response, Uri};
use palisade::{
    breaker::{Breaker, BreakerLayer, KeyedBreakerLayer, State, Stats, Switch},
    key::Authority,
};
use palisade_testkit::{
    grpc::{CountRequest, EchoClient, EchoServer, SayRequest},
    sockets::{Server, deaf, eventually},
};
use tonic::{
    Code, Status,
    body::Body,
    transport::{self, Channel, Endpoint, server::TcpIncoming},
};
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

/// The client as a struct holds it that can write its type down.
struct Named {
    echo: EchoClient<Breaker<Channel>>,
    switch: Switch,
}

fn named(channel: Channel) -> Named {
    let layer = BreakerLayer::new(policy());
    let switch = layer.handle();
    Named { echo: EchoClient::new(layer.layer(channel)), switch }
}

impl Named {
    async fn say(&mut self) -> Result<(), Status> {
        self.echo.say(say()).await.map(drop)
    }

    /// Reads a stream to its end, and how many messages it had.
    async fn count(&mut self, to: u32) -> (u32, Result<(), Status>) {
        let mut numbers = match self.echo.count(CountRequest { to, held: false }).await {
            Ok(numbers) => numbers.into_inner(),
            Err(status) => return (0, Err(status)),
        };
        let mut read = 0;
        loop {
            match numbers.message().await {
                Ok(Some(_)) => read += 1,
                Ok(None) => return (read, Ok(())),
                Err(status) => return (read, Err(status)),
            }
        }
    }

    /// That it refuses without a call, until an hour later one succeeds.
    async fn is_open_until_all_is_well(&mut self, told: &Told) {
        let calls = told.calls();
        for _ in 0..10 {
            assert!(is_refusal(&self.say().await.unwrap_err()));
            assert!(is_refusal(&self.count(1).await.1.unwrap_err()));
        }
        assert_eq!((told.calls(), self.switch.stats().refused), (calls, 20));

        an_hour_later().await;
        told.end_with(Code::Internal);
        assert_eq!(self.say().await.unwrap_err().message(), "as told");
        assert!(is_refusal(&self.say().await.unwrap_err()));

        an_hour_later().await;
        told.end_with(Code::Ok);
        self.say().await.unwrap();
        assert_eq!(self.count(3).await.0, 3);
        assert_eq!((self.switch.state(), told.calls()), (State::Closed, calls + 3));
    }
}

#[tokio::test]
async fn calls_that_fail_open_it_by_their_status_alone() {
    for code in
        [Code::Unavailable, Code::Internal, Code::Unknown, Code::DeadlineExceeded, Code::DataLoss]
    {
        let (server, told) = served();
        let mut client = named(channel(&server));
        told.end_with(code);
        for _ in 0..2 {
            assert_eq!(client.switch.state(), State::Closed);
            let status = client.say().await.unwrap_err();
            assert_eq!((status.code(), status.message()), (code, "as told"));
        }
        client.is_open_until_all_is_well(&told).await;
    }
}

#[tokio::test]
async fn a_stream_that_fails_after_its_messages_is_a_failure() {
    for code in [Code::Unavailable, Code::Internal] {
        let (server, told) = served();
        let mut client = named(channel(&server));
        told.end_with(code);
        for _ in 0..2 {
            assert_eq!(client.switch.state(), State::Closed);
            let (read, end) = client.count(3).await;
            assert_eq!((read, end.unwrap_err().code()), (3, code));
        }
        client.is_open_until_all_is_well(&told).await;
    }
}

/// So that what it says in the end still counts, and it does not hold a circuit up.
#[tokio::test]
async fn a_stream_is_judged_when_it_ends_and_not_when_it_begins() {
    let (server, told) = served();
    let mut client = named(channel(&server));
    told.end_with(Code::Unavailable);
    let held = CountRequest { to: 1, held: true };
    let mut numbers = client.echo.count(held).await.unwrap().into_inner();
    assert!(numbers.message().await.unwrap().is_some());
    client.say().await.unwrap_err();
    assert_eq!((client.switch.state(), client.switch.stats().calls), (State::Closed, 1));
    told.gate().open();
    numbers.message().await.unwrap_err();
    client.is_open_until_all_is_well(&told).await;
}

/// As long as its callers are the ones who are wrong, or go away.
#[tokio::test]
async fn a_flood_of_what_is_nobodys_failure_does_not_open_it() {
    const CODES: [Code; 7] = [
        Code::Cancelled,
        Code::NotFound,
        Code::InvalidArgument,
        Code::AlreadyExists,
        Code::PermissionDenied,
        Code::FailedPrecondition,
        Code::Unauthenticated,
    ];
    let (server, told) = served();
    let mut client = named(channel(&server));
    for code in CODES.repeat(10) {
        told.end_with(code);
        assert_eq!(client.say().await.unwrap_err().code(), code);
        assert_eq!(client.count(2).await.1.unwrap_err().code(), code);
    }
    let Stats { state, calls, ignored, .. } = client.switch.stats();
    assert_eq!((state, calls, ignored), (State::Closed, 0, 140));

    told.end_with(Code::Ok);
    for call in 1..=5 {
        let mut echo = client.echo.clone();
        let given_up =
            tokio::spawn(
                async move { echo.say(SayRequest { held: true, ..say() }).await.map(drop) },
            );
        eventually(|| told.calls() == 140 + 2 * call - 1).await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());

        let mut numbers =
            client.echo.count(CountRequest { to: 2, held: true }).await.unwrap().into_inner();
        assert!(numbers.message().await.unwrap().is_some());
        drop(numbers);
    }
    let Stats { state, calls, ignored, .. } = client.switch.stats();
    assert_eq!((state, calls, ignored), (State::Closed, 0, 150));
}

/// Too many requests are none in a row, but no sign of health either.
#[tokio::test]
async fn who_asks_for_patience_has_failed_as_a_probe() {
    let (server, told) = served();
    let mut client = named(channel(&server));
    told.end_with(Code::ResourceExhausted);
    for _ in 0..5 {
        client.say().await.unwrap_err();
        assert_eq!(client.switch.state(), State::Closed);
    }
    told.end_with(Code::Unavailable);
    client.say().await.unwrap_err();
    client.say().await.unwrap_err();
    told.end_with(Code::ResourceExhausted);
    an_hour_later().await;
    assert_eq!(client.say().await.unwrap_err().code(), Code::ResourceExhausted);
    client.is_open_until_all_is_well(&told).await;
}

/// Its client says `CANCELLED`, which nobody did.
#[tokio::test]
async fn a_handler_that_panics_has_failed() {
    let (server, told) = served();
    let mut client = named(channel(&server));
    for _ in 0..2 {
        let status = client.echo.say(SayRequest { panics: true, ..say() }).await.unwrap_err();
        assert_eq!(status.code(), Code::Cancelled);
    }
    client.is_open_until_all_is_well(&told).await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_opens_it_until_somebody_does() {
    let dead = deaf();
    let address = format!("http://{}", dead.local_addr().unwrap());
    let mut client = named(Endpoint::from_shared(address).unwrap().connect_lazy());
    for _ in 0..2 {
        let status = client.say().await.unwrap_err();
        assert!(status.code() == Code::Unavailable && !is_refusal(&status), "the channel's own");
    }
    assert!(is_refusal(&client.say().await.unwrap_err()));

    let told = Told::default();
    let echo = EchoServer::new(told.clone());
    let incoming = TcpIncoming::from(dead.listen(8).unwrap());
    let serving = transport::Server::builder().add_service(echo).serve_with_incoming(incoming);
    let serving = tokio::spawn(serving);
    an_hour_later().await;
    client.say().await.unwrap();
    assert_eq!((client.switch.state(), told.calls()), (State::Closed, 1));
    serving.abort();
}

type Erased = BoxCloneSyncService<http::Request<Body>, Response<Body>, transport::Error>;

/// A channel alone does not know whom it asks until the layer is through: tell the client.
#[tokio::test]
async fn of_two_upstreams_only_the_broken_one_is_refused() {
    let layer = KeyedBreakerLayer::new(policy(), Authority::new());
    let switches = layer.handle();
    let upstreams = [served(), served()];
    let [mut broken, mut well] = upstreams.each_ref().map(|(server, _)| {
        let layered = layer.layer(channel(server));
        let erased: Erased =
            BoxCloneSyncService::new(layered.map_response(|answer| answer.map(Body::new)));
        let origin: Uri = format!("http://{}", server.address()).parse().unwrap();
        EchoClient::with_origin(erased, origin)
    });
    let [(at, told), (at_well, told_well)] = &upstreams;
    told.end_with(Code::Unavailable);
    for _ in 0..2 {
        assert!(!is_refusal(&broken.say(say()).await.unwrap_err()));
        well.say(say()).await.unwrap();
    }
    for _ in 0..10 {
        assert!(is_refusal(&broken.say(say()).await.unwrap_err()));
        well.say(say()).await.unwrap();
    }
    assert_eq!((told.calls(), told_well.calls(), switches.len()), (2, 12, 2));
    let state = |server: &Server| switches.of(&server.address().to_string()).unwrap().state();
    assert_eq!((state(at), state(at_well)), (State::Open, State::Closed));

    told.end_with(Code::Ok);
    an_hour_later().await;
    broken.say(say()).await.unwrap();
    assert_eq!(state(at), State::Closed);
    assert_eq!(switches.shared().stats().total_calls, 0);
}

#[tokio::test]
async fn in_a_server_it_answers_with_a_status_of_its_own() {
    let (told, layer) = (Told::default(), BreakerLayer::new(policy()));
    let (echo, switch) = (EchoServer::new(told.clone()), layer.handle());
    let server = Server::start(|listener| {
        transport::Server::builder()
            .layer(layer)
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    });
    let mut clients = [EchoClient::new(channel(&server)), EchoClient::new(channel(&server))];
    told.end_with(Code::Internal);
    for client in &mut clients {
        assert!(!is_refusal(&client.say(say()).await.unwrap_err()));
    }
    eventually(|| switch.state() == State::Open).await;
    for client in &mut clients {
        assert!(is_refusal(&client.say(say()).await.unwrap_err()));
        let refused = client.count(CountRequest { to: 1, held: false }).await;
        assert!(is_refusal(&refused.unwrap_err()));
    }
    assert_eq!(told.calls(), 2);
    told.end_with(Code::Ok);
    switch.reset();
    clients[0].say(say()).await.unwrap();
}
