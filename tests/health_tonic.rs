//! gRPC health as tonic-health's client sees it, in front of tonic and of axum, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod healths;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use h2::RecvStream;
use healths::{
    HOUR, SERVING, Served, UNKNOWN,
    grpc::{self, check, client, list, of},
};
use palisade::health::{Check, Phase, ServingStatus as Told, Status as Health};
use palisade_testkit::{
    grpc::{CountRequest, EchoClient, SayRequest},
    sockets::eventually,
};
use tokio::{net::TcpStream, time::timeout};
use tonic::{
    Code, Streaming,
    transport::{Channel, channel::Change},
};
use tonic_health::pb::{HealthCheckResponse, health_check_response::ServingStatus};

const SERVERS: [fn() -> Served; 2] = [grpc::tonic, grpc::axum];
const PATIENCE: Duration = Duration::from_secs(10);

type Watch = Streaming<HealthCheckResponse>;

async fn watch(served: &Served, service: &str) -> Watch {
    client(&served.server).watch(of(service)).await.unwrap().into_inner()
}

/// `None` at the end, and only at a good one.
async fn next(watch: &mut Watch) -> Option<ServingStatus> {
    let told = timeout(PATIENCE, watch.message()).await.expect("something is told");
    told.unwrap().map(|told| told.status())
}

fn say() -> SayRequest {
    SayRequest { text: "hello".into(), ..SayRequest::default() }
}

#[tokio::test]
async fn check_tells_of_what_is_known_and_only_of_that() {
    for serve in SERVERS {
        let served = serve();
        let menu = served.health.service("menu.Menu");
        for service in ["", "menu.Menu"] {
            assert_eq!(check(&served.server, service).await.unwrap(), ServingStatus::Serving);
        }
        let unknown = check(&served.server, "menu.Other").await.unwrap_err();
        assert_eq!(
            (unknown.code(), unknown.message()),
            (Code::NotFound, "There is no such service.")
        );
        for (set, told) in [
            (Told::NotServing, ServingStatus::NotServing),
            (Told::Unknown, ServingStatus::Unknown),
            (Told::Serving, ServingStatus::Serving),
        ] {
            menu.set(set);
            assert_eq!(check(&served.server, "menu.Menu").await.unwrap(), told);
            assert_eq!(check(&served.server, "").await.unwrap(), ServingStatus::Serving);
        }
        // A name as long as a message may be, and one that is longer.
        let unknown = check(&served.server, &"x".repeat(4096 - 3)).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        let unknown = check(&served.server, &"x".repeat(4096)).await.unwrap_err();
        assert_eq!(unknown.code(), Code::ResourceExhausted);
        assert_eq!(served.health.in_flight(), 0);
    }
}

#[tokio::test]
async fn watch_tells_of_each_change_until_it_has_drained() {
    for serve in SERVERS {
        let served = serve();
        let (mut whole, mut one) = (watch(&served, "").await, watch(&served, "menu.Menu").await);
        assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
        assert_eq!(next(&mut one).await, Some(ServingStatus::ServiceUnknown));
        assert!(one.message().now_or_never().is_none(), "it stays open");
        let menu = served.health.service("menu.Menu");
        assert_eq!(next(&mut one).await, Some(ServingStatus::Serving));
        menu.set(Told::NotServing);
        assert_eq!(next(&mut one).await, Some(ServingStatus::NotServing));
        menu.follow_readiness();
        assert_eq!(next(&mut one).await, Some(ServingStatus::Serving));

        let latch = served.health.startup().latch("cache");
        for watch in [&mut whole, &mut one] {
            assert_eq!(next(watch).await, Some(ServingStatus::NotServing));
        }
        latch.set();
        for watch in [&mut whole, &mut one] {
            assert_eq!(next(watch).await, Some(ServingStatus::Serving));
        }
        for drained in [false, true] {
            served.health.drain(if drained { Duration::ZERO } else { HOUR });
            for watch in [&mut whole, &mut one] {
                assert_eq!(next(watch).await, Some(ServingStatus::NotServing));
                if drained {
                    assert_eq!(next(watch).await, None);
                }
            }
            if !drained {
                served.health.resume();
                for watch in [&mut whole, &mut one] {
                    assert_eq!(next(watch).await, Some(ServingStatus::Serving));
                }
            }
        }
        // And who comes then is told once.
        let mut late = watch(&served, "").await;
        assert_eq!(next(&mut late).await, Some(ServingStatus::NotServing));
        assert_eq!(next(&mut late).await, None);
    }
}

