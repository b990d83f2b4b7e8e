use std::{future::pending, io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Method, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::time::sleep;

use super::Work;

/// The second frame of `/flood`: more than all that sockets and servers buffer on the way to a client
/// that does not read.
const HUGE: usize = 64 << 20;
static ZEROES: [u8; HUGE] = [0; HUGE];

/// All of them.
pub(crate) const FLOOD: usize = HUGE + 32;

/// What the server does for a path. Other than that, it only has the layer.
pub(crate) async fn answer<B>(work: Work, mut request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    let working = work.begin();
    let frames = match request.uri().path() {
        "/hello" => return Response::new(Body::from("hello")),
        "/hangs" => pending().await,
        "/endless" => stream::iter([Bytes::from_static(b"soup")]).chain(stream::pending()).boxed(),
        "/ticks" => ticks().boxed(),
        "/flood" => {
            let frames = [1, HUGE].into_iter().chain([1; FLOOD - HUGE - 1]);
            stream::iter(frames.map(|size| Bytes::from_static(&ZEROES[..size]))).boxed()
        }
        "/upload" => {
            return match request.into_body().collect().await {
                Ok(read) => Response::new(Body::from(read.to_bytes())),
                // As extractors do.
                Err(_) => Response::builder().status(400).body(Body::empty()).unwrap(),
            };
        }
        "/upgrade" => {
            becomes_an_echo(&mut request);
            return Response::builder()
                .status(101)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "echo")
                .body(Body::empty())
                .unwrap();
        }
        "" if request.method() == Method::CONNECT => {
            becomes_an_echo(&mut request);
            return Response::new(Body::empty());
        }
        path => panic!("nothing is at {path}"),
    };
    // What is under way is the body now.
    let frames = frames.map(move |bytes| {
        let _ = &working;
        Ok::<_, io::Error>(Frame::data(bytes))
    });
    Response::new(Body::new(StreamBody::new(frames)))
}

/// Ten frames, a twentieth of a second apart.
fn ticks() -> impl Stream<Item = Bytes> {
    stream::iter(0..10).then(async |_| {
        sleep(Duration::from_millis(50)).await;
        Bytes::from_static(b".")
    })
}

/// Once the response is out, all that comes over the connection goes back.
fn becomes_an_echo<B>(request: &mut Request<B>) {
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let connection = TokioIo::new(upgraded.await.unwrap());
        let (mut from, mut to) = tokio::io::split(connection);
        // Errors say that the client is gone.
        tokio::io::copy(&mut from, &mut to).await.ok();
    });
}
