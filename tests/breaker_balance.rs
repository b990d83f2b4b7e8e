//! The breaker as a gate before each endpoint of `tower::balance`: hyper's clients of three axum servers.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod breakers;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use breakers::{Client, Told, Upstream, VERSIONS, an_hour_later, client, policy};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Uri, Version, uri::Authority};
use http_body_util::Full;
use hyper_util::client::legacy;
use palisade::{
    Rejection,
    breaker::{BreakerLayer, Gate, State, Switch},
};
use palisade_testkit::sockets::eventually;
use tower::{
    BoxError, Layer, Service, ServiceExt,
    balance::p2c::Balance,
    discover::ServiceList,
    load::{CompleteOnResponse, PendingRequests},
    util::MapRequest,
};

type Asked = Request<Full<Bytes>>;

/// A client that asks one upstream whatever path it is given.
type Endpoint = MapRequest<Client, Box<dyn FnMut(Asked) -> Asked + Send>>;

fn endpoint(upstream: &Upstream, version: Version) -> Endpoint {
    let authority: Authority = upstream.address().to_string().parse().unwrap();
    let at = move |mut request: Asked| {
        let mut target = request.uri().clone().into_parts();
        (target.scheme, target.authority) = ("http".parse().ok(), Some(authority.clone()));
        *request.uri_mut() = Uri::from_parts(target).unwrap();
        request
    };
    client(version).map_request(Box::new(at))
}

fn get(path: &str) -> Asked {
    Request::get(path).body(Full::default()).unwrap()
}

/// Three upstreams, and a circuit for each.
struct Three {
    upstreams: [Upstream; 3],
    layers: [BreakerLayer; 3],
}

impl Three {
    fn new() -> Self {
        let layers = [(); 3].map(|()| BreakerLayer::new(policy()));
        Self { upstreams: [(); 3].map(|()| Upstream::new()), layers }
    }

    fn told(&self, number: usize) -> &Told {
        &self.upstreams[number].told
    }

    fn switch(&self, number: usize) -> Switch {
        self.layers[number].handle()
    }

    fn requests(&self) -> [usize; 3] {
        self.upstreams.each_ref().map(|upstream| upstream.told.requests())
    }

    /// A balancer over them that takes whichever of two has fewer requests under way.
    fn balanced<S>(
        &self,
        version: Version,
        layered: impl Fn(&BreakerLayer, Endpoint) -> S,
    ) -> Balanced<S>
    where
        S: Service<Asked, Error: Into<BoxError>>,
    {
        let endpoints = self.upstreams.iter().zip(&self.layers).map(|(upstream, layer)| {
            let service = layered(layer, endpoint(upstream, version));
            PendingRequests::new(service, CompleteOnResponse::default())
        });
        Balance::new(ServiceList::new::<Asked>(endpoints.collect::<Vec<_>>()))
    }
}

type Balanced<S> = Balance<ServiceList<Vec<PendingRequests<S, CompleteOnResponse>>>, Asked>;

fn gated(layer: &BreakerLayer, endpoint: Endpoint) -> Gate<Endpoint> {
    layer.clone().gate().layer(endpoint)
}

/// How many of so many requests, one after the other, are not answered well.
async fn failures(balanced: &mut Balanced<Gate<Endpoint>>, asked: usize) -> usize {
    let mut failures = 0;
    for _ in 0..asked {
        let answer = balanced.ready().await.unwrap().call(get("/")).await.unwrap();
        assert!(Rejection::of(&answer).is_none(), "a gate waits");
        failures += usize::from(answer.status() != 200);
    }
    failures
}

