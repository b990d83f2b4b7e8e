//! limit-rate in a tonic server and around a tonic client, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

use futures_util::future::join_all;
use http::{HeaderName, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::Empty;
use palisade::{
    Head,
    key::{Authority, ClientNet, ExtractKey, HeaderKey, Missing, PeerIp},
    limit_rate::{Buckets, LimitRate, LimitRateLayer, Quota, RateLimitHeaders},
};
use palisade_testkit::{
    Gate,
    grpc::{CountRequest, Echo, EchoClient, EchoServer, SayRequest},
    sockets::{Client, Server},
};
use tokio::time::sleep;
use tonic::{
    Code, Status,
    body::Body,
    transport::{
        self, Channel, Endpoint,
        server::{TcpConnectInfo, TcpIncoming},
    },
};
use tonic_types::StatusExt;
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};

/// Five, of which one comes back in twelve minutes.
const FEW: &str = "5/h";

const COUNT: &str = "/palisade.echo.v1.Echo/Count";

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

fn api_key() -> HeaderKey {
    HeaderKey::new(HeaderName::from_static("x-api-key"))
}

/// A server under this limit whose gate is open.
fn served<K>(layer: LimitRateLayer<K>) -> Server
where
    K: ExtractKey<Key: Sync + ToOwned<Owned: Send>> + Send + Sync + 'static,
{
    let gate = Gate::new();
    gate.open();
    let echo = EchoServer::new(Echo::new(gate));
    Server::start(|listener| {
        transport::Server::builder()
            .layer(layer)
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    })
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}")).unwrap()
}

fn channel(server: &Server) -> Channel {
    endpoint(server.address()).connect_lazy()
}

fn client(server: &Server) -> EchoClient<Channel> {
    EchoClient::new(channel(server))
}

fn client_from(server: &Server, last: u8) -> EchoClient<Channel> {
    let from = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    EchoClient::new(endpoint(server.address()).local_address(Some(from)).connect_lazy())
}

fn say() -> SayRequest {
    SayRequest { text: "hello".into(), ..SayRequest::default() }
}

/// Of somebody with this key.
fn by<T>(key: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    request
}

/// Says how long to wait: in two ways, to those who look for either.
fn is_refusal(status: &Status) -> Duration {
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.message(), "You have sent too many requests. Please try again later.");
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("QUOTA_EXCEEDED", "palisade"));
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    let pushback = Duration::from_millis(pushback.to_str().unwrap().parse().unwrap());
    assert!(pushback >= wait && pushback <= wait + Duration::from_millis(1), "{status:?}");
    wait
}

/// How many of so many calls are let in. The others are refused.
macro_rules! let_in {
    ($client:expr, $asked:expr, $request:expr) => {{
        let mut let_in = 0;
        for _ in 0..$asked {
            match $client.say($request).await {
                Ok(reply) => {
                    assert_eq!(reply.into_inner().text, "hello");
                    let_in += 1;
                }
                Err(status) => drop(is_refusal(&status)),
            }
        }
        let_in
    }};
}

#[tokio::test]
async fn a_key_in_the_metadata_has_a_bucket_over_all_connections() {
    let layer = LimitRateLayer::new(quota(FEW), api_key());
    let buckets = layer.handle();
    let server = served(layer);
    let clients = [client(&server), client(&server)];
    for key in ["ann", "ben"] {
        let calls = (0..10).map(|call| {
            let mut client = clients[call % 2].clone();
            async move { client.say(by(key, say())).await }
        });
        let (admitted, refused): (Vec<_>, Vec<_>) =
            join_all(calls).await.into_iter().partition(Result::is_ok);
        assert_eq!((admitted.len(), refused.len()), (5, 5), "{key}");
        for refused in refused {
            let wait = is_refusal(&refused.unwrap_err()).as_secs();
            assert!((600..=720).contains(&wait), "{wait}");
        }
    }
    assert_eq!((buckets.refused(), buckets.len()), (10, 2));
}

#[tokio::test]
async fn who_waits_as_told_is_let_in() {
    let server = served(LimitRateLayer::new(quota("2/s burst 1"), api_key()));
    let mut client = client(&server);
    for _ in 0..3 {
        let refused = loop {
            if let Err(status) = client.say(by("ann", say())).await {
                break status;
            }
        };
        sleep(is_refusal(&refused)).await;
        assert_eq!(let_in!(client, 1, by("ann", say())), 1);
    }
}

