//! What a guard learns of a body that hyper serves over a real socket, and that nobody else can
//! tell it is there.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod bodies;

use std::{convert::Infallible, time::Duration};

use bodies::{LARGE, plain, trailers};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use palisade::{
    BodyRule, End, Guard, GuardedBody, Head, Protocol, Reason, Rejection,
    health::{Health, HealthLayer},
    retry::{Eligible, Peek, RetryBody, RetryLayer, RetryPolicy},
};
use palisade_testkit::sockets::{Client, Raw, Server, exchange};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower::{Layer, service_fn};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// How a body ended, to keep.
#[derive(Debug, PartialEq)]
enum Ended {
    Complete(Option<HeaderMap>),
    Failed,
    Dropped,
}

const COMPLETE: Ended = Ended::Complete(None);

struct Recorder(UnboundedSender<Ended>);

impl Guard for Recorder {
    fn ended(self, end: End<'_>) {
        let ended = match end {
            End::Complete { trailers } => Ended::Complete(trailers.cloned()),
            End::Failed => Ended::Failed,
            End::Dropped => Ended::Dropped,
        };
        // Nobody listens any more where a test is over.
        self.0.send(ended).ok();
    }
}

fn unguarded() -> Server {
    Server::hyper(service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(plain(&request))
    }))
}

fn guarded() -> (Server, Ends) {
    let (ended, ends) = unbounded_channel();
    let server = Server::hyper(service_fn(move |request: Request<Incoming>| {
        let guard = Recorder(ended.clone());
        let rule = BodyRule::of(request.method());
        std::future::ready(Ok::<_, Infallible>(GuardedBody::guard(plain(&request), rule, guard)))
    }));
    (server, Ends(ends))
}

/// Around each request a retry that looks into its answer, as a gRPC one's.
fn retried() -> Server {
    let policy = RetryPolicy::grpc().eligible(|_| Eligible::Always).peek(Peek::FirstFrame);
    Server::hyper(RetryLayer::new(policy).layer(service_fn(
        async |request: Request<RetryBody<Incoming>>| Ok::<_, Infallible>(plain(&request)),
    )))
}

/// Around each request health, which counts it.
fn counted() -> Server {
    Server::hyper(
        HealthLayer::new(&Health::new()).layer(service_fn(async |request: Request<Incoming>| {
            Ok::<_, Infallible>(plain(&request))
        })),
    )
}

struct Ends(UnboundedReceiver<Ended>);

impl Ends {
    async fn next(&mut self) -> Ended {
        let ended = tokio::time::timeout(Duration::from_secs(10), self.0.recv()).await;
        ended.expect("the guard is told").expect("the guard is told")
    }

    /// That no guard was told twice, or without anybody asking.
    async fn were_all(mut self, server: Server) {
        drop(server);
        assert_eq!(self.0.recv().await, None);
    }
}

fn request(method: Method, path: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(path).body(Empty::new()).unwrap()
}

async fn read(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn bodies_that_are_read_to_the_end_are_complete() {
    for version in VERSIONS {
        let (server, mut ends) = guarded();
        let client = Client::connect(&server, version).await;
        for path in ["/full", "/empty", "/announced", "/streamed", "/ending"] {
            let expected = plain(&request(Method::GET, path)).into_body();
            let expected = expected.collect().await.unwrap().to_bytes();
            assert_eq!(client.read(path).await.unwrap().body(), &expected);
            assert_eq!(ends.next().await, COMPLETE, "{version:?} {path}");
        }
        ends.were_all(server).await;
    }
}

#[tokio::test]
async fn bodies_that_no_client_will_read_are_complete() {
    for (version, method, path) in [
        (Version::HTTP_11, Method::HEAD, "/full"),
        (Version::HTTP_11, Method::HEAD, "/endless"),
        (Version::HTTP_11, Method::HEAD, "/announced/endless"),
        (Version::HTTP_11, Method::HEAD, "/fails"),
        (Version::HTTP_11, Method::GET, "/204"),
        (Version::HTTP_11, Method::GET, "/304"),
        (Version::HTTP_2, Method::HEAD, "/empty"),
    ] {
        let (server, mut ends) = guarded();
        let client = Client::connect(&server, version).await;
        let response = client.send(request(method.clone(), path)).await.unwrap();
        // While the client waits for more, to see that it need not go away.
        let ended = ends.next().await;
        assert_eq!(ended, COMPLETE, "{version:?} {method} {path}");
        assert_eq!(read(response).await, "");
        ends.were_all(server).await;
    }
}

/// Over HTTP/2 hyper sends what body it is given, whatever method and status say.
#[tokio::test]
async fn over_http2_such_bodies_are_complete_when_the_client_lets_go() {
    for (method, path) in [
        (Method::HEAD, "/full"),
        (Method::HEAD, "/endless"),
        (Method::GET, "/204"),
        (Method::GET, "/304"),
        (Method::GET, "/announced/endless"),
    ] {
        let (server, mut ends) = guarded();
        let client = Client::connect(&server, Version::HTTP_2).await;
        let response = client.send(request(method.clone(), path)).await.unwrap();
        let mut body = response.into_body();
        if path.starts_with("/announced") {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), "soup");
        }
        drop(body);
        assert_eq!(ends.next().await, COMPLETE, "{method} {path}");
        ends.were_all(server).await;
    }
}

#[tokio::test]
async fn the_announced_length_ends_a_body_that_never_says_so() {
    let (server, mut ends) = guarded();
    let client = Client::connect(&server, Version::HTTP_11).await;
    for _ in 0..2 {
        let response = client.read("/announced/endless").await.unwrap();
        assert_eq!(response.body(), "soup");
        assert_eq!(ends.next().await, COMPLETE);
    }
    ends.were_all(server).await;
}

