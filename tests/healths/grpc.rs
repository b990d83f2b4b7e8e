//! What clients that are generated make of a server's health.

use std::{collections::HashMap, net::SocketAddr};

use http::uri::PathAndQuery;
use palisade_testkit::{
    grpc::{Echo, EchoServer},
    sockets::Server,
};
use tonic::{
    Request, Status,
    client::Grpc,
    transport::{self, Channel, Endpoint, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_prost::ProstCodec;

use super::Served;

/// A tonic server that does what [`Echo`] does.
pub(crate) fn tonic() -> Served {
    Served::start(http::Version::HTTP_2, |listener, layer, gate, stop| async move {
        let server =
            transport::Server::builder().layer(layer).add_service(EchoServer::new(Echo::new(gate)));
        let incoming = TcpIncoming::from(listener);
        let stopped = async move { stop.pass().await };
        server.serve_with_incoming_shutdown(incoming, stopped).await.unwrap();
    })
}

/// axum, which knows nothing of gRPC.
pub(crate) fn axum() -> Served {
    Served::router(http::Version::HTTP_2)
}

pub(crate) fn endpoint(address: SocketAddr) -> Endpoint {
    // Many small messages, and a kernel that would collect them for 40 ms.
    Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true)
}

pub(crate) fn channel(server: &Server) -> Channel {
    endpoint(server.address()).connect_lazy()
}

/// As tonic-health has it.
pub(crate) fn client(server: &Server) -> HealthClient<Channel> {
    HealthClient::new(channel(server))
}

pub(crate) fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

pub(crate) async fn check(server: &Server, service: &str) -> Result<ServingStatus, Status> {
    let answer = client(server).check(of(service)).await?;
    Ok(answer.into_inner().status())
}

/// `HealthListRequest` and `HealthListResponse`, which tonic-health does not have yet.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListRequest {}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ListResponse {
    #[prost(map = "string, message", tag = "1")]
    statuses: HashMap<String, HealthCheckResponse>,
}

/// All services that the server tells of, in order of their names.
pub(crate) async fn list(server: &Server) -> Result<Vec<(String, ServingStatus)>, Status> {
    let mut client = Grpc::new(channel(server));
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/List");
    let codec = ProstCodec::<ListRequest, ListResponse>::default();
    let answer = client.unary(Request::new(ListRequest {}), path, codec).await?;
    let statuses = answer.into_inner().statuses;
    let mut all: Vec<_> = statuses.into_iter().map(|(name, told)| (name, told.status())).collect();
    all.sort();
    Ok(all)
}