#[tokio::test]
async fn an_endpoint_that_dies_is_taken_out_and_brought_back() {
    for version in VERSIONS {
        let three = Three::new();
        let mut balanced = three.balanced(version, gated);
        assert_eq!(failures(&mut balanced, 100).await, 0);
        let [before, ..] = three.requests();
        assert!(before > 10);

        three.told(0).answer(500);
        assert_eq!(failures(&mut balanced, 100).await, 2);
        assert_eq!((three.requests()[0], three.switch(0).state()), (before + 2, State::Open));
        // It is asked once, and is not well.
        an_hour_later().await;
        assert_eq!(failures(&mut balanced, 100).await, 1);
        assert_eq!((three.requests()[0], three.switch(0).state()), (before + 3, State::Open));

        three.told(0).answer(200);
        an_hour_later().await;
        assert_eq!(failures(&mut balanced, 100).await, 0);
        assert!(three.requests()[0] > before + 13, "{:?}", three.requests());
        assert_eq!(three.switch(0).state(), State::Closed);
        assert_eq!(three.requests().iter().sum::<usize>(), 400);
    }
}

/// Sends so many requests at once, of which those to the two that are well are held there. Returns how
/// many were not.
async fn burst<S>(three: &Three, mut balanced: Balanced<S>, asked: usize) -> usize
where
    S: Service<Asked, Error = legacy::Error, Future: Send + 'static>,
{
    three.told(0).answer(500);
    three.told(0).gate().open();
    let answered = Arc::new(AtomicUsize::new(0));
    let held = || three.told(1).under_way() + three.told(2).under_way();
    for sent in 1..=asked {
        let call = balanced.ready().await.unwrap().call(get("/held"));
        let answered_too = Arc::clone(&answered);
        tokio::spawn(async move {
            drop(call.await);
            answered_too.fetch_add(1, SeqCst);
        });
        // So that what is answered at once is no load any more when the next is sent.
        eventually(|| held() + answered.load(SeqCst) == sent).await;
    }
    let at_once = answered.load(SeqCst);
    three.told(1).gate().open();
    three.told(2).gate().open();
    eventually(|| answered.load(SeqCst) == asked).await;
    at_once
}

/// An endpoint that refuses is never busy, so that it is given most of what there is.
#[tokio::test]
async fn fast_failures_attract_no_traffic_as_refusals_would() {
    for version in VERSIONS {
        let three = Three::new();
        assert_eq!(burst(&three, three.balanced(version, gated), 60).await, 2);
        assert_eq!(three.requests()[0], 2);

        let three = Three::new();
        let refusing = three.balanced(version, Layer::layer);
        assert!(burst(&three, refusing, 60).await > 20);
        assert_eq!(three.requests()[0], 2, "the others were refused");
    }
}

#[tokio::test]
async fn while_all_are_out_requests_wait_and_one_that_is_well_is_enough() {
    for version in VERSIONS {
        let three = Three::new();
        let mut balanced = three.balanced(version, gated);
        for number in 0..3 {
            three.told(number).answer(500);
        }
        assert_eq!(failures(&mut balanced, 6).await, 6);
        assert_eq!(three.requests(), [2; 3]);
        assert!(balanced.ready().now_or_never().is_none(), "nobody can be asked");

        three.told(1).answer(200);
        let waiting = tokio::spawn(async move {
            // The others are asked once.
            assert!(failures(&mut balanced, 100).await <= 2);
            failures(&mut balanced, 100).await
        });
        an_hour_later().await;
        assert_eq!(waiting.await.unwrap(), 0);
        let [one, well, other] = three.requests();
        assert!(one <= 3 && other <= 3 && one + well + other == 206, "{one} {well} {other}");
    }
}

#[tokio::test]
async fn an_operator_takes_an_endpoint_out_and_brings_it_back() {
    let three = Three::new();
    let mut balanced = three.balanced(Version::HTTP_2, gated);
    three.switch(2).force_open();
    assert_eq!(failures(&mut balanced, 100).await, 0);
    assert_eq!(three.requests()[2], 0);
    three.switch(2).automatic();
    assert_eq!(failures(&mut balanced, 100).await, 0);
    assert!(three.requests()[2] > 10);
}
