use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{future::join_all, stream};
use http::{
    Method, Request, Response, StatusCode, Version,
    header::{CONTENT_TYPE, TE},
};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use palisade_testkit::sockets::Client;
use tokio::time::timeout;

use super::{
    answers::pattern,
    clients,
    headers::CLIENT,
    tap::{Looks, is_refusal, look},
};
use crate::soaks::Dice;

/// Everybody who asks, and what they have seen.
pub(crate) struct Crowd {
    pub(crate) server: SocketAddr,
    asked: AtomicU64,
    looks: Mutex<Looks>,
    done: Mutex<BTreeMap<&'static str, u64>>,
}

/// Nobody waits for longer, on the slowest machine: whoever does hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

impl Crowd {
    pub(crate) fn new(server: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            server,
            asked: AtomicU64::new(0),
            looks: Mutex::default(),
            done: Mutex::default(),
        })
    }

    /// How a client's refusals looked to it.
    pub(crate) fn looks(&self) -> Looks {
        self.looks.lock().unwrap().clone()
    }

    pub(crate) fn done(&self) -> BTreeMap<&'static str, u64> {
        self.done.lock().unwrap().clone()
    }

    /// So many clients do so many things each, one after the other.
    pub(crate) async fn asks(self: &Arc<Self>, seed: u64, clients: u64, things: u64) {
        let clients = (0..clients).map(|client| {
            let (crowd, mut dice) = (Arc::clone(self), Dice::new(seed.wrapping_add(client)));
            let name = format!("{seed}-{client}");
            tokio::spawn(async move {
                for _ in 0..things {
                    // Of all that they ask, some is in the name of one that all share.
                    let name = if dice.percent(10) { "greedy" } else { &name };
                    let done = timeout(PATIENCE, clients::does(&crowd, &mut dice, name)).await;
                    let done = done.unwrap_or_else(|_| panic!("{name} waits for ever"));
                    *crowd.done.lock().unwrap().entry(done).or_default() += 1;
                }
            })
        });
        for client in join_all(clients.collect::<Vec<_>>()).await {
            client.unwrap();
        }
    }

    pub(crate) async fn connects(&self, version: Version) -> Client {
        Client::connect_to(self.server, version).await
    }

    /// A name that no other request has.
    pub(crate) fn id(&self) -> String {
        format!("{}", self.asked.fetch_add(1, SeqCst))
    }

    /// Asks over a connection for what works, in the name of nobody else, and says what is answered.
    pub(crate) async fn asks_over(&self, client: &Client, path: &str) -> StatusCode {
        let method = if path == "/echo" { Method::POST } else { Method::GET };
        let name = format!("well {}", self.id());
        let request = Request::builder().method(method).uri(path).header(CLIENT, name);
        let request = request.body(upload(if path == "/echo" { 100 } else { 0 })).unwrap();
        let (head, body) = self.takes(client.send(request).await).await.expect("an answer");
        assert!(body.is_some(), "{path}: {head:?}");
        head.status
    }

    pub(crate) async fn asks_well(&self, version: Version, path: &str) -> StatusCode {
        self.asks_over(&self.connects(version).await, path).await
    }

    /// Calls the upstream with what may be done twice.
    pub(crate) async fn calls(&self, version: Version) -> StatusCode {
        self.asks_well(version, "/call").await
    }

    /// The same over gRPC, which works.
    pub(crate) async fn calls_grpc_well(&self) {
        let client = self.connects(Version::HTTP_2).await;
        let request = grpc_call("well").body(upload(5)).unwrap();
        let (head, body) = self.takes(client.send(request).await).await.expect("an answer");
        assert_eq!(head.headers["grpc-status"], "0");
        assert_eq!(body.expect("a message").len(), 5);
    }

    /// Begins to read what is cut off when its time is up; the future reads on until then.
    pub(crate) async fn begins_what_takes_long(&self, client: &Client) -> impl Future<Output = ()> {
        let mut body = client.get_as("/endless", "last").await.expect("an answer").into_body();
        assert!(body.frame().await.expect("a frame").is_ok());
        async move { while let Some(Ok(_)) = body.frame().await {} }
    }

    /// Reads an answer to its end, if it has one.
    pub(crate) async fn takes(
        &self,
        answer: hyper::Result<Response<Incoming>>,
    ) -> Option<(http::response::Parts, Option<Bytes>)> {
        let (head, body) = answer.ok()?.into_parts();
        let body = body.collect().await.ok().map(|body| {
            let grpc = body.trailers().and_then(|trailers| trailers.get("grpc-status").cloned());
            (body.to_bytes(), grpc)
        });
        let mut response = Response::from_parts(head, ());
        if let Some((bytes, status)) = &body {
            if is_refusal(&response) {
                let look = look(&response, || problem(bytes));
                *self.looks.lock().unwrap().entry(look).or_default() += 1;
            }
            if let Some(status) = status {
                response.headers_mut().insert("grpc-status", status.clone());
            }
        }
        Some((response.into_parts().0, body.map(|(bytes, _)| bytes)))
    }
}

/// The type of a problem.
fn problem(bytes: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    problem["type"].as_str().unwrap().to_owned()
}

fn get(path: &str, name: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header(CLIENT, name).body(Empty::new()).unwrap()
}

/// A body of this length, in frames.
pub(crate) fn upload(
    length: usize,
) -> impl http_body::Body<Data = Bytes, Error = std::convert::Infallible> {
    let body: Bytes = (0..length).map(pattern).collect();
    let frames = (0..length)
        .step_by(1500)
        .map(move |at| Ok(Frame::data(body.slice(at..length.min(at + 1500)))));
    StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))
}

pub(crate) fn grpc_call(name: &str) -> http::request::Builder {
    let call = Request::post("/call").header(CLIENT, name);
    call.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers")
}

/// What a test client asks in somebody's name.
pub(crate) trait Asks {
    async fn get_as(&self, path: &str, name: &str) -> hyper::Result<Response<Incoming>>;
}

impl Asks for Client {
    async fn get_as(&self, path: &str, name: &str) -> hyper::Result<Response<Incoming>> {
        self.send(get(path, name)).await
    }
}
