//! Which failures prove that nothing was sent.

use std::{future::ready, io};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, Uri, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo},
};
use palisade::{AutoClassifier, Classify, Outcome};
use palisade_testkit::{
    grpc::{EchoClient, SayRequest},
    sockets::{Server, deaf},
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};
use tonic::Code;
use tower::{ServiceExt, service_fn};

use super::{
    Legacy, VERSIONS, channel, judged, outcome_of_call, outcome_of_get, over,
    peer::{Then, goaway, head, peer, reset},
    request,
};

/// HTTP/2's codes for what went wrong (RFC 9113 §7).
const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn at_a_dead_port_nothing_was_sent() {
    let dead = deaf();
    let address = dead.local_addr().unwrap();
    for version in VERSIONS {
        assert_eq!(outcome_of_get(address, version).await, Outcome::NotSent, "{version:?}");
    }
    assert_eq!(outcome_of_call(address).await, (Outcome::NotSent, Code::Unavailable));
    // As a status, too, it still says why.
    let status = EchoClient::new(channel(address)).say(SayRequest::default()).await.unwrap_err();
    assert_eq!(AutoClassifier.error(&status), Outcome::NotSent);
}

/// Also one that is reset, in a handshake say: the request waits for it to be made.
#[tokio::test]
async fn whatever_a_connector_fails_of_nothing_was_sent() {
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    let connector = service_fn(move |_: Uri| ready(Err::<TokioIo<TcpStream>, _>(reset())));
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let (client, mut outcomes) = judged(client);
    let nowhere = ([127, 0, 0, 1], 80).into();
    client.oneshot(request(&Method::POST, nowhere, "/")).await.map(drop).unwrap_err();
    assert_eq!(outcomes.next().await, Outcome::NotSent);
}

#[tokio::test]
async fn a_connection_that_ends_after_the_request_proves_nothing() {
    for then in [Then::Reset, Then::Close] {
        let server = peer(Vec::new(), then);
        let got = outcome_of_get(server.address(), Version::HTTP_2).await;
        assert_eq!(got, Outcome::Failure, "HTTP/2 {then:?}");
        assert_eq!(outcome_of_call(server.address()).await.0, Outcome::Failure, "gRPC {then:?}");

        let server = Server::start(move |listener: TcpListener| async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.read_u8().await.ok();
                if let Then::Reset = then {
                    stream.set_zero_linger().ok();
                }
            }
        });
        let got = outcome_of_get(server.address(), Version::HTTP_11).await;
        assert_eq!(got, Outcome::Failure, "HTTP/1.1 {then:?}");
    }
}

#[tokio::test]
async fn a_stream_that_was_refused_was_not_sent_and_one_that_was_reset_may_have_been() {
    for (code, expected) in [
        (REFUSED_STREAM, Outcome::NotSent),
        (CANCEL, Outcome::Failure),
        (INTERNAL_ERROR, Outcome::Failure),
        (NO_ERROR, Outcome::Failure),
    ] {
        let server = peer(reset(code), Then::Hold);
        let got = outcome_of_get(server.address(), Version::HTTP_2).await;
        assert_eq!(got, expected, "{code}");
        assert_eq!(outcome_of_call(server.address()).await.0, expected, "gRPC {code}");
    }
}

#[tokio::test]
async fn a_stream_that_is_refused_after_it_was_answered_has_failed() {
    let server = peer([head(), reset(REFUSED_STREAM)].concat(), Then::Hold);
    assert_eq!(outcome_of_call(server.address()).await.0, Outcome::Failure);
}

#[tokio::test]
async fn a_server_that_goes_away_says_what_it_did_not_look_at() {
    for (frames, expected) in [
        (goaway(0, NO_ERROR), Outcome::NotSent),
        // The request was looked at.
        (goaway(1, NO_ERROR), Outcome::Failure),
        (goaway(0x7fff_ffff, NO_ERROR), Outcome::Failure),
        ([goaway(0x7fff_ffff, NO_ERROR), goaway(0, NO_ERROR)].concat(), Outcome::NotSent),
        // What went wrong may be this request, and h2 tells all streams the same.
        (goaway(1, ENHANCE_YOUR_CALM), Outcome::Failure),
        (goaway(0, INTERNAL_ERROR), Outcome::Failure),
    ] {
        let server = peer(frames.clone(), Then::Close);
        let got = outcome_of_get(server.address(), Version::HTTP_2).await;
        assert_eq!(got, expected, "{frames:?}");
        assert_eq!(outcome_of_call(server.address()).await.0, expected, "gRPC {frames:?}");
    }
}

#[tokio::test]
async fn what_hyper_never_wrote_was_not_sent() {
    let get = || Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    let io = TokioIo::new(tokio::io::duplex(1024).0);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    drop(connection);
    let error = sender.send_request(get()).await.unwrap_err();
    assert!(error.is_canceled());
    assert_eq!(AutoClassifier.error(&error), Outcome::NotSent);
}

/// A gateway's request body comes from a connection of its own, whose errors say nothing of this one: an
/// upload that its client gave up neither was not sent nor is anybody's failure here.
#[tokio::test]
async fn what_befell_the_requests_own_body_says_nothing() {
    let server = Server::hyper(service_fn(async |request: Request<Incoming>| {
        request.into_body().collect().await?;
        Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
    }));
    for version in VERSIONS {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let frames = [Ok(Frame::data(Bytes::from_static(b"so"))), Err(refused)];
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let client: Legacy<UnsyncBoxBody<Bytes, io::Error>> = over(version);
        let (client, mut outcomes) = judged(client);
        let post = request(&Method::POST, server.address(), "/").map(|_| body);
        client.oneshot(post).await.map(drop).unwrap_err();
        assert_eq!(outcomes.next().await, Outcome::Ignored, "{version:?}");
    }
}
