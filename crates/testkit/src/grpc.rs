//! A gRPC service that does what its caller asks of it, and its client.

use std::{future, pin::Pin};

use futures_util::{Stream, StreamExt, stream};
use tonic::{Code, Request, Response, Status};

use crate::Gate;

pub use proto::{
    CountReply, CountRequest, SayReply, SayRequest,
    echo_client::EchoClient,
    echo_server::{self, EchoServer},
};

mod proto {
    #![allow(
        clippy::allow_attributes_without_reason,
        clippy::clone_on_ref_ptr,
        clippy::pedantic,
        missing_debug_implementations,
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        reason = "generated"
    )]
    tonic::include_proto!("palisade.echo.v1");
}

/// The service: what is asked to be held waits at its gate.
#[derive(Clone, Debug, Default)]
pub struct Echo(Gate);

impl Echo {
    /// A service with this gate.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        Self(gate)
    }
}

#[tonic::async_trait]
impl echo_server::Echo for Echo {
    async fn say(&self, request: Request<SayRequest>) -> Result<Response<SayReply>, Status> {
        let asked = request.into_inner();
        if asked.held {
            self.0.pass().await;
        }
        assert!(!asked.panics, "the service panicked as asked");
        match Code::from(asked.code) {
            Code::Ok => Ok(Response::new(SayReply { text: asked.text })),
            code => Err(Status::new(code, asked.text)),
        }
    }

    type CountStream = Pin<Box<dyn Stream<Item = Result<CountReply, Status>> + Send>>;

    async fn count(
        &self,
        request: Request<CountRequest>,
    ) -> Result<Response<Self::CountStream>, Status> {
        let CountRequest { to, held } = request.into_inner();
        let numbers = stream::iter((1..=to).map(|number| Ok(CountReply { number })));
        let gate = self.0.clone();
        let end = stream::once(async move {
            if held {
                gate.pass().await;
            }
        });
        let end = end.filter_map(|()| future::ready(None));
        Ok(Response::new(Box::pin(numbers.chain(end))))
    }
}
