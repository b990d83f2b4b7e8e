//! A gRPC service that fails on command.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream};
use palisade_testkit::{
    Gate,
    grpc::{CountReply, CountRequest, EchoServer, SayReply, SayRequest, echo_server::Echo},
    sockets::Server,
};
use tonic::{
    Code, Status,
    transport::{self, Channel, Endpoint, server::TcpIncoming},
};
use tonic_types::StatusExt;

use super::HOUR;

/// A service whose calls end as it is told.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Seen>);

#[derive(Default)]
struct Seen {
    code: AtomicI32,
    gate: Gate,
    calls: AtomicUsize,
}

impl Told {
    pub(crate) fn end_with(&self, code: Code) {
        self.0.code.store(code.into(), SeqCst);
    }

    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    /// What is held waits here.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    fn end(&self) -> Result<(), Status> {
        match Code::from(self.0.code.load(SeqCst)) {
            Code::Ok => Ok(()),
            code => Err(Status::new(code, "as told")),
        }
    }
}

#[tonic::async_trait]
impl Echo for Told {
    async fn say(
        &self,
        request: tonic::Request<SayRequest>,
    ) -> Result<tonic::Response<SayReply>, Status> {
        self.0.calls.fetch_add(1, SeqCst);
        let asked = request.into_inner();
        if asked.held {
            self.gate().pass().await;
        }
        assert!(!asked.panics, "the service panicked as asked");
        self.end().map(|()| tonic::Response::new(SayReply { text: asked.text }))
    }

    type CountStream = Pin<Box<dyn Stream<Item = Result<CountReply, Status>> + Send>>;

    async fn count(
        &self,
        request: tonic::Request<CountRequest>,
    ) -> Result<tonic::Response<Self::CountStream>, Status> {
        self.0.calls.fetch_add(1, SeqCst);
        let CountRequest { to, held } = request.into_inner();
        let numbers = stream::iter((1..=to).map(|number| Ok(CountReply { number })));
        let told = self.clone();
        let end = stream::once(async move {
            if held {
                told.gate().pass().await;
            }
            told.end()
        });
        let end = end.filter_map(async |end| end.err().map(Err));
        Ok(tonic::Response::new(Box::pin(numbers.chain(Box::pin(end)))))
    }
}

pub(crate) fn served() -> (Server, Told) {
    let told = Told::default();
    let echo = EchoServer::new(told.clone());
    let server = Server::start(|listener| {
        transport::Server::builder()
            .add_service(echo)
            .serve_with_incoming(TcpIncoming::from(listener))
    });
    (server, told)
}

pub(crate) fn channel(server: &Server) -> Channel {
    Endpoint::from_shared(format!("http://{}", server.address())).unwrap().connect_lazy()
}

pub(crate) fn say() -> SayRequest {
    SayRequest { text: "hello".into(), ..SayRequest::default() }
}

/// Says when to come back: in two ways, to those who look for either.
pub(crate) fn is_refusal(status: &Status) -> bool {
    let details = status.get_error_details();
    let Some(info) = details.error_info() else { return false };
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("CIRCUIT_OPEN", "palisade"));
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait <= HOUR && HOUR <= wait + Duration::from_secs(60), "{wait:?}");
    let pushback = status.metadata().get("grpc-retry-pushback-ms").unwrap();
    let pushback = Duration::from_millis(pushback.to_str().unwrap().parse().unwrap());
    assert!(pushback >= wait && pushback <= wait + Duration::from_millis(1), "{status:?}");
    true
}
