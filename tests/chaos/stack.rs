use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use axum::{Router, body::Body};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use palisade::{
    Backoff, BoxError, Jitter,
    breaker::{BreakerLayer, Policy, State, Switch, Trip},
    health::{Check, Finding, Health, HealthLayer, Status},
    key::HeaderKey,
    limit_concurrency::{InFlight, LimitConcurrencyLayer},
    limit_rate::{Buckets, LimitRateLayer, Quota},
    retry::{Budget, Retries, RetryLayer, RetryPolicy},
    timeout::{RequestBodyTimeoutLayer, TimeoutLayer, Timeouts, request_body::Stalls},
};
use tower::{ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

use super::{
    handlers::{self, Calls, Handlers},
    headers::CLIENT,
    tap::Tap,
};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The longest that a request may take; what a client may be silent; what a call and an attempt may take.
/// So short that all of it happens often.
const TIMES: [Duration; 4] = [ms(400), ms(120), ms(150), ms(80)];

/// Less than clients there are.
const MAX: usize = 20;
const MAX_CALLS: usize = 10;

/// More than a client asks that has a name of its own.
pub(crate) const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// What is kept of a request to be sent again.
pub(crate) const MAX_BODY: usize = 8 << 10;

/// How long the circuit stays open.
pub(crate) const OPEN: Duration = ms(40);

/// What layers tell, and what is counted between them. Outermost first.
pub(crate) struct Stack {
    pub(crate) server: Server,
    pub(crate) client: Caller,
    pub(crate) handlers: Handlers,
    pub(crate) router: Router,
}

pub(crate) struct Server {
    pub(crate) outside: Tap,
    pub(crate) health: Health,
    pub(crate) serving: Tap,
    pub(crate) timeouts: Timeouts,
    pub(crate) in_time: Tap,
    pub(crate) limit: InFlight,
    pub(crate) admitted: Tap,
    pub(crate) most: Tap,
    pub(crate) buckets: Buckets<[u8]>,
    pub(crate) paid: Tap,
    pub(crate) stalls: Stalls,
    pub(crate) handled: Tap,
}

pub(crate) struct Caller {
    pub(crate) outside: Tap,
    pub(crate) total: Timeouts,
    pub(crate) requests: Tap,
    pub(crate) retries: Retries,
    pub(crate) attempts: Tap,
    pub(crate) switch: Switch,
    pub(crate) passed: Tap,
    pub(crate) limit: InFlight,
    pub(crate) admitted: Tap,
    pub(crate) each: Timeouts,
    pub(crate) sent: Tap,
}

fn policy() -> Policy {
    Policy::new(Trip::rate(0.7).min(20).or(Trip::consecutive(12)))
        .with_open(Backoff::constant(OPEN).with_jitter(Jitter::None))
}

impl Caller {
    fn new(upstream: SocketAddr) -> (Self, Calls) {
        let retry = RetryPolicy::http()
            .backoff(Backoff::new(ms(2), ms(20)))
            .budget(Budget::ratio(0.5).burst(20).max_concurrent(8))
            .max_body(MAX_BODY)
            // Of the largest, three.
            .max_buffered(4 * MAX_BODY)
            .honor_retry_after(ms(1_500));
        let total = TimeoutLayer::client(TIMES[2]).shared();
        let retry = RetryLayer::new(retry).with_body(Body::new);
        let breaker = BreakerLayer::new(policy());
        let limit =
            LimitConcurrencyLayer::new(MAX_CALLS).with_status(StatusCode::SERVICE_UNAVAILABLE);
        let each = TimeoutLayer::client(TIMES[3]);
        let [outside, requests, attempts, passed, admitted, sent] =
            [(); 6].map(|()| Tap::default());
        let stack = ServiceBuilder::new()
            .layer(outside.clone())
            .layer(total.clone())
            .layer(requests.clone())
            .layer(retry.clone())
            .layer(attempts.clone())
            .layer(breaker.clone())
            .layer(passed.clone())
            .layer(limit.clone())
            .layer(admitted.clone())
            .layer(each.clone())
            .layer(sent.clone())
            .service(transport(upstream));
        let calls = stack.map_response(|response| response.map(Body::new)).map_err(BoxError::from);
        let caller = Self {
            outside,
            total: total.handle(),
            requests,
            retries: retry.handle(),
            attempts,
            switch: breaker.handle(),
            passed,
            limit: limit.handle(),
            admitted,
            each: each.handle(),
            sent,
        };
        (caller, BoxCloneSyncService::new(calls))
    }
}

/// Calls over HTTP/1.1, but for gRPC, which is over HTTP/2.
fn transport(
    upstream: SocketAddr,
) -> impl tower::Service<
    Request<Body>,
    Response = http::Response<hyper::body::Incoming>,
    Error = hyper_util::client::legacy::Error,
    Future: Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_max_idle_per_host(4);
    let http1 = builder.build::<_, Body>(connector.clone());
    let http2 = builder.http2_only(true).build::<_, Body>(connector);
    service_fn(move |mut request: Request<Body>| {
        let path = request.uri().path();
        *request.uri_mut() = format!("http://{upstream}{path}").parse().unwrap();
        let is_grpc =
            request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/grpc");
        if is_grpc { http2.request(request) } else { http1.request(request) }
    })
}

