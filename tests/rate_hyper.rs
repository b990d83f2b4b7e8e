//! limit-rate under hyper alone, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rates;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use palisade::{
    Rejection, Sent,
    key::{Authority, ByExtension, ClientNet, ExtractKey, ForwardedIp, Missing, PeerIp},
    limit_rate::{LimitRateLayer, RateLimitHeaders},
};
use palisade_testkit::sockets::{Server, deaf};
use rates::{FEW, Served, all_scenarios, answer, quota, scenarios};
use tower::{Layer as _, Service, ServiceExt, service_fn};

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

async fn say_hello(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(answer(request).await)
}

/// hyper clones the service for each request.
fn try_served<K>(ip: IpAddr, layer: &LimitRateLayer<K>, version: Version) -> io::Result<Served>
where
    K: ExtractKey<Key = ClientNet> + Send + Sync + 'static,
{
    let buckets = layer.handle();
    let service = layer.layer(service_fn(say_hello));
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
    Served { server: Server::hyper(layer.layer(service_fn(say_hello))), buckets, version }
}

all_scenarios!();

#[tokio::test]
async fn around_a_client_each_upstream_has_a_bucket() {
    let upstreams = [(); 2].map(|()| Server::hyper(service_fn(say_hello)));
    let layer = LimitRateLayer::new(quota(FEW), Authority::new());
    let transport = legacy::Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut client = layer.layer(transport);
    let mut get = async |server: SocketAddr| {
        let request = Request::get(format!("http://{server}/hello")).body(Empty::new()).unwrap();
        client.ready().await?.call(request).await
    };
    for upstream in &upstreams {
        for _ in 0..5 {
            let answer = get(upstream.address()).await.unwrap();
            assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "hello");
        }
        let refused = get(upstream.address()).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), Rejection::of(&refused).unwrap().sent()),
            (429, Sent::No)
        );
    }
    // The error is the client's own, and so is its type; what was asked for was paid for.
    let deaf = deaf();
    let error: legacy::Error = get(deaf.local_addr().unwrap()).await.unwrap_err();
    assert!(error.is_connect());
    let buckets = layer.handle();
    assert_eq!((buckets.refused(), buckets.len()), (2, 3));
}
