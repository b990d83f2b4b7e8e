//! Requests that are refused before their bodies were read.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use palisade_testkit::sockets::{Raw, eventually};
use tokio::time::timeout;

use super::{Served, is_refusal, let_in, read};

const POST: &str = "POST /upload HTTP/1.1\r\nhost: x\r\n";
const LAST: &str = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// All a connection may have under way, many times.
const LARGE: usize = 4 << 20;

async fn exhausted(served: &Served) {
    assert_eq!(let_in(&served.client().await, 6, &[]).await, 5);
}

/// What has come with its head is read, and the connection kept.
pub(crate) async fn a_small_upload_that_is_refused_leaves_its_connection_be(served: Served) {
    exhausted(&served).await;
    let sent = format!("{POST}content-length: 4\r\n\r\nsoup").repeat(3) + LAST;
    let answers = Raw::open(&served.server, &sent).await.read_to_end().await;
    assert_eq!(answers.matches("HTTP/1.1 429 ").count(), 4, "{answers}");
}

/// Whose next request would have to be looked for behind a body that nobody reads. The refusal comes
/// first, and the server hangs up rather than wait.
pub(crate) async fn an_upload_that_is_refused_is_not_waited_for(served: Served) {
    exhausted(&served).await;
    let heads = [
        "content-length: 4000000\r\n\r\nsoup",
        "transfer-encoding: chunked\r\n\r\n4\r\nsoup\r\n",
        "expect: 100-continue\r\ncontent-length: 4000000\r\n\r\n",
    ];
    for head in heads {
        let mut raw = Raw::open(&served.server, &format!("{POST}{head}")).await;
        let answer = timeout(Duration::from_secs(10), raw.read_to_end()).await;
        let answer = answer.expect("the server hangs up");
        assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nretry-after: "), "{answer}");
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{answer}");
    }
}

/// Streams that are refused give back what they took of their connection's window.
pub(crate) async fn large_uploads_that_are_refused_leave_their_connection_be(served: Served) {
    assert_eq!(served.version, Version::HTTP_2);
    exhausted(&served).await;
    let client = served.client().await;
    for _ in 0..8 {
        let body = Full::new(Bytes::from(vec![0; LARGE]));
        is_refusal(&read(&client, Request::post("/upload").body(body).unwrap()).await);
        // One that never ends.
        let half = stream::iter([Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"soup ")))]);
        let endless = StreamBody::new(half.chain(stream::pending()));
        is_refusal(&read(&client, Request::post("/upload").body(endless).unwrap()).await);
    }
    served.buckets.reset(&"127.0.0.1".parse().unwrap());
    let body = Full::new(Bytes::from(vec![0; LARGE]));
    let upload = client.send(Request::post("/upload").body(body).unwrap());
    let answer = timeout(Duration::from_secs(10), upload).await.expect("there is a window left");
    let read = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(read, LARGE.to_string());
}

/// Else giving up in time would be the way to ask for more. The first is admitted and begun; what it took
/// stays taken.
pub(crate) async fn who_gives_up_has_asked(served: Served) {
    let key = "127.0.0.1".parse().unwrap();
    for left in (0..5).rev() {
        let client = served.client().await;
        let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
        let upload = Request::post("/upload").body(body).unwrap();
        let call = tokio::spawn(async move { client.send(upload).await.map(drop) });
        eventually(|| served.buckets.get(&key).remaining() == left).await;
        call.abort();
        call.await.unwrap_err();
    }
    assert_eq!(let_in(&served.client().await, 2, &[]).await, 0);
}
