//! A server process of a test's own, and clients of it.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    process::{Output, Stdio},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Method, Request, Response, request},
};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
    time::{sleep, timeout},
};

/// So long that only what never happens is not there by then.
const NEVER: Duration = Duration::from_secs(60);

pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(NEVER, future).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}

/// Asks again and again, as for what another process does in its own time.
pub(crate) async fn eventually(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    soon(what, async {
        while !happened().await {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_server"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    // What is set for a server of the developer's is not meant for this one.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PALISADE_") {
            command.env_remove(name);
        }
    }
    command.kill_on_drop(true);
    command
}

pub(crate) struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one on a free port and waits for the line that says which.
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = command();
        // No time is up on a slow machine but where a test says so, by a flag or a file.
        command.env("PALISADE_TIMEOUT", "1h").env("PALISADE_REQUEST_IDLE", "1h");
        command.env("PALISADE_UPSTREAM_TIMEOUT", "1h").env("PALISADE_UPSTREAM_TOTAL", "1h");
        // Nobody watches but where a test does.
        command.env("PALISADE_DRAIN_DELAY", "0s");
        command.args(["--listen", "127.0.0.1:0"]).args(arguments).envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        soon("the first line", stdout.read_line(&mut line)).await.unwrap();
        let address = line.strip_prefix("listening on http://").unwrap();
        Self { address: address.strip_suffix('\n').unwrap().parse().unwrap(), child, stdout }
    }

    /// What it says below the first line, up to the line that contains `last`.
    pub(crate) async fn says(&mut self, last: &str) -> String {
        let mut text = String::new();
        while !text.contains(last) {
            let read = soon(last, self.stdout.read_line(&mut text)).await.unwrap();
            assert_ne!(read, 0, "it ended with {text}");
        }
        text
    }

    pub(crate) fn http1(&self) -> Browser {
        Browser::new(self.address, false)
    }

    /// Over HTTP/2 with prior knowledge, that is without asking first; all on one connection.
    pub(crate) fn http2(&self) -> Browser {
        Browser::new(self.address, true)
    }

    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap();
        let kill = format!("kill -{name} {id}");
        let sent = Command::new("sh").args(["-c", &kill]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits until it takes no new requests any more.
    pub(crate) async fn refuses_requests(&self) {
        let browser = self.http1();
        // By a probe first, as that is not counted: any other request might be in flight at the signal.
        eventually("not ready", async || browser.get("/readyz").await.status() == 503).await;
        eventually("a refusal", async || {
            let answer = browser.get("/work?ms=0").await;
            answer.status() == 503 && answer.text().await.contains("urn:palisade:shutting-down")
        })
        .await;
    }

    /// Waits for its end; returns its exit code and its log.
    pub(crate) async fn ended(self) -> (Option<i32>, String) {
        let ended = soon("its end", self.child.wait_with_output()).await;
        let Output { status, stderr, .. } = ended.unwrap();
        (status.code(), String::from_utf8(stderr).unwrap())
    }
}

/// A client. Over HTTP/1 with as many connections as it has requests in flight.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
}

impl Browser {
    fn new(address: SocketAddr, http2: bool) -> Self {
        let mut builder = Client::builder(TokioExecutor::new());
        Self { client: builder.http2_only(http2).build_http(), address }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Body) -> Answer {
        self.ask(self.request(method, path).body(body).unwrap()).await
    }

    /// A request that has no body yet, for tests that add headers.
    pub(crate) fn request(&self, method: Method, path: &str) -> request::Builder {
        Request::builder().method(method).uri(format!("http://{}{path}", self.address))
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let path = request.uri().path().to_owned();
        let response = self.client.request(request);
        Answer(soon(&path, response).await.unwrap().map(Body::new))
    }

    /// As of a server that may be gone.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Answer> {
        let request = self.request(Method::GET, path).body(Body::empty()).unwrap();
        let response = soon(path, self.client.request(request)).await.ok()?;
        Some(Answer(response.map(Body::new)))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, Body::empty()).await
    }

    /// A request for an echo, and the end of its body at which the test may send it.
    pub(crate) fn upload(&self) -> (mpsc::Sender<Bytes>, impl Future<Output = Answer>) {
        let (sender, mut sent) = mpsc::channel(1);
        let body = stream::poll_fn(move |cx| sent.poll_recv(cx)).map(Ok::<_, Infallible>);
        (sender, self.send(Method::POST, "/echo", Body::from_stream(body)))
    }

    /// An echo of what will be sent, as far as the test has sent it.
    pub(crate) async fn echo(&self) -> (mpsc::Sender<Bytes>, Answer) {
        let (sender, answer) = self.upload();
        // It begins with the first piece.
        sender.try_send("begins".into()).unwrap();
        let mut answer = answer.await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.chunk().await.unwrap(), "begins");
        (sender, answer)
    }
}

/// An answer of which the head is there; the body is taken as the test likes.
pub(crate) struct Answer(pub(crate) Response<Body>);

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.0.headers()[name].to_str().unwrap()
    }

    /// The next piece of the body, `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            let frame = soon("a chunk", self.0.frame()).await?;
            let data = frame.unwrap().into_data().unwrap();
            // HTTP/2 may end a stream by an empty piece.
            if !data.is_empty() {
                return Some(data);
            }
        }
    }

    /// The next piece of the body, `None` for the trailers at its end.
    pub(crate) async fn chunk_or_trailers(&mut self) -> Option<Bytes> {
        soon("a frame", self.0.frame()).await.unwrap().unwrap().into_data().ok()
    }

    /// Whether the body ends in the middle.
    pub(crate) async fn fails(&mut self) -> bool {
        matches!(soon("an end", self.0.frame()).await, Some(Err(_)))
    }

    /// What is left of the body.
    pub(crate) async fn text(self) -> String {
        let collected = soon("the body", self.0.into_body().collect()).await;
        String::from_utf8(collected.unwrap().to_bytes().to_vec()).unwrap()
    }
}