impl Stack {
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        let (caller, calls) = Caller::new(upstream);
        let handlers = Handlers::default();
        let health = Health::new();
        let timeout = TimeoutLayer::server(TIMES[0]);
        let limit = LimitConcurrencyLayer::new(MAX);
        let quota = Quota::per_hour(BURST).with_burst(BURST);
        let rate = LimitRateLayer::new(quota, HeaderKey::new(CLIENT));
        let request_body = RequestBodyTimeoutLayer::new(TIMES[1]);
        let [outside, serving, in_time, admitted, most, paid, handled] =
            [(); 7].map(|()| Tap::default());
        looks_at(&health, &caller.switch, upstream);

        let for_all = ServiceBuilder::new()
            .layer(outside.clone())
            .layer(HealthLayer::new(&health))
            .layer(serving.clone())
            .layer(timeout.clone())
            .layer(in_time.clone())
            .layer(limit.clone())
            .layer(admitted.clone());
        let for_most = ServiceBuilder::new()
            .layer(most.clone())
            .layer(rate.clone())
            .layer(paid.clone())
            .layer(request_body.clone())
            .layer(handled.clone());
        let router = handlers::routes(&handlers, calls).layer(for_most);
        let router = router.merge(handlers::free(&handlers)).layer(for_all);
        let server = Server {
            outside,
            health,
            serving,
            timeouts: timeout.handle(),
            in_time,
            limit: limit.handle(),
            admitted,
            most,
            buckets: rate.handle(),
            paid,
            stalls: request_body.handle(),
            handled,
        };
        Self { server, client: caller, handlers, router }
    }

    /// So much time for all that a slow machine has enough.
    pub(crate) fn gives_time(&self) {
        const ENOUGH: Duration = Duration::from_secs(10);
        self.server.timeouts.set_limit(ENOUGH);
        self.server.stalls.set_limit(ENOUGH);
        self.client.total.set_limit(ENOUGH);
        self.client.each.set_limit(ENOUGH);
    }

    /// As it was.
    pub(crate) fn takes_time_back(&self) {
        self.server.timeouts.set_limit(TIMES[0]);
        self.server.stalls.set_limit(TIMES[1]);
        self.client.total.set_limit(TIMES[2]);
        self.client.each.set_limit(TIMES[3]);
    }
}

/// As the example server's health does: of the upstream, and of the breaker in front of it.
fn looks_at(health: &Health, switch: &Switch, upstream: SocketAddr) {
    let ask = move || async move { tokio::net::TcpStream::connect(upstream).await.map(drop) };
    health.readiness().check(Check::new("upstream", ask).every(ms(50)).failures(2));
    let switch = switch.clone();
    let stands = move || match switch.state() {
        State::Closed => Finding::from(Status::Pass),
        State::Open | State::HalfOpen => Status::Warn.into(),
    };
    health.readiness().check(Check::reading("breaker", stands));
}
