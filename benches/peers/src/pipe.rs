//! A hyper HTTP/1 connection over an in-memory pipe.

use std::error::Error;

use axum::body::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Builder,
};
use tower::Service;

use crate::drive::{Sample, now};

pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\
    user-agent: bench\r\nx-api-key: 0123456789abcdef\r\n\r\n";

/// One connection, one thread; the client writes a request's bytes and reads the answer's, so that
/// as much of the time as can be is the server's.
pub(crate) fn over_pipe<S, B>(service: S) -> Sample
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let runtime =
        Builder::new_current_thread().enable_time().build().expect("a runtime can be made");
    let (mut client, server) = tokio::io::duplex(4096);
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(service));
    runtime.spawn(connection);
    let mut answer = runtime.block_on(first_answer(&mut client));
    Box::new(move |calls| {
        let elapsed = runtime.block_on(async {
            let began = now();
            for _ in 0..calls {
                client.write_all(REQUEST).await.expect("the server reads");
                client.read_exact(&mut answer).await.expect("the server answers");
            }
            began.elapsed()
        });
        assert_ok(&answer);
        elapsed
    })
}

/// All answers are as long as the first.
async fn first_answer(client: &mut DuplexStream) -> Vec<u8> {
    client.write_all(REQUEST).await.expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhello") {
        let read = client.read_buf(&mut answer).await.expect("the server answers");
        assert_ne!(read, 0, "the server hung up");
    }
    assert_ok(&answer);
    answer
}

pub(crate) fn assert_ok(answer: &[u8]) {
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
}
