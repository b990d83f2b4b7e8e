//! Leaving in good order: `cargo run --example 05_drain`.
//!
//! Two instances of a service, each on a socket of its own, and eight clients who ask without pause. Between
//! them somebody asks `/readyz` ten times a second, as a load balancer does, and has the clients ask the
//! first instance that is ready. Then the first is told to leave. Look at what it answers in the second that
//! it serves on, and after that, and for the last line: nobody has noticed. Without the delay, those who
//! were sent to it before its readiness was asked for again are refused.
//!
//! It prints:
//!
//! ```text
//! leaving after a second
//!   told to leave:    /readyz 503, /livez 200, / 200
//!   a second later:   /readyz 503, /livez 200, / 503, in flight 1
//!   its download:     complete
//!   drained:          left in flight 0, then gone
//!   the second one:   serves
//!   requests failed:  0
//! leaving at once
//!   told to leave:    /readyz 503, /livez 200, / 503
//!   a second later:   /readyz 503, /livez 200, / 503, in flight 1
//!   its download:     complete
//!   drained:          left in flight 0, then gone
//!   the second one:   serves
//!   requests failed:  some
//! ```
#![allow(clippy::print_stdout, reason = "an example")]

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    routing::get,
};
use futures_util::{StreamExt, stream};
use http::Uri;
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::health::{Health, HealthLayer, Phase};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SECOND: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> Fallible<()> {
    println!("leaving after a second");
    leave(SECOND).await?;
    println!("leaving at once");
    leave(Duration::ZERO).await
}

async fn leave(delay: Duration) -> Fallible<()> {
    let (first, second) = (Instance::start().await?, Instance::start().await?);
    let mut load = Load::start([first.address, second.address]);
    let http = client();
    let mut download = http.get(first.uri("/download")).await?.into_body();
    load.answers_more(100).await;

    // Right after readiness was asked for: it is not asked for again for a tenth of a second.
    load.ready.changed().await?;
    first.health.drain(delay);
    println!("  told to leave:    {}", first.told().await?);
    load.answers_more(10).await;
    let refused = delay.max(SECOND);
    sleep(refused).await;
    while first.health.phase() == Phase::Draining {
        sleep(EVERY).await;
    }
    let in_flight = first.health.in_flight();
    println!("  a second later:   {}, in flight {in_flight}", first.told().await?);

    first.rest.notify_one();
    let complete = loop {
        match download.frame().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => break "cut off",
            None => break "complete",
        }
    };
    println!("  its download:     {complete}");
    let left = first.health.drained_within(20 * SECOND).await;
    let address = first.address;
    first.stop().await?;
    let gone = http.get(uri(address, "/livez")).await.is_err();
    println!(
        "  drained:          left in flight {left}, then {}",
        if gone { "gone" } else { "there" }
    );

    let serves = load.answers_more(100).await;
    println!("  the second one:   {}", if serves { "serves" } else { "refuses" });
    let failed = match load.stop().await? {
        0 => "0",
        _ => "some",
    };
    println!("  requests failed:  {failed}");
    second.stop().await
}

/// One that serves.
struct Instance {
    address: SocketAddr,
    health: Health,
    /// Lets downloads go on.
    rest: Arc<Notify>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Instance {
    async fn start() -> Fallible<Self> {
        let (health, rest) = (Health::new(), Arc::new(Notify::new()));
        let app = Router::new()
            .route("/", get(work))
            .route("/download", get(download))
            .with_state(Arc::clone(&rest))
            .layer(HealthLayer::new(&health));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let serving = axum::serve(listener, app).with_graceful_shutdown(async {
            // A sender that is gone says the same.
            let _ = stopped.await;
        });
        let serving = tokio::spawn(async { serving.await });
        Ok(Self { address, health, rest, stop, serving })
    }

    fn uri(&self, path: &'static str) -> Uri {
        uri(self.address, path)
    }

    /// What it answers now.
    async fn told(&self) -> Fallible<String> {
        let mut told = Vec::new();
        for path in ["/readyz", "/livez", "/"] {
            let answer = client().get(self.uri(path)).await?;
            told.push(format!("{path} {}", answer.status().as_u16()));
        }
        Ok(told.join(", "))
    }

    async fn stop(self) -> Fallible<()> {
        drop(self.stop);
        Ok(self.serving.await??)
    }
}

async fn work() -> &'static str {
    sleep(Duration::from_millis(5)).await;
    "done"
}

/// Half of it at once, the rest when it is allowed to go on.
async fn download(State(rest): State<Arc<Notify>>) -> Body {
    let begin =
        stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b"half of it"))]);
    let rest = stream::once(async move {
        rest.notified().await;
        Ok(Bytes::from_static(b"the other half"))
    });
    Body::from_stream(begin.chain(rest))
}

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn uri(address: SocketAddr, path: &str) -> Uri {
    format!("http://{address}{path}").parse().expect("it is valid")
}

/// Clients that ask without pause, of the instance that is ready.
struct Load {
    /// Which of the instances is; told whenever they were asked.
    ready: watch::Receiver<SocketAddr>,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    well: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    fn start(instances: [SocketAddr; 2]) -> Self {
        let (balancer, ready) = watch::channel(instances[0]);
        let (seen, mut tasks) = (Arc::new(Seen::default()), JoinSet::new());
        tasks.spawn(balance(instances, balancer, Arc::clone(&seen)));
        for _ in 0..8 {
            tasks.spawn(ask(ready.clone(), Arc::clone(&seen)));
        }
        Self { ready, seen, tasks }
    }

    /// Waits for so many more. `false` if none comes for long.
    async fn answers_more(&self, many: u64) -> bool {
        let enough = self.seen.well.load(Relaxed) + many;
        let enough = async {
            while self.seen.well.load(Relaxed) < enough {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(20 * SECOND, enough).await.is_ok()
    }

    /// Returns how many failed.
    async fn stop(mut self) -> Fallible<u64> {
        self.seen.stop.store(true, Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        Ok(self.seen.failed.load(Relaxed))
    }
}

async fn balance(instances: [SocketAddr; 2], ready: watch::Sender<SocketAddr>, seen: Arc<Seen>) {
    let http = client();
    while !seen.stop.load(Relaxed) {
        for instance in instances {
            let answer = http.get(uri(instance, "/readyz")).await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                ready.send_replace(instance);
                break;
            }
        }
        sleep(EVERY).await;
    }
}

async fn ask(ready: watch::Receiver<SocketAddr>, seen: Arc<Seen>) {
    let http = client();
    while !seen.stop.load(Relaxed) {
        let instance = *ready.borrow();
        let answer = http.get(uri(instance, "/")).await;
        let well = match answer {
            Ok(answer) => {
                answer.status().is_success() && answer.into_body().collect().await.is_ok()
            }
            Err(_) => false,
        };
        let count = if well { &seen.well } else { &seen.failed };
        count.fetch_add(1, Relaxed);
    }
}
