//! A server that is restarted under load: one after the other takes connections from the same listener.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener as Listener},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, routing::get};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use palisade::health::{Health, HealthLayer};
use palisade_testkit::{
    Gate,
    grpc::{Echo, EchoServer},
    sockets::{Server, eventually},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tonic::transport::{self, server::TcpIncoming};
use tower::{ServiceBuilder, ServiceExt};

use super::{HOUR, answer};

/// What tells a server what to do, beside its health.
#[derive(Clone, Default)]
pub(crate) struct Orders {
    /// To leave the listener to its successor.
    hand_over: Gate,
    /// To shut down gracefully.
    stop: Gate,
    /// What is held waits here.
    gate: Gate,
}

/// One life of the server.
struct Instance {
    health: Health,
    orders: Orders,
    ended: Gate,
    _server: Server,
}

pub(crate) type Serve = fn(TcpListener, HealthLayer, Orders) -> BoxFuture<'static, ()>;

impl Instance {
    fn start(listener: &Listener, serve: Serve) -> Self {
        let (health, orders, ended) = (Health::new(), Orders::default(), Gate::new());
        let layer = HealthLayer::new(&health);
        let server = Server::start_with(listener.try_clone().unwrap(), |listener| {
            let (served, ended) = (serve(listener, layer, orders.clone()), ended.clone());
            async move {
                served.await;
                ended.open();
            }
        });
        Self { health, orders, ended, _server: server }
    }
}

/// axum takes connections for as long as it is not told to stop, when it closes those that are idle. So
/// what it listens with must be told before.
struct Handed(TcpListener, Gate);

impl axum::serve::Listener for Handed {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        tokio::select! {
            biased;
            () = self.1.pass() => std::future::pending().await,
            accepted = axum::serve::Listener::accept(&mut self.0) => accepted,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

fn app(gate: Gate) -> Router {
    let hello = get(async || "hello").post(async || "hello");
    Router::new()
        .route("/", hello)
        .route("/long", get(move |request: Request| answer(gate, request)))
}

pub(crate) fn axum(
    listener: TcpListener,
    layer: HealthLayer,
    orders: Orders,
) -> BoxFuture<'static, ()> {
    let Orders { hand_over, stop, gate } = orders;
    let server = axum::serve(Handed(listener, hand_over), app(gate).layer(layer));
    let server = server.with_graceful_shutdown(async move { stop.pass().await });
    async move { server.await.unwrap() }.boxed()
}

pub(crate) fn hyper(
    listener: TcpListener,
    layer: HealthLayer,
    orders: Orders,
) -> BoxFuture<'static, ()> {
    let Orders { hand_over, stop, gate } = orders;
    let service = ServiceBuilder::new().layer(layer).service(app(gate));
    async move {
        let connections = GracefulShutdown::new();
        let mut handed_over = pin!(hand_over.pass());
        loop {
            let connection = tokio::select! {
                biased;
                () = &mut handed_over => break,
                accepted = listener.accept() => accepted.unwrap().0,
            };
            let service = service
                .clone()
                .map_request(|request: http::Request<Incoming>| request.map(Body::new));
            let server = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            let connection =
                server.serve_connection(TokioIo::new(connection), service).into_owned();
            // Clients look at the other end of the connection.
            tokio::spawn(connections.watch(connection));
        }
        stop.pass().await;
        connections.shutdown().await;
    }
    .boxed()
}

pub(crate) fn tonic(
    listener: TcpListener,
    layer: HealthLayer,
    orders: Orders,
) -> BoxFuture<'static, ()> {
    let Orders { hand_over, stop, gate } = orders;
    // The end of what comes in would stop the server.
    let handed_over = async move { hand_over.pass().await }.boxed();
    let incoming = TcpIncoming::from(listener).take_until(handed_over).chain(stream::pending());
    let server =
        transport::Server::builder().layer(layer).add_service(EchoServer::new(Echo::new(gate)));
    let stopped = async move { stop.pass().await };
    async move { server.serve_with_incoming_shutdown(incoming, stopped).await.unwrap() }.boxed()
}

/// What a client does once: fails with what it would have to tell its user.
pub(crate) type Ask = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send>;

/// Clients that never pause.
pub(crate) struct Load {
    done: Vec<Arc<AtomicU64>>,
    over: Gate,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn of(clients: impl IntoIterator<Item = Ask>) -> Self {
        let over = Gate::new();
        let (done, clients) = clients
            .into_iter()
            .map(|ask| {
                let (over, done) = (over.clone(), Arc::new(AtomicU64::new(0)));
                let count = Arc::clone(&done);
                let client = tokio::spawn(async move {
                    while over.pass().now_or_never().is_none() {
                        if let Err(failed) = ask().await {
                            panic!("request {} failed: {failed}", count.load(SeqCst));
                        }
                        count.fetch_add(1, SeqCst);
                    }
                });
                (done, client)
            })
            .unzip();
        Self { done, over, clients }
    }

    /// Waits until each client has been answered so often again.
    async fn goes_on(&self, times: u64) {
        let until: Vec<_> = self.done.iter().map(|done| done.load(SeqCst) + times).collect();
        let done = || self.done.iter().zip(&until).all(|(done, until)| done.load(SeqCst) >= *until);
        // A client that has failed says so, instead of being waited for.
        eventually(|| done() || self.clients.iter().any(JoinHandle::is_finished)).await;
        assert!(self.clients.iter().all(|client| !client.is_finished()), "a client has failed");
    }

    pub(crate) async fn ends(self) -> u64 {
        self.over.open();
        for client in self.clients {
            client.await.expect("no request failed");
        }
        self.done.iter().map(|done| done.load(SeqCst)).sum()
    }
}

/// The listener, and who takes connections from it.
pub(crate) struct Restarted {
    listener: Listener,
    serve: Serve,
    current: Instance,
}

impl Restarted {
    pub(crate) fn new(serve: Serve) -> Self {
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let current = Instance::start(&listener, serve);
        Self { listener, serve, current }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Replaces the server by its successor as it should be done, in the order that the documentation of
    /// health gives; each step is over when every client has got on, where an operator would wait for some
    /// seconds. What is held is let go at the very end.
    pub(crate) async fn restarts_under(&mut self, load: &Load) {
        let successor = Instance::start(&self.listener, self.serve);
        let Instance { health, orders, ended, .. } = &self.current;
        // New connections are the successor's, and those over HTTP/1.1 are closed with the next answer.
        orders.hand_over.open();
        health.drain(HOUR);
        load.goes_on(5).await;
        // Those over HTTP/2 are left by their clients. None is cut off.
        orders.stop.open();
        load.goes_on(5).await;
        // Only then it refuses, and there is nobody left to be refused.
        health.drain(Duration::ZERO);
        orders.gate.open();
        timeout(Duration::from_secs(10), health.drained()).await.unwrap();
        timeout(Duration::from_secs(10), ended.pass()).await.unwrap();
        assert_eq!(health.in_flight(), 0);
        self.current = successor;
    }
}
