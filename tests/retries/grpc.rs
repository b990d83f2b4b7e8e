//! A gRPC service that fails for a while.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures_util::{Stream, StreamExt, stream};
use palisade::retry::{Retries, Retry, RetryBody, RetryLayer, RetryPolicy, TransientClassifier};
use palisade_testkit::{
    Gate,
    grpc::{
        CountReply, CountRequest, EchoClient, EchoServer, SayReply, SayRequest, echo_server::Echo,
    },
    sockets::Server,
};
use tokio::net::TcpListener;
use tonic::{
    Code, Status,
    body::Body,
    metadata::MetadataMap,
    transport::{self, Channel, Endpoint, server::TcpIncoming},
};
use tower::Layer;

use super::quick;

/// A service whose calls end as it is told, and then well.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Seen>);

#[derive(Default)]
struct Seen {
    script: Mutex<VecDeque<Status>>,
    gate: Gate,
    calls: AtomicUsize,
    previous: Mutex<Vec<Option<String>>>,
}

impl Told {
    pub(crate) fn say(&self, statuses: impl IntoIterator<Item = Status>) {
        *self.0.script.lock().unwrap() = statuses.into_iter().collect();
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    /// What is held waits here: a stream between its messages and its end.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// What each call said of attempts before it.
    pub(crate) fn previous(&self) -> Vec<Option<String>> {
        self.0.previous.lock().unwrap().clone()
    }

    fn began(&self, metadata: &MetadataMap) {
        self.0.calls.fetch_add(1, SeqCst);
        let previous = metadata.get("grpc-previous-rpc-attempts");
        let previous = previous.map(|previous| previous.to_str().unwrap().to_owned());
        self.0.previous.lock().unwrap().push(previous);
    }

    fn end(&self) -> Result<(), Status> {
        let next = self.0.script.lock().unwrap().pop_front();
        next.filter(|status| status.code() != Code::Ok).map_or(Ok(()), Err)
    }

    pub(crate) async fn serve(self, listener: TcpListener) {
        let served = transport::Server::builder().add_service(EchoServer::new(self));
        served.serve_with_incoming(TcpIncoming::from(listener)).await.unwrap();
    }
}

#[tonic::async_trait]
impl Echo for Told {
    async fn say(
        &self,
        request: tonic::Request<SayRequest>,
    ) -> Result<tonic::Response<SayReply>, Status> {
        self.began(request.metadata());
        let asked = request.into_inner();
        if asked.held {
            self.gate().pass().await;
        }
        self.end().map(|()| tonic::Response::new(SayReply { text: asked.text }))
    }

    type CountStream = Pin<Box<dyn Stream<Item = Result<CountReply, Status>> + Send>>;

    /// Ends in trailers, also where there was no message.
    async fn count(
        &self,
        request: tonic::Request<CountRequest>,
    ) -> Result<tonic::Response<Self::CountStream>, Status> {
        self.began(request.metadata());
        let CountRequest { to, held } = request.into_inner();
        let numbers = stream::iter((1..=to).map(|number| Ok(CountReply { number })));
        let (told, end) = (self.clone(), self.end());
        let end = stream::once(async move {
            if held {
                told.gate().pass().await;
            }
            end.err().map(Err)
        });
        let end = end.filter_map(async |end| end);
        Ok(tonic::Response::new(Box::pin(numbers.chain(Box::pin(end)))))
    }
}

pub(crate) fn served() -> (Server, Told) {
    let told = Told::default();
    let server = Server::start(|listener| told.clone().serve(listener));
    (server, told)
}

/// As it can be written down.
pub(crate) type Retried = Retry<Channel, TransientClassifier, fn(RetryBody<Body>) -> Body>;

pub(crate) fn echo(server: SocketAddr, policy: RetryPolicy) -> (EchoClient<Retried>, Retries) {
    let layer = RetryLayer::new(quick(policy)).with_body(Body::new);
    let retries = layer.handle();
    (EchoClient::new(layer.layer(channel(server))), retries)
}

pub(crate) fn channel(server: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{server}")).unwrap().connect_lazy()
}

/// Of which `Say` may be done twice.
pub(crate) fn named() -> RetryPolicy {
    RetryPolicy::grpc().idempotent(["palisade.echo.v1.Echo"])
}

pub(crate) fn say() -> SayRequest {
    SayRequest { text: "hello".into(), ..SayRequest::default() }
}
