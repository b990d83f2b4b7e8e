use std::{
    error::Error,
    io,
    net::{self, IpAddr, Ipv4Addr, SocketAddr},
};

use axum::Router;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
};
use tower_service::Service;

/// A server on a free loopback port. All of it, connections too, ends when it is dropped.
///
/// It has two threads of its own, so that what it serves really runs at once.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    /// Serves `app` as `axum::serve(listener, app)`.
    #[must_use]
    pub fn axum(app: Router) -> Self {
        Self::start(|listener| async { axum::serve(listener, app).await })
    }

    /// Serves `app` as `axum::serve(listener, app.into_make_service())`.
    #[must_use]
    pub fn axum_make_service(app: Router) -> Self {
        Self::start(|listener| async { axum::serve(listener, app.into_make_service()).await })
    }

    /// Serves clones of `service` with hyper alone, over HTTP/1.1 or HTTP/2 as the client begins,
    /// with upgrades.
    #[must_use]
    pub fn hyper<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        Self::start(|listener| async move {
            while let Ok((connection, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(connection), service)
                        .await
                        // Tests look at the other end of the connection.
                        .ok();
                });
            }
        })
    }

    /// Serves whatever `serve` makes of the listener.
    ///
    /// # Panics
    ///
    /// If there is no port or no thread to be had.
    #[must_use]
    pub fn start<F>(serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let started = Self::try_start_on(Ipv4Addr::LOCALHOST.into(), serve);
        started.expect("a loopback port is free")
    }

    /// As [`start`](Self::start), on another address than 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When this machine does not have the address, or no port.
    ///
    /// # Panics
    ///
    /// If there is no thread to be had.
    pub fn try_start_on<F>(ip: IpAddr, serve: impl FnOnce(TcpListener) -> F) -> io::Result<Self>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Self::try_start_with(net::TcpListener::bind((ip, 0))?, serve)
    }

    /// As [`start`](Self::start), with a listener that others may have too: each takes connections from it.
    ///
    /// # Panics
    ///
    /// If there is no thread to be had, or the listener is none.
    #[must_use]
    pub fn start_with<F>(listener: net::TcpListener, serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Self::try_start_with(listener, serve).expect("it listens")
    }

    fn try_start_with<F>(
        listener: net::TcpListener,
        serve: impl FnOnce(TcpListener) -> F,
    ) -> io::Result<Self>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        listener.set_nonblocking(true)?;
        let mut threads = Builder::new_multi_thread();
        let runtime = threads.worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads can be started");
        let entered = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        drop(runtime.spawn(serve(listener)));
        drop(entered);
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Does not wait, as a test's task must not.
            runtime.shutdown_background();
        }
    }
}

/// A socket at whose address every connection is refused: its port is taken, but nobody listens.
///
/// # Panics
///
/// If there is no port to be had.
#[must_use]
pub fn deaf() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    let bound = socket.bind((Ipv4Addr::LOCALHOST, 0).into());
    bound.expect("a loopback port is free");
    socket
}