#[tokio::test]
async fn a_peer_has_a_bucket_as_tonic_knows_it() {
    let layer =
        LimitRateLayer::new(quota(FEW), PeerIp::from_extension(TcpConnectInfo::remote_addr));
    let buckets: Buckets<ClientNet> = layer.handle();
    let server = served(layer);
    for last in [1, 2, 3] {
        assert_eq!(let_in!(client_from(&server, last), 3, say()), 3);
        assert_eq!(let_in!(client_from(&server, last), 4, say()), 2);
    }
    assert_eq!((buckets.refused(), buckets.len()), (6, 3));
    // What a client says of itself is nothing here.
    let mut client = client_from(&server, 2);
    let mut request = tonic::Request::new(say());
    request.metadata_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    is_refusal(&client.say(request).await.unwrap_err());
}

#[tokio::test]
async fn a_stream_is_one_call_however_much_it_says() {
    let server = served(LimitRateLayer::new(quota("2/h"), api_key()));
    let mut client = client(&server);
    let open = client.count(by("ann", CountRequest { to: 100, held: false })).await;
    let mut numbers = open.unwrap().into_inner();
    assert_eq!(let_in!(client, 2, by("ann", say())), 1);
    let refused = client.count(by("ann", CountRequest::default())).await;
    is_refusal(&refused.unwrap_err());
    // Who was let in is not cut off.
    for number in 1..=100 {
        assert_eq!(numbers.message().await.unwrap().unwrap().number, number);
    }
    assert!(numbers.message().await.unwrap().is_none());
}

#[tokio::test]
async fn answers_tell_how_much_is_left() {
    let layer = LimitRateLayer::new(quota(FEW), api_key()).with_headers(RateLimitHeaders::Draft);
    let server = served(layer);
    let mut client = client(&server);
    for left in (0..5).rev() {
        let answer = client.say(by("ann", say())).await.unwrap();
        let told = answer.metadata().get("ratelimit").unwrap().to_str().unwrap();
        assert!(told.starts_with(&format!("\"default\";r={left};t=")), "{told}");
    }
    let refused = client.say(by("ann", say())).await.unwrap_err();
    let told = refused.metadata().get("ratelimit").unwrap().to_str().unwrap();
    assert!(told.starts_with("\"default\";r=0;t="), "{told}");
    assert_eq!(refused.metadata().get("ratelimit-policy").unwrap(), "\"default\";q=5;w=3600");
}

/// In metadata as over HTTP in headers; and by name in the details of a refusal.
#[tokio::test]
async fn each_window_counts_and_a_refusal_names_those_that_refused() {
    let layer = LimitRateLayer::new(quota("2/h"), api_key())
        .with_name("hour")
        .with_quota("day", quota("3/d"))
        .with_headers(RateLimitHeaders::Draft);
    let buckets = layer.handle();
    let server = served(layer);
    let mut client = client(&server);
    for left in [1, 0] {
        let answer = client.say(by("ann", say())).await.unwrap();
        let told = answer.metadata().get("ratelimit").unwrap().to_str().unwrap();
        assert!(told.starts_with(&format!("\"hour\";r={left};t=")), "{told}");
        assert!(told.contains(&format!(", \"day\";r={};t=", left + 1)), "{told}");
    }
    for (violated, wait, reset) in [("hour", 1800, true), ("day", 8 * 3600, false)] {
        let refused = client.say(by("ann", say())).await.unwrap_err();
        let told = is_refusal(&refused).as_secs();
        assert!((wait - 60..=wait).contains(&told), "{told}");
        let details = refused.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["violated-policies"], violated);
        let policy = refused.metadata().get("ratelimit-policy").unwrap();
        assert_eq!(policy, r#""hour";q=2;w=3600, "day";q=3;w=86400"#);
        let first = refused.metadata().get("ratelimit").unwrap().to_str().unwrap();
        assert!(first.starts_with(&format!("\"{violated}\";r=0;t=")), "{first}");
        if reset {
            // As if an hour had passed.
            buckets.reset(b"ann");
            assert_eq!(let_in!(client, 1, by("ann", say())), 1);
        }
    }
}

