//! Servers that have health in front of them, and end when they are told to.

#![allow(dead_code, reason = "each file of tests uses its part")]

pub(crate) mod grpc;
pub(crate) mod restart;
pub(crate) mod scenarios;

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{Router, body::Body, routing::any};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use palisade::health::{Health, HealthLayer};
use palisade_testkit::{
    Gate,
    sockets::{Client, Server},
};
use tokio::{net::TcpListener, time::timeout};
use tower::{Layer, limit::GlobalConcurrencyLimitLayer, service_fn};

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Longer than any test.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What the service does for a path. Other than that, it only has the layer.
pub(crate) async fn answer<B>(gate: Gate, request: Request<B>) -> Response<Body> {
    match request.uri().path() {
        "/hello" => Response::new(Body::from("hello")),
        "/held" => {
            gate.pass().await;
            Response::new(Body::from("done"))
        }
        // A download that goes on for as long as the gate is shut.
        "/long" => {
            let end = stream::once(async move {
                gate.pass().await;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"done")))
            });
            let begin = stream::iter([Ok(Frame::data(Bytes::from_static(b"begun, ")))]);
            Response::new(Body::new(StreamBody::new(begin.chain(end))))
        }
        path => Response::new(Body::from(format!("inside: {} {path}", request.method()))),
    }
}

/// A server that does what [`answer`] does, with health in front of it.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) health: Health,
    /// Where what is held waits.
    pub(crate) gate: Gate,
    pub(crate) version: Version,
    stop: Gate,
    ended: Gate,
}

impl Served {
    pub(crate) fn start<F>(
        version: Version,
        serve: impl FnOnce(TcpListener, HealthLayer, Gate, Gate) -> F,
    ) -> Self
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (health, gate, stop, ended) = (Health::new(), Gate::new(), Gate::new(), Gate::new());
        let layer = HealthLayer::new(&health);
        let server = Server::start(|listener| {
            let served = serve(listener, layer, gate.clone(), stop.clone());
            let ended = ended.clone();
            async move {
                served.await;
                ended.open();
            }
        });
        Self { server, health, gate, version, stop, ended }
    }

    /// A router with the layer on it.
    pub(crate) fn router(version: Version) -> Self {
        Self::start(version, |listener, layer, gate, stop| {
            let app = Router::new()
                .fallback(any(move |request: Request<Body>| answer(gate.clone(), request)))
                .layer(layer);
            async move {
                let server = axum::serve(listener, app);
                server.with_graceful_shutdown(async move { stop.pass().await }).await.unwrap();
            }
        })
    }

    /// A router inside of the layer, as a whole.
    pub(crate) fn around_a_router(version: Version) -> Self {
        Self::start(version, |listener, layer, gate, stop| {
            let app = Router::new()
                .fallback(any(move |request: Request<Body>| answer(gate.clone(), request)));
            let app = Router::new().fallback_service(layer.layer(app));
            async move {
                let server = axum::serve(listener, app);
                server.with_graceful_shutdown(async move { stop.pass().await }).await.unwrap();
            }
        })
    }

    /// hyper alone.
    pub(crate) fn hyper(version: Version) -> Self {
        Self::with_places(version, 1000)
    }

    /// hyper, and a service that is not ready for a second request while it answers one.
    pub(crate) fn queued(version: Version) -> Self {
        Self::with_places(version, 1)
    }

    fn with_places(version: Version, places: usize) -> Self {
        Self::start(version, move |listener, layer, gate, stop| async move {
            let handler = service_fn(move |request: Request<Incoming>| {
                let gate = gate.clone();
                async move { Ok::<_, Infallible>(answer(gate, request).await) }
            });
            let service = layer.layer(GlobalConcurrencyLimitLayer::new(places).layer(handler));
            let connections = GracefulShutdown::new();
            let mut stopped = pin!(stop.pass());
            loop {
                let connection = tokio::select! {
                    () = &mut stopped => break,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                let service = TowerToHyperService::new(service.clone());
                let server = auto::Builder::new(TokioExecutor::new());
                let io = TokioIo::new(connection);
                let connection = server.serve_connection_with_upgrades(io, service).into_owned();
                // Tests look at the other end of the connection.
                tokio::spawn(connections.watch(connection));
            }
            drop(listener);
            connections.shutdown().await;
        })
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.server, self.version).await
    }

    /// gRPC is spoken over HTTP/2, to every server.
    pub(crate) async fn grpc_client(&self) -> Client {
        Client::connect(&self.server, Version::HTTP_2).await
    }

    /// One answer over a connection of its own, since those over HTTP/1.1 are closed as it leaves.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(Full::<Bytes>::default()).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Bytes> {
        self.ask(Method::GET, path).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        // To its end, for the connection goes with it.
        let client = self.client().await;
        let answer = client.send(request).await.unwrap();
        let (head, body) = answer.into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }

    /// The message that a call of gRPC health about the whole is answered with.
    pub(crate) async fn call(&self, method: &str) -> Bytes {
        let client = self.grpc_client().await;
        let answer = client.send(call(method)).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    }

    /// Tells the server to shut down gracefully.
    pub(crate) fn stop(&self) {
        self.stop.open();
    }

    /// Waits until it has, and with all that it had under way.
    pub(crate) async fn has_ended(&self) -> bool {
        timeout(Duration::from_secs(10), self.ended.pass()).await.is_ok()
    }

    /// Whether it has by now.
    pub(crate) fn is_over(&self) -> bool {
        futures_util::FutureExt::now_or_never(self.ended.pass()).is_some()
    }
}

/// Each server over each protocol.
pub(crate) fn all(servers: &[fn(Version) -> Served]) -> impl Iterator<Item = Served> {
    servers.iter().flat_map(|serve| VERSIONS.map(serve))
}

/// What the protocol has of one status, with its prefix.
pub(crate) const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
pub(crate) const NOT_SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 2];
pub(crate) const UNKNOWN: &[u8] = &[0; 5];

/// A call of gRPC health about the whole, whose message has no field.
pub(crate) fn call(method: &str) -> Request<Full<Bytes>> {
    call_with(method, &[0; 5])
}

pub(crate) fn call_with(method: &str, message: &'static [u8]) -> Request<Full<Bytes>> {
    let call = Request::post(format!("/grpc.health.v1.Health/{method}"));
    let call = call.header("content-type", "application/grpc").header("te", "trailers");
    call.body(Full::new(Bytes::from_static(message))).unwrap()
}
