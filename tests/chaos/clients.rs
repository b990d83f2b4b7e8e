//! Those who ask as one should, though not always to the end.

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
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use palisade_testkit::sockets::Client;
use tokio::time::{sleep, timeout};

use super::{
    answers::pattern,
    handlers::{FRAME, STREAM},
    headers::{CLIENT, ID, IDEMPOTENCY_KEY, ONCE, TOOK},
    rude,
    stack::MAX_BODY,
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

const MS: Duration = Duration::from_millis(1);

/// The next request of a client.
type Next<'a> = (&'a Crowd, &'a mut Dice, &'a str);

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
                    let done = timeout(PATIENCE, crowd.does(&mut dice, name)).await;
                    let done = done.unwrap_or_else(|_| panic!("{name} waits for ever"));
                    *crowd.done.lock().unwrap().entry(done).or_default() += 1;
                }
            })
        });
        for client in join_all(clients.collect::<Vec<_>>()).await {
            client.unwrap();
        }
    }

    async fn does(&self, dice: &mut Dice, name: &str) -> &'static str {
        let version = dice.one_of(&[Version::HTTP_11, Version::HTTP_2]);
        match dice.below(22) {
            0 | 1 => reads((self, dice, name), version).await,
            2..=5 => calls((self, dice, name), version).await,
            6..=8 => calls_grpc((self, dice, name)).await,
            9 | 10 => gives_up((self, dice, name), version).await,
            11 => is_patient((self, dice, name), version).await,
            12 => asks_much_at_once((self, dice, name)).await,
            13 => meets_a_panic((self, dice, name), version).await,
            _ => rude::does(self, dice, name).await,
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

fn get(path: &str, name: &str) -> Request<http_body_util::Empty<Bytes>> {
    Request::get(path).header(CLIENT, name).body(http_body_util::Empty::new()).unwrap()
}

/// What a well-behaved client of something that works may be told instead.
fn is_expected(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 429 | 503)
}

