//! limit-rate under hyper alone, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rates;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use http::{Request, Version};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use palisade::{
    key::{ByExtension, ClientNet, ExtractKey, ForwardedIp, Missing, PeerIp},
    limit_rate::{LimitRateLayer, RateLimitHeaders},
};
use palisade_testkit::sockets::Server;
use rates::{FEW, Served, all_scenarios, answer, quota, scenarios};
use tower::{Layer as _, ServiceExt, service_fn};

/// What the server knows of a connection.
#[derive(Clone, Copy)]
struct Peer(SocketAddr);

type ByPeer = ByExtension<Peer, fn(&Peer) -> SocketAddr>;
type Layer = LimitRateLayer<PeerIp<ByPeer>>;

fn peer() -> PeerIp<ByPeer> {
    PeerIp::from_extension(|peer: &Peer| peer.0)
}

fn forwarded(by: &str) -> ForwardedIp<ByPeer> {
    ForwardedIp::try_trusting([by]).unwrap().with_peer(peer())
}

/// hyper clones the service for each request.
fn try_served<K>(ip: IpAddr, layer: &LimitRateLayer<K>, version: Version) -> io::Result<Served>
where
    K: ExtractKey<Key = ClientNet> + Send + Sync + 'static,
{
    let buckets = layer.handle();
    let answer = async |request: Request<Incoming>| Ok::<_, Infallible>(answer(request).await);
    let service = layer.layer(service_fn(answer));
    let server = Server::try_start_on(ip, |listener| async move {
        while let Ok((connection, peer)) = listener.accept().await {
            let service = service.clone().map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                request
            });
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(connection), TowerToHyperService::new(service))
                    .await
                    // Tests look at the other end of the connection.
                    .ok();
            });
        }
    })?;
    Ok(Served { server, buckets, version })
}

fn served<K>(layer: &LimitRateLayer<K>, version: Version) -> Served
where
    K: ExtractKey<Key = ClientNet> + Send + Sync + 'static,
{
    try_served(Ipv4Addr::LOCALHOST.into(), layer, version).unwrap()
}

/// Without the peer's address.
fn keyless(layer: &Layer, version: Version) -> Served {
    let buckets = layer.handle();
    let answer = async |request: Request<Incoming>| Ok::<_, Infallible>(answer(request).await);
    Served { server: Server::hyper(layer.layer(service_fn(answer))), buckets, version }
}

all_scenarios!();
