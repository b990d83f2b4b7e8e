//! What core's classifiers make of what real servers do, over HTTP/1.1 and HTTP/2.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod bodies;
mod judged;

use std::{convert::Infallible, future::ready, io, time::Duration};

use bodies::{AnyBody, plain};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use judged::{VERSIONS, echo, judged, outcome_of_call, outcome_of_get, over, request};
use palisade::{AutoClassifier, Classify, Head, Outcome, Protocol, Reason, Rejection};
use palisade_testkit::{
    Gate,
    grpc::{CountRequest, Echo, EchoServer, SayRequest},
    sockets::Server,
};
use tonic::{
    Code,
    transport::{self, server::TcpIncoming},
};
use tower::{ServiceExt, service_fn};

const THROTTLED: Outcome = Outcome::Throttled { retry_after: None };

type Frames = Vec<io::Result<Frame<Bytes>>>;

/// A body of these frames, where an error waits at the gate: it would overtake the head.
fn streamed(frames: Frames, gate: Gate) -> AnyBody {
    let frames = stream::iter(frames).then(move |frame| {
        let gate = gate.clone();
        async move {
            if frame.is_err() {
                gate.pass().await;
            }
            frame
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn cut_off() -> io::Result<Frame<Bytes>> {
    Err(io::Error::other("cut off"))
}

/// Answers with the status that is the path, and `Retry-After: 7`; else as `bodies` does.
fn http_server(gate: Gate) -> Server {
    Server::hyper(service_fn(move |request: Request<Incoming>| {
        let status = request.uri().path()[1..].parse().ok();
        ready(Ok::<_, Infallible>(match status {
            Some(status) => {
                let answer = Response::builder().status::<u16>(status).header("retry-after", "7");
                answer.body(streamed(Vec::new(), gate.clone())).unwrap()
            }
            None if request.uri().path() == "/cut" => {
                Response::new(streamed(vec![Ok(message()), cut_off()], gate.clone()))
            }
            None => plain(&request),
        }))
    }))
}

#[tokio::test]
async fn an_http_answer_is_judged_by_its_head_however_its_body_ends() {
    let gate = Gate::new();
    let server = http_server(gate.clone());
    let seven = Outcome::Throttled { retry_after: Some(Duration::from_secs(7)) };
    for version in VERSIONS {
        for (method, path, expected) in [
            (Method::HEAD, "/full", Outcome::Success),
            (Method::HEAD, "/announced", Outcome::Success),
            (Method::HEAD, "/503", Outcome::Failure),
            (Method::HEAD, "/429", seven),
            (Method::GET, "/announced", Outcome::Success),
            (Method::GET, "/streamed", Outcome::Success),
            (Method::GET, "/trailers", Outcome::Success),
            (Method::GET, "/204", Outcome::Success),
            (Method::GET, "/304", Outcome::Success),
            (Method::GET, "/cut", Outcome::Success),
            (Method::GET, "/404", Outcome::Ignored),
            (Method::POST, "/409", Outcome::Ignored),
            (Method::GET, "/429", seven),
            (Method::GET, "/500", Outcome::Failure),
            (Method::GET, "/501", Outcome::Ignored),
            (Method::GET, "/503", Outcome::Failure),
            (Method::GET, "/505", Outcome::Ignored),
        ] {
            let (client, mut outcomes) = judged(over(version));
            let answer = client.oneshot(request(&method, server.address(), path)).await.unwrap();
            if path == "/cut" {
                gate.let_pass(1);
            }
            let read = answer.into_body().collect().await;
            assert!(path != "/cut" || read.is_err());
            assert_eq!(outcomes.next().await, expected, "{version:?} {method} {path}");
            outcomes.were_all().await;
        }
    }
}

#[tokio::test]
async fn a_refusal_that_came_over_the_wire_is_the_servers_own() {
    const BUSY: Reason = Reason::new("busy");
    let server = Server::hyper(service_fn(async |request: Request<Incoming>| {
        let busy = Rejection::new(BUSY, StatusCode::TOO_MANY_REQUESTS);
        let protocol = Protocol::of(Head::of(&request));
        Ok::<_, Infallible>(busy.with_retry_after(Duration::from_secs(3)).respond(protocol))
    }));
    let throttled = Outcome::Throttled { retry_after: Some(Duration::from_secs(3)) };
    for version in VERSIONS {
        assert_eq!(outcome_of_get(server.address(), version).await, throttled, "{version:?}");
    }
    assert_eq!(outcome_of_call(server.address()).await, (throttled, Code::ResourceExhausted));
}

fn tonic_server(gate: Gate) -> Server {
    let echo = EchoServer::new(Echo::new(gate));
    Server::start(|listener| {
        transport::Server::builder()
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    })
}

#[tokio::test]
async fn a_grpc_status_is_found_in_trailers_and_in_the_head_of_a_trailers_only_answer() {
    let server = tonic_server(Gate::new());
    let (mut client, mut outcomes) = echo(server.address());
    for number in 0..=16 {
        let code = Code::from(number);
        let said = client.say(SayRequest { code: number, ..SayRequest::default() }).await;
        assert_eq!(said.map_or_else(|status| status.code(), |_| Code::Ok), code);
        let expected = match code {
            Code::Ok => Outcome::Success,
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unknown
            | Code::DataLoss => Outcome::Failure,
            Code::ResourceExhausted => THROTTLED,
            _ => Outcome::Ignored,
        };
        assert_eq!(outcomes.next().await, expected, "{code:?}");
    }
    drop(client);
    outcomes.were_all().await;
}

/// An answer to a gRPC call with this content type and this body, and its outcome.
async fn outcome_of_grpc(version: Version, kind: &'static str, frames: fn() -> Frames) -> Outcome {
    let gate = Gate::new();
    let inner_gate = gate.clone();
    let server = Server::hyper(service_fn(move |_: Request<Incoming>| {
        let body = streamed(frames(), inner_gate.clone());
        ready(Response::builder().header("content-type", kind).body(body))
    }));
    let (client, mut outcomes) = judged(over(version));
    let mut request = request(&Method::POST, server.address(), "/menu.Menu/Today");
    request.headers_mut().insert("content-type", kind.parse().unwrap());
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let answer = client.oneshot(request).await.unwrap();
    gate.open();
    answer.into_body().collect().await.ok();
    outcomes.next().await
}

fn message() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(&[0, 0, 0, 0, 1, 42]))
}

fn status(status: &'static str) -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    Frame::trailers(trailers)
}

#[tokio::test]
async fn a_grpc_stream_is_judged_by_how_it_ends() {
    let cases: [(fn() -> Frames, Outcome); 7] = [
        (|| vec![Ok(message()), Ok(message()), Ok(status("0"))], Outcome::Success),
        (|| vec![Ok(message()), Ok(message()), Ok(status("14"))], Outcome::Failure),
        (|| vec![Ok(message()), Ok(status("5"))], Outcome::Ignored),
        (|| vec![Ok(message()), Ok(status("what?"))], Outcome::Failure),
        (|| vec![Ok(message())], Outcome::Failure),
        (|| vec![Ok(Frame::trailers(HeaderMap::new()))], Outcome::Failure),
        (|| vec![Ok(message()), cut_off()], Outcome::Failure),
    ];
    for (frames, expected) in cases {
        let got = outcome_of_grpc(Version::HTTP_2, "application/grpc", frames).await;
        assert_eq!(got, expected, "{:?}", frames());
    }
}

#[tokio::test]
async fn a_grpc_web_stream_is_judged_by_whether_it_arrives() {
    /// A frame of trailers, which are part of the body: `UNAVAILABLE`.
    fn hidden() -> Frame<Bytes> {
        Frame::data(Bytes::from_static(b"\x80\0\0\0\x11grpc-status: 14\r\n"))
    }
    let cases: [(fn() -> Frames, Outcome); 2] = [
        (|| vec![Ok(message()), Ok(hidden())], Outcome::Success),
        (|| vec![Ok(message()), cut_off()], Outcome::Failure),
    ];
    for (frames, expected) in cases {
        for version in VERSIONS {
            let got = outcome_of_grpc(version, "application/grpc-web", frames).await;
            assert_eq!(got, expected, "{version:?} {:?}", frames());
        }
    }
}

#[tokio::test]
async fn a_grpc_stream_that_nobody_waits_for_is_ignored() {
    let server = tonic_server(Gate::new());
    let (mut client, mut outcomes) = echo(server.address());
    let mut numbers = client.count(CountRequest { to: 2, held: true }).await.unwrap().into_inner();
    assert_eq!(numbers.message().await.unwrap().unwrap().number, 1);
    drop(numbers);
    assert_eq!(outcomes.next().await, Outcome::Ignored);
}

/// Its client says `CANCELLED`, which the service never did.
#[tokio::test]
async fn a_tonic_handler_that_panics_has_failed() {
    let server = tonic_server(Gate::new());
    let (mut client, mut outcomes) = echo(server.address());
    let panics = SayRequest { panics: true, ..SayRequest::default() };
    let status = client.say(panics).await.unwrap_err();
    assert_eq!((status.code(), outcomes.next().await), (Code::Cancelled, Outcome::Failure));
    // Nor does an inner layer that makes an error of it fool anybody.
    assert_eq!(AutoClassifier.error(&status), Outcome::Failure);
}