#[tokio::test]
async fn list_tells_of_all_services_up_to_a_hundred() {
    for serve in SERVERS {
        let served = serve();
        served.health.service("menu.Menu").set(Told::NotServing);
        let _soup = served.health.service("menu.Soup");
        let expected = [
            (String::new(), ServingStatus::Serving),
            ("menu.Menu".into(), ServingStatus::NotServing),
            ("menu.Soup".into(), ServingStatus::Serving),
        ];
        assert_eq!(list(&served.server).await.unwrap(), expected);
        for number in 3..100 {
            let _one = served.health.service(format!("menu.Item{number}"));
        }
        assert_eq!(list(&served.server).await.unwrap().len(), 100);
        let _one_more = served.health.service("menu.Last");
        let refused = list(&served.server).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
    }
}

/// A method that the protocol may be given one day, in front of tonic's own answer.
#[tokio::test]
async fn a_method_that_is_not_known_is_told_so() {
    for serve in SERVERS {
        let served = serve();
        let answer = served.grpc_client().await.send(healths::call("Stop")).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "12");
    }
}

#[tokio::test]
async fn a_degraded_server_serves_and_one_that_is_not_well_does_not() {
    let served = grpc::tonic();
    let mut whole = watch(&served, "").await;
    assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
    // In the server's runtime, with its first request.
    served.health.readiness().check(Check::reading("upstream", || Health::Fail));
    assert_eq!(check(&served.server, "").await.unwrap(), ServingStatus::Serving);
    let report = || served.health.report();
    eventually(|| report().items()[0].status() == Health::Fail).await;
    assert_eq!(check(&served.server, "").await.unwrap(), ServingStatus::Serving);
    served.health.readiness().check(Check::reading("disk", || Health::Fail).critical());
    assert_eq!(next(&mut whole).await, Some(ServingStatus::NotServing));
    EchoClient::new(grpc::channel(&served.server))
        .say(say())
        .await
        .expect("it serves who comes all the same");
}