/// Nobody who asks for what works, and waits, goes without an answer.
async fn reads((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    for _ in 0..=dice.below(3) {
        let path = dice.one_of(&["/hello", "/stream", "/free"]);
        let (head, body) = crowd.takes(client.get_as(path, name).await).await.expect("an answer");
        assert!(is_expected(head.status), "{path}: {head:?}");
        if head.status == 200 && path == "/stream" {
            // A body may be cut off, and then it is not whole.
            assert!(body.is_none_or(|body| body.len() == STREAM * FRAME));
        } else {
            assert!(body.is_some(), "{path}: {head:?}");
        }
        if head.headers.get("connection").is_some_and(|value| value == "close") {
            break;
        }
    }
    "reads"
}

/// A body of this length, in frames.
fn upload(length: usize) -> impl http_body::Body<Data = Bytes, Error = std::convert::Infallible> {
    let body: Bytes = (0..length).map(pattern).collect();
    let frames = (0..length)
        .step_by(1500)
        .map(move |at| Ok(Frame::data(body.slice(at..length.min(at + 1500)))));
    StreamBody::new(stream::iter(frames.collect::<Vec<_>>()))
}

/// Calls the upstream, with or without a body, by all kinds of methods.
async fn calls((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    let (method, length) = match dice.below(4) {
        0 => (Method::GET, 0),
        1 => (Method::PUT, dice.below(MAX_BODY as u64)),
        // Half of them more than is kept.
        _ => (Method::POST, dice.below(2 * MAX_BODY as u64)),
    };
    let mut request = Request::builder().method(&method).uri("/call").header(CLIENT, name);
    let id = crowd.id();
    if method == Method::POST {
        let key = if dice.percent(50) { IDEMPOTENCY_KEY } else { ONCE };
        request = request.header(key, &id);
    }
    let length = usize::try_from(length).unwrap();
    let request = request.header(ID, id).body(upload(length)).unwrap();
    if let Some((head, _)) = crowd.takes(client.send(request).await).await
        && let Some(took) = head.headers.get(TOOK)
    {
        assert_eq!(took, &length.to_string(), "{method}: what arrives is what was sent");
    }
    "calls"
}

fn grpc_call(name: &str) -> http::request::Builder {
    let call = Request::post("/call").header(CLIENT, name);
    call.header(CONTENT_TYPE, "application/grpc").header(TE, "trailers")
}

async fn calls_grpc((crowd, dice, name): Next<'_>) -> &'static str {
    let client = crowd.connects(Version::HTTP_2).await;
    let mut request = grpc_call(name).header(ID, crowd.id());
    if dice.percent(50) {
        request = request.header(IDEMPOTENCY_KEY, "yes");
    }
    if dice.percent(60) {
        let time = dice.one_of(&["0n", "1n", "1m", "20m", "60m", "200m", "5S", "1H"]);
        request = request.header("grpc-timeout", time);
    }
    let request = request.body(upload(5)).unwrap();
    if let Some((head, _)) = crowd.takes(client.send(request).await).await {
        let is_grpc = head.headers.get(CONTENT_TYPE).is_some_and(|it| it == "application/grpc");
        let is_the_upstreams = !head.headers.contains_key("grpc-status-details-bin");
        assert!(is_the_upstreams || (is_grpc && head.status == 200), "{head:?}");
    }
    "calls over gRPC"
}

const PATHS: [&str; 7] = ["/hang", "/stream", "/endless", "/huge", "/call", "/call", "/hello"];

/// Goes away while it waits for the head, or in the middle of the body; over HTTP/2 without the connection,
/// which goes on.
async fn gives_up((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    for _ in 0..3 {
        let (path, patience) = (dice.one_of(&PATHS), dice.up_to(40 * MS));
        let answer = timeout(patience, client.get_as(path, name)).await;
        if let Ok(Ok(answer)) = answer {
            let mut body = answer.into_body();
            // Some of it.
            let _ = timeout(dice.up_to(20 * MS), body.frame()).await;
        }
        if version == Version::HTTP_11 {
            break;
        }
    }
    "gives up"
}

/// Waits for what takes for ever, until it is told that it does, or cut off; or reads slowly, for a while.
async fn is_patient((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    let path = dice.one_of(&["/hang", "/endless", "/huge"]);
    let Ok(answer) = client.get_as(path, name).await else { panic!("{path}: no answer") };
    if path == "/huge" {
        let (head, mut body) = answer.into_parts();
        assert!(is_expected(head.status));
        for _ in 0..dice.below(40) {
            sleep(dice.up_to(20 * MS)).await;
            if !matches!(body.frame().await, Some(Ok(_))) {
                break;
            }
        }
    } else {
        let (head, body) = crowd.takes(Ok(answer)).await.expect("it has a head");
        assert!(
            is_expected(head.status) && head.status != 200 || body.is_none(),
            "{path}: {head:?}"
        );
    }
    "is patient"
}

/// More than are let in at once, and than are let through to the upstream.
async fn asks_much_at_once((crowd, dice, name): Next<'_>) -> &'static str {
    let client = crowd.connects(Version::HTTP_2).await;
    let paths: Vec<_> = (0..24).map(|_| dice.one_of(&["/stream", "/call", "/hello"])).collect();
    let asks = paths.iter().map(|path| async {
        let answer = client.get_as(path, name).await;
        assert!(crowd.takes(answer).await.is_some() || *path == "/call");
    });
    join_all(asks).await;
    "asks much at once"
}

/// Goes without an answer, or with half of one.
async fn meets_a_panic((crowd, dice, name): Next<'_>, version: Version) -> &'static str {
    let client = crowd.connects(version).await;
    let path = dice.one_of(&["/panic", "/panic/late"]);
    if let Some((head, body)) = crowd.takes(client.get_as(path, name).await).await {
        assert!(head.status != 200 || body.is_none(), "{head:?}");
    }
    "meets a panic"
}

/// What a test client asks in somebody's name.
trait Asks {
    async fn get_as(&self, path: &str, name: &str) -> hyper::Result<Response<Incoming>>;
}

impl Asks for Client {
    async fn get_as(&self, path: &str, name: &str) -> hyper::Result<Response<Incoming>> {
        self.send(get(path, name)).await
    }
}
