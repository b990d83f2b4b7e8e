//! A deadline over three hops, each a server and the client it calls the next one with.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use std::{future::pending, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
use bytes::Bytes;
use http::{HeaderName, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::timeout::{Deadline, HOP_SLACK, Timeout, TimeoutLayer, Timeouts};
use palisade_testkit::sockets::{Client, Server};
use tokio::{sync::mpsc, time::Instant};
use tower::{Layer, Service, ServiceExt};

const HEADER: HeaderName = HeaderName::from_static("x-request-timeout");

/// The limit of every hop.
const LONG: Duration = Duration::from_secs(60);

/// How much time each hop had left when it began.
type Seen = mpsc::UnboundedSender<(&'static str, Duration)>;

/// What a hop calls the next one with.
type Transport = Timeout<legacy::Client<HttpConnector, Empty<Bytes>>>;

struct Hop {
    server: Server,
    timeouts: Timeouts,
}

impl Hop {
    /// Calls the next hop. The last one hangs.
    fn new(
        name: &'static str,
        limit: Duration,
        next: Option<(SocketAddr, Version)>,
        seen: Seen,
    ) -> Self {
        let layer = TimeoutLayer::server(limit).with_header(HEADER, |_| true);
        let timeouts = layer.handle();
        let next = next.map(|(address, version)| {
            let transport = legacy::Client::builder(TokioExecutor::new())
                .http2_only(version == Version::HTTP_2)
                .build_http::<Empty<Bytes>>();
            let layer =
                TimeoutLayer::client(Duration::MAX).with_header(HEADER, |_| false).forward();
            (layer.layer(transport), address)
        });
        let handler = async move |request: Request| {
            let deadline = Deadline::of(&request).unwrap();
            seen.send((name, deadline.remaining(Instant::now().into_std()))).unwrap();
            match next {
                Some((client, address)) => call(client, address, deadline).await,
                None => pending().await,
            }
        };
        Self { server: Server::axum(Router::new().route("/", get(handler)).layer(layer)), timeouts }
    }
}

/// Hands on what time is left.
async fn call(mut client: Transport, next: SocketAddr, deadline: Deadline) -> Response {
    let mut request = Request::get(format!("http://{next}/")).body(Empty::new()).unwrap();
    deadline.attach(request.extensions_mut());
    client.ready().await.unwrap().call(request).await.unwrap().map(Body::new)
}

struct Chain {
    hops: [Hop; 3],
    seen: mpsc::UnboundedReceiver<(&'static str, Duration)>,
}

impl Chain {
    /// Three hops; how long the last may take by itself.
    fn new(last: Duration, version: Version) -> Self {
        let (seen, all_seen) = mpsc::unbounded_channel();
        let last = Hop::new("last", last, None, seen.clone());
        let to_last = Some((last.server.address(), version));
        let middle = Hop::new("middle", LONG, to_last, seen.clone());
        let to_middle = Some((middle.server.address(), version));
        let first = Hop::new("first", LONG, to_middle, seen);
        Self { hops: [first, middle, last], seen: all_seen }
    }

    /// Waits this long for the answer of the first hop, which is somebody's timeout.
    async fn runs_out_of_time(&self, waits: Duration, version: Version) -> u16 {
        let client = Client::connect(&self.hops[0].server, version).await;
        let request = Request::get("/").header(HEADER, waits.as_secs_f64().to_string());
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let (head, body) = client.send(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], "urn:palisade:timed-out");
        head.status.as_u16()
    }
}

/// By 5 milliseconds, which are soon lost on a busy machine: it need not be the last one that gives
/// up, but nobody is ever told of more time than there is.
#[tokio::test]
async fn over_three_hops_each_sees_less_time_than_the_one_before() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut chain = Chain::new(LONG, version);
        let mut left = Duration::from_secs(1);
        // A hop's server and its client have one deadline, and either may answer at it.
        let status = chain.runs_out_of_time(left, version).await;
        assert!([503, 504].contains(&status), "{status}");
        for expected in ["first", "middle", "last"] {
            let (name, seen) = chain.seen.recv().await.unwrap();
            assert_eq!(name, expected);
            let slack = if name == "first" { Duration::ZERO } else { HOP_SLACK };
            assert!(seen + slack < left, "{name}: {seen:?} of {left:?}");
            left = seen;
        }
    }
}

#[tokio::test]
async fn over_three_hops_the_answer_of_the_one_that_gives_up_arrives_in_time() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let chain = Chain::new(Duration::from_millis(100), version);
        assert_eq!(chain.runs_out_of_time(Duration::from_secs(5), version).await, 503);
        assert_eq!(chain.hops.each_ref().map(|hop| hop.timeouts.timed_out()), [0, 0, 1]);
    }
}
