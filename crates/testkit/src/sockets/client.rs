use std::{
    error::Error,
    io,
    net::{self, IpAddr, Shutdown, SocketAddr},
};

use bytes::Bytes;
use http::{Method, Request, Response, Uri, Version, header::HOST, uri::Scheme};
use http_body::Body;
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Mutex,
};

use super::Server;

/// One connection to a [`Server`], which it closes when it is dropped, whatever is under way.
///
/// What is sent at once goes side by side over HTTP/2, and one after the other over HTTP/1.1.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    socket: net::TcpStream,
    server: String,
}

type BoxError = Box<dyn Error + Send + Sync>;
type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

#[derive(Debug)]
enum Sender {
    Http1(Mutex<http1::SendRequest<AnyBody>>),
    Http2(http2::SendRequest<AnyBody>),
}

impl Client {
    /// Connects, to speak HTTP/2 where `version` says so, else HTTP/1.1.
    ///
    /// # Panics
    ///
    /// If the server is not there.
    pub async fn connect(server: &Server, version: Version) -> Self {
        Self::connect_to(server.address(), version).await
    }

    /// As [`connect`](Self::connect), for tasks that outlive the borrow of their server.
    ///
    /// # Panics
    ///
    /// If the server is not there.
    pub async fn connect_to(server: SocketAddr, version: Version) -> Self {
        Self::connected(server, None, version).await
    }

    /// As [`connect`](Self::connect), from a loopback address of one's choice to one that the server
    /// listens on.
    ///
    /// # Panics
    ///
    /// If the server is not there, or the address is not one of this machine's.
    pub async fn connect_from(from: IpAddr, server: SocketAddr, version: Version) -> Self {
        Self::connected(server, Some(from), version).await
    }

    async fn connected(server: SocketAddr, from: Option<IpAddr>, version: Version) -> Self {
        let (io, socket) = connect(server, from).await.expect("the server listens");
        let sender = if version == Version::HTTP_2 {
            let pair = http2::handshake(TokioExecutor::new(), io).await;
            let (sender, connection) = pair.expect("the connection is new");
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            let pair = http1::handshake(io).await;
            let (sender, connection) = pair.expect("the connection is new");
            tokio::spawn(connection);
            Sender::Http1(Mutex::new(sender))
        };
        Self { sender, socket, server: server.to_string() }
    }

    /// Sends a GET and returns its answer with the body unread.
    ///
    /// # Errors
    ///
    /// When the connection, or over HTTP/2 the stream, ends before the answer's head.
    ///
    /// # Panics
    ///
    /// If `path` is none.
    pub async fn get(&self, path: &str) -> hyper::Result<Response<Incoming>> {
        let request = Request::get(path).body(Empty::<Bytes>::new()).expect("a path");
        self.send(request).await
    }

    /// Sends a request for a path, or CONNECT for an authority, and returns its answer with the
    /// body unread.
    ///
    /// # Errors
    ///
    /// When the connection, or over HTTP/2 the stream, ends before the answer's head.
    ///
    /// # Panics
    ///
    /// If the request's target is neither.
    pub async fn send<B>(&self, request: Request<B>) -> hyper::Result<Response<Incoming>>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        match &self.sender {
            Sender::Http1(sender) => {
                let host = self.server.parse().expect("an address");
                request.headers_mut().insert(HOST, host);
                let mut sender = sender.lock().await;
                sender.ready().await?;
                let answer = sender.send_request(request);
                drop(sender);
                answer.await
            }
            Sender::Http2(sender) => {
                if request.method() != Method::CONNECT {
                    let mut target = request.uri().clone().into_parts();
                    target.scheme = Some(Scheme::HTTP);
                    target.authority = self.server.parse().ok();
                    *request.uri_mut() = Uri::from_parts(target).expect("a path");
                }
                sender.clone().send_request(request).await
            }
        }
    }

    /// Sends a GET and reads all of its answer.
    ///
    /// # Errors
    ///
    /// When the connection, or over HTTP/2 the stream, ends before the answer does.
    pub async fn read(&self, path: &str) -> hyper::Result<Response<Bytes>> {
        let (head, body) = self.get(path).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Response::from_parts(head, body))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // hyper's tasks, which own the connection, would keep it as long as there is a body.
        // An error says that it is closed already.
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

/// A connection, and a second handle to it.
async fn connect(
    server: SocketAddr,
    from: Option<IpAddr>,
) -> io::Result<(TokioIo<TcpStream>, net::TcpStream)> {
    let from = from.map(|from| SocketAddr::new(from, 0));
    let connecting = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    from.map_or(Ok(()), |from| connecting.bind(from))?;
    let stream = connecting.connect(server).await?.into_std()?;
    let socket = stream.try_clone()?;
    Ok((TokioIo::new(TcpStream::from_std(stream)?), socket))
}
