//! A server on a socket of its own, and its client: what to run under strace.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
};

use axum::{Router, error_handling::HandleErrorLayer, routing::get};
use clap::{Parser, ValueEnum};
use http::StatusCode;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use palisade::timeout::TimeoutLayer;
use tokio::{net::TcpListener, runtime::Builder};
use tower::{ServiceBuilder, timeout::TimeoutLayer as TowerTimeoutLayer};
use tower_http::timeout::TimeoutLayer as HttpTimeoutLayer;

use crate::{adapters::unavailable, settings::HOUR};

/// Serves a handler that is ready at once to two clients, and ends.
#[derive(Clone, Copy, Debug, Parser)]
pub struct Loopback {
    /// What bounds the exchange.
    timeout: By,

    /// How often each client asks.
    #[arg(long, default_value_t = 10_000)]
    requests: u32,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Bare,
    Tower,
    TowerHttp,
    Palisade,
}

impl Loopback {
    /// Serves, asks, and says how often it did.
    ///
    /// # Panics
    ///
    /// When a socket or a thread fails.
    pub fn run(self) {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        runtime.spawn(serve(listener, self.timeout.app()));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| ask(address, self.requests));
            }
        });
        println!("{} requests", 2 * self.requests);
    }
}

impl By {
    fn app(self) -> Router {
        let app = Router::new().route("/", get(async || "hello"));
        match self {
            Self::Bare => app,
            Self::Tower => app.layer(
                ServiceBuilder::new()
                    .layer(HandleErrorLayer::new(unavailable))
                    .layer(TowerTimeoutLayer::new(HOUR)),
            ),
            Self::TowerHttp => {
                app.layer(HttpTimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, HOUR))
            }
            Self::Palisade => app.layer(TimeoutLayer::server(HOUR)),
        }
    }
}

async fn serve(listener: TcpListener, app: Router) {
    while let Ok((connection, _)) = listener.accept().await {
        let service = TowerToHyperService::new(app.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
    }
}

/// One request after the other over one connection.
fn ask(address: SocketAddr, requests: u32) {
    let mut connection = TcpStream::connect(address).expect("the server listens");
    connection.set_nodelay(true).expect("a socket has this option");
    let mut answer = Vec::new();
    for _ in 0..requests {
        connection
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n")
            .expect("the server reads");
        answer.clear();
        while !answer.ends_with(b"\r\n\r\nhello") {
            let mut part = [0; 512];
            let read = connection.read(&mut part).expect("the server answers");
            assert_ne!(read, 0, "the server hung up");
            answer.extend_from_slice(&part[..read]);
        }
    }
}