/// hyper takes a body in one piece whole, and keeps what the client does not read yet.
#[tokio::test]
async fn a_body_in_one_piece_is_complete_before_its_client_has_read_it() {
    for version in VERSIONS {
        let (server, mut ends) = guarded();
        let client = Client::connect(&server, version).await;
        let response = client.get("/large").await.unwrap();
        assert_eq!(ends.next().await, COMPLETE, "{version:?}");
        assert_eq!(read(response).await.len(), LARGE);
        ends.were_all(server).await;
    }
}

#[tokio::test]
async fn trailers_are_told() {
    for version in VERSIONS {
        let (server, mut ends) = guarded();
        let client = Client::connect(&server, version).await;
        for te in [Some("trailers"), None] {
            let mut request = request(Method::GET, "/trailers");
            let te = te.map(|te| request.headers_mut().insert("te", te.parse().unwrap()));
            let response = client.send(request).await.unwrap();
            let collected = response.into_body().collect().await.unwrap();
            // Over HTTP/1.1 they are sent only to those who ask. The guard is told all the same.
            let arrive = version == Version::HTTP_2 || te.is_some();
            assert_eq!(collected.trailers(), arrive.then(trailers).as_ref());
            assert_eq!(ends.next().await, Ended::Complete(Some(trailers())));
        }
        ends.were_all(server).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_drops_the_body() {
    for version in VERSIONS {
        let (server, mut ends) = guarded();
        let client = Client::connect(&server, version).await;
        let mut body = client.get("/endless").await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        drop(client);
        assert_eq!(ends.next().await, Ended::Dropped, "{version:?}");
        ends.were_all(server).await;
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_drops_the_body_and_not_the_connection() {
    let (server, mut ends) = guarded();
    let client = Client::connect(&server, Version::HTTP_2).await;
    drop(client.get("/endless").await.unwrap());
    assert_eq!(ends.next().await, Ended::Dropped);
    assert_eq!(client.read("/full").await.unwrap().body(), "soup");
    assert_eq!(ends.next().await, COMPLETE);
    ends.were_all(server).await;
}

#[tokio::test]
async fn a_body_that_fails_has_failed() {
    for version in VERSIONS {
        let (server, mut ends) = guarded();
        let client = Client::connect(&server, version).await;
        client.read("/fails").await.unwrap_err();
        assert_eq!(ends.next().await, Ended::Failed, "{version:?}");
        ends.were_all(server).await;
    }
}

#[tokio::test]
async fn neither_a_guard_nor_a_retry_nor_health_changes_a_byte_over_http1() {
    let (guarded, _ends) = guarded();
    let (retried, counted, unguarded) = (retried(), counted(), unguarded());
    for method in ["GET", "HEAD"] {
        for path in [
            "/full",
            "/empty",
            "/204",
            "/304",
            "/announced",
            "/announced/endless",
            "/streamed",
            "/ending",
            "/trailers",
        ] {
            // A retry looks into the answers to such requests.
            let sent = format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nte: trailers\r\ncontent-type: application/grpc\r\n\
                 connection: close\r\n\r\n"
            );
            let without = exchange(&unguarded, &sent).await;
            for server in [&guarded, &retried, &counted] {
                assert_eq!(exchange(server, &sent).await, without, "{method} {path}");
            }
            // Of an empty body hyper says so, but not to HEAD.
            let announced = ["/full", "/announced", "/announced/endless"].contains(&path);
            let empty = (method, path) == ("GET", "/empty");
            assert_eq!(without.contains("content-length: "), announced || empty, "{without}");
        }
    }
}

#[tokio::test]
async fn neither_a_guard_nor_a_retry_nor_health_changes_a_header_over_http2() {
    let (guarded, _ends) = guarded();
    let (retried, counted, unguarded) = (retried(), counted(), unguarded());
    for path in
        ["/full", "/empty", "/204", "/304", "/announced", "/streamed", "/ending", "/trailers"]
    {
        let mut heads = Vec::new();
        for server in [&guarded, &retried, &counted, &unguarded] {
            let client = Client::connect(server, Version::HTTP_2).await;
            let mut request = request(Method::GET, path);
            request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            let (mut head, body) = client.send(request).await.unwrap().into_parts();
            head.headers.remove("date");
            heads.push((head.status, head.headers, body.is_end_stream()));
        }
        assert!(heads.iter().all(|head| *head == heads[3]), "{path}: {heads:?}");
        assert_eq!(
            heads[0].1.contains_key("content-length"),
            ["/full", "/announced"].contains(&path),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_refusal_to_head_says_the_length_of_the_one_to_get_and_keeps_the_connection() {
    let server = Server::hyper(service_fn(async |request: Request<Incoming>| {
        let rejection = Rejection::new(Reason::new("closed"), StatusCode::SERVICE_UNAVAILABLE);
        Ok::<_, Infallible>(rejection.respond(Protocol::of(Head::of(&request))))
    }));
    let mut raw = Raw::open(&server, "").await;
    let mut lengths = Vec::new();
    for method in ["HEAD", "GET", "HEAD", "GET"] {
        raw.write(&format!("{method} / HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        let head = raw.read_to("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        lengths.push(length);
        if method == "GET" {
            assert_eq!(raw.read_to("}").await.len(), length);
        }
    }
    assert_eq!(lengths, [lengths[0]; 4]);
    // Over HTTP/2 a length that does not hold would be an error of the stream.
    let client = Client::connect(&server, Version::HTTP_2).await;
    for _ in 0..2 {
        let response = client.send(request(Method::HEAD, "/")).await.unwrap();
        assert_eq!(response.headers()["content-length"], *lengths[0].to_string());
        assert_eq!(read(response).await, "");
    }
}