#[tokio::test]
async fn a_refusal_is_a_head_and_nothing_else() {
    let layer = LimitRateLayer::new(quota("1/h"), api_key());
    let server = served(layer);
    let client = Client::connect(&server, Version::HTTP_2).await;
    let call = || {
        let request = http::Request::post(COUNT).header("content-type", "application/grpc+proto");
        request.body(Empty::new()).unwrap()
    };
    client.send(call()).await.unwrap();
    let refused = client.send(call()).await.unwrap();
    assert!(refused.body().is_end_stream());
    let headers = refused.headers();
    assert_eq!((refused.status().as_u16(), &headers["grpc-status"]), (200, &"8".parse().unwrap()));
    assert_eq!(headers["content-type"], "application/grpc");
    assert!(!headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_call_without_a_key_goes_by_its_policy() {
    let layer = || LimitRateLayer::new(quota(FEW), api_key());
    let shared = served(layer());
    assert_eq!(let_in!(client(&shared), 4, say()), 4);
    assert_eq!(let_in!(client_from(&shared, 2), 4, say()), 1);
    assert_eq!(let_in!(client(&shared), 1, by("ann", say())), 1);
    let skipped = served(layer().with_missing(Missing::Skip));
    assert_eq!(let_in!(client(&skipped), 20, say()), 20);
    let rejected = served(layer().with_missing(Missing::Reject));
    let refused = client(&rejected).say(say()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "The request does not say who is asking.");
    assert!(refused.metadata().get("grpc-retry-pushback-ms").is_none());
}

/// No waiting helps, so nobody is told to wait.
#[tokio::test]
async fn a_cost_that_is_never_allowed_is_another_refusal() {
    let cost =
        |head: Head<'_>| NonZeroU32::new(if head.uri().path() == COUNT { 6 } else { 1 }).unwrap();
    let server = served(LimitRateLayer::new(quota(FEW), api_key()).with_cost(cost));
    let mut client = client(&server);
    let refused = client.count(by("ann", CountRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(refused.message(), "This request counts as 6, and at most 5 are allowed at once.");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "COST_OVER_BURST");
    assert!(details.retry_info().is_none());
    assert_eq!(let_in!(client, 6, by("ann", say())), 5);
}

#[tokio::test]
async fn a_servers_own_status_is_not_changed() {
    let layer = LimitRateLayer::new(quota("1000/h"), api_key());
    let server = served(layer.clone());
    let mut client = EchoClient::new(layer.layer(channel(&server)));
    for code in 1..=16 {
        let status = client.say(by("ann", SayRequest { code, ..say() })).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code.into(), "hello"));
    }
    assert_eq!(layer.handle().refused(), 0);
}

/// A server without any limit.
fn unlimited() -> Server {
    served(LimitRateLayer::new(quota(FEW), api_key()).with_missing(Missing::Skip))
}

/// The client as a struct holds it that can write its type down.
struct Named {
    echo: EchoClient<LimitRate<Channel, Authority>>,
}

/// A channel alone does not know whom it asks until the layer is through: tell the client.
#[tokio::test]
async fn a_client_limits_itself_by_whom_it_asks() {
    let layer = LimitRateLayer::new(quota(FEW), Authority::new());
    let buckets = layer.handle();
    let servers = [unlimited(), unlimited()];
    for server in &servers {
        let origin: Uri = format!("http://{}", server.address()).parse().unwrap();
        let echo = EchoClient::with_origin(layer.layer(channel(server)), origin);
        let mut named = Named { echo };
        assert_eq!(let_in!(named.echo, 7, say()), 5);
        assert_eq!(buckets.get(&server.address().to_string()).remaining(), 0);
    }
    assert_eq!((buckets.refused(), buckets.len()), (4, 2));
    // Otherwise they are one.
    let layer = LimitRateLayer::new(quota(FEW), Authority::new());
    let clients = servers.each_ref().map(|server| EchoClient::new(layer.layer(channel(server))));
    let [mut one, mut other] = clients;
    assert_eq!(let_in!(one, 4, say()) + let_in!(other, 4, say()), 5);
}

type Erased = BoxCloneSyncService<http::Request<Body>, Response<Body>, transport::Error>;

#[tokio::test]
async fn a_client_limits_itself_by_method() {
    let by_path = |head: Head<'_>| Some(head.uri().path() == COUNT);
    let layer = LimitRateLayer::new(quota(FEW), by_path);
    let server = unlimited();
    let limited = layer.layer(channel(&server));
    let erased: Erased =
        BoxCloneSyncService::new(limited.map_response(|response| response.map(Body::new)));
    let mut client = EchoClient::new(erased);
    assert_eq!(let_in!(client, 7, say()), 5);
    let mut numbers = client.count(CountRequest { to: 3, held: false }).await.unwrap().into_inner();
    while let Some(number) = numbers.message().await.unwrap() {
        assert!(number.number <= 3);
    }
    assert_eq!(layer.handle().get(&true).remaining(), 4);
}
