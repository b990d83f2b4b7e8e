//! Clients that are slow to send their requests.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use palisade::timeout::request_body::Stalls;
use palisade_testkit::sockets::{Client, Raw, Server, eventually, exchange};
use tokio::time::sleep;

use super::{Work, is_hello, is_problem};

/// A server that does what [`answer`](super::answer) does, for clients that keep sending.
pub(crate) struct Uploads {
    pub(crate) server: Server,
    pub(crate) work: Work,
    pub(crate) stalls: Stalls,
}

const POST: &str = "POST /upload HTTP/1.1\r\nhost: x\r\n";

pub(crate) async fn a_client_that_stops_sending_is_told_so_and_hung_up_on(served: Uploads) {
    let heads =
        ["content-length: 10\r\n\r\nsoup ", "transfer-encoding: chunked\r\n\r\n5\r\nsoup \r\n"];
    for head in heads {
        let answer = exchange(&served.server, &format!("{POST}{head}")).await;
        is_request_timeout(&answer);
        assert_eq!(served.work.under_way(), 0);
    }
    assert_eq!(served.stalls.stalled(), 2);
}

fn is_request_timeout(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let problem: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["type"], "urn:palisade:request-stalled");
}

pub(crate) async fn a_client_that_is_told_to_continue_and_does_not_is_hung_up_on(served: Uploads) {
    let sent = format!("{POST}expect: 100-continue\r\ncontent-length: 10\r\n\r\n");
    let answer = exchange(&served.server, &sent).await;
    let answer = answer.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    is_request_timeout(answer);
    assert_eq!((served.stalls.stalled(), served.work.under_way()), (1, 0));
}

pub(crate) async fn a_stream_that_stops_sending_leaves_its_connection_be(served: Uploads) {
    let client = Client::connect(&served.server, Version::HTTP_2).await;
    for stalled in 1..=2 {
        let half = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"soup ")))]);
        let body = StreamBody::new(half.chain(stream::pending()));
        let response = client.send(Request::post("/upload").body(body).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let response = Response::from_parts(head, body);
        is_problem(&response, 408, "request-stalled");
        assert!(!response.headers().contains_key("connection"));
        eventually(|| served.work.under_way() == 0).await;
        assert_eq!(served.stalls.stalled(), stalled);
        is_hello(&client).await;
    }
}

/// For longer than the limit in all; it takes a machine that stands still for most of a second to
/// break it.
pub(crate) async fn a_client_that_trickles_is_heard_out(served: Uploads) {
    served.stalls.set_limit(Duration::from_secs(1));
    let mut raw =
        Raw::open(&served.server, &format!("{POST}transfer-encoding: chunked\r\n\r\n")).await;
    for _ in 0..12 {
        sleep(Duration::from_millis(100)).await;
        raw.write("1\r\n.\r\n").await;
    }
    raw.write("0\r\n\r\n").await;
    let head = raw.read_to("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(raw.read_to("............").await, "............");
    assert_eq!(served.stalls.stalled(), 0);
}