/// As Kubernetes asks, without a library and without a name.
#[tokio::test]
async fn it_leaves_step_by_step() {
    let served = grpc::tonic();
    let mut whole = watch(&served, "").await;
    assert_eq!(next(&mut whole).await, Some(ServingStatus::Serving));
    let mut echo = EchoClient::new(grpc::channel(&served.server));
    let counted = echo.count(CountRequest { to: 2, held: true }).await;
    let mut numbers = counted.unwrap().into_inner();
    assert_eq!(numbers.message().await.unwrap().unwrap().number, 1);

    served.health.drain(HOUR);
    assert_eq!(next(&mut whole).await, Some(ServingStatus::NotServing));
    assert_eq!(check(&served.server, "").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(echo.say(say()).await.unwrap().into_inner().text, "hello");

    served.health.drain(Duration::ZERO);
    let refused = echo.say(say()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::Unavailable,
            "This instance is shutting down. Please try again: another one will answer."
        )
    );
    assert_eq!(refused.metadata().get("grpc-retry-pushback-ms").unwrap(), "5000");
    assert_eq!(echo.count(CountRequest::default()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(check(&served.server, "").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(served.health.phase(), Phase::Refusing);

    // The server is told at once, and waits for the stream, and for those who watch.
    served.stop();
    assert!(whole.message().now_or_never().is_none());
    assert!(!served.is_over());
    served.gate.open();
    assert_eq!(numbers.message().await.unwrap().unwrap().number, 2);
    assert!(numbers.message().await.unwrap().is_none());
    timeout(PATIENCE, served.health.drained()).await.unwrap();
    assert_eq!(next(&mut whole).await, None);
    assert!(served.has_ended().await);
}

/// Whatever is under way, whoever watches, and whether or not they read.
#[tokio::test]
async fn a_server_ends_though_many_watch() {
    let served = grpc::tonic();
    let mut watches = Vec::new();
    for number in 0..50 {
        watches.push(watch(&served, ["", "menu.Menu"][number % 2]).await);
    }
    served.stop();
    assert!(!served.is_over());
    served.health.drain(Duration::ZERO);
    assert!(served.has_ended().await);
    for mut watch in watches {
        while next(&mut watch).await.is_some() {}
    }
}

/// A client that knows what it does: how much may be sent to it, it says itself.
struct Reader {
    body: RecvStream,
    connection: tokio::task::JoinHandle<()>,
}

impl Reader {
    /// Watches the whole, and has room for so many bytes.
    async fn with_room_for(bytes: u32, served: &Served) -> Self {
        let stream = TcpStream::connect(served.server.address()).await.unwrap();
        let handshake = h2::client::Builder::new().initial_window_size(bytes).handshake(stream);
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = tokio::spawn(connection.map(drop));
        let (mut head, body) = healths::call("Watch").into_parts();
        head.uri = format!("http://{}{}", served.server.address(), head.uri).parse().unwrap();
        let head = http::Request::from_parts(head, ());
        let (answer, mut sending) = sender.send_request(head, false).unwrap();
        let message = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        sending.send_data(message, true).unwrap();
        let body = answer.await.unwrap().into_body();
        Self { body, connection }
    }

    async fn next(&mut self) -> Option<Bytes> {
        let told = timeout(PATIENCE, self.body.data()).await.expect("something is told");
        told.map(Result::unwrap)
    }

    fn makes_room_for(&mut self, bytes: usize) {
        self.body.flow_control().release_capacity(bytes).unwrap();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// What it does not read is not kept for it, however often that changes.
#[tokio::test]
async fn who_watches_and_never_reads_costs_no_memory() {
    for serve in SERVERS {
        let served = serve();
        // Two messages.
        let mut reader = Reader::with_room_for(14, &served).await;
        assert_eq!(reader.next().await.unwrap(), SERVING);
        let whole = served.health.service("");
        for _ in 0..5_000 {
            for status in [Told::NotServing, Told::Serving] {
                whole.set(status);
            }
            tokio::task::yield_now().await;
        }
        whole.set(Told::Unknown);
        // What was on its way already, what the server had in hand, and then how it is.
        let mut told = Vec::new();
        while told.last().is_none_or(|last| *last != UNKNOWN) {
            reader.makes_room_for(7);
            told.push(reader.next().await.unwrap());
        }
        assert!(told.len() <= 4, "{told:?}");
    }
}

/// The registry does not wait for it. The server does, until its own patience is over: it has something to
/// send that it may not.
#[tokio::test]
async fn who_lets_nothing_be_sent_does_not_hold_a_drain_up() {
    for serve in SERVERS {
        let served = serve();
        let reader = Reader::with_room_for(0, &served).await;
        served.stop();
        served.health.drain(Duration::ZERO);
        assert_eq!(timeout(PATIENCE, served.health.drained_within(HOUR)).await.unwrap(), 0);
        drop(reader);
        assert!(served.has_ended().await);
    }
}

/// What gRFC A17 has clients do, with what tonic has of it: send where it is serving, and nowhere else.
#[tokio::test]
async fn who_goes_by_watch_loses_no_call_to_a_server_that_leaves() {
    let (leaving, staying) = (grpc::tonic(), grpc::tonic());
    let (balanced, changes) = Channel::balance_channel(8);
    let (inserted, removed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for served in [&leaving, &staying] {
        let (mut watch, address) = (watch(served, "").await, served.server.address());
        let (changes, inserted, removed) =
            (changes.clone(), Arc::clone(&inserted), Arc::clone(&removed));
        tokio::spawn(async move {
            while let Ok(Some(told)) = watch.message().await {
                let is_serving = told.status() == ServingStatus::Serving;
                let change = if is_serving {
                    Change::Insert(address, grpc::endpoint(address))
                } else {
                    Change::Remove(address)
                };
                changes.send(change).await.unwrap();
                let count = if is_serving { &inserted } else { &removed };
                count.fetch_add(1, SeqCst);
            }
        });
    }
    eventually(|| inserted.load(SeqCst) == 2).await;
    let (done, over) = (Arc::new(AtomicU64::new(0)), palisade_testkit::Gate::new());
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (mut client, done, over) =
                (EchoClient::new(balanced.clone()), Arc::clone(&done), over.clone());
            tokio::spawn(async move {
                while over.pass().now_or_never().is_none() {
                    client.say(say()).await.unwrap();
                    done.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    let more = async || {
        let before = done.load(SeqCst);
        eventually(|| done.load(SeqCst) >= before + 100).await;
    };
    more().await;
    leaving.health.drain(HOUR);
    eventually(|| removed.load(SeqCst) == 1).await;
    // What was on its way by then has arrived.
    more().await;
    leaving.health.drain(Duration::ZERO);
    timeout(PATIENCE, leaving.health.drained()).await.unwrap();
    leaving.stop();
    assert!(leaving.has_ended().await);
    more().await;
    over.open();
    for caller in callers {
        caller.await.unwrap();
    }
}
