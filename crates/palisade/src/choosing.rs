//! Which layer you need: by what you see in production, and the setting to begin with.
//!
//! None needs another. Begin with one, watch its `handle()`, and add the next when you see what it is for. Where
//! they stand is in [`ordering`](crate::ordering), whole stacks are in [`stacks`](crate::stacks).
//!
//! # On a server
//!
//! | what you see | layer | begin with |
//! | --- | --- | --- |
//! | under load latency and memory grow until the process is killed | [`limit_concurrency`](crate::limit_concurrency) | `LimitConcurrencyLayer::new(n)`, where `n` is twice the requests per second that it serves well, times the seconds that one takes then (Little's law) |
//! | some requests never end; connections and memory pile up | [`timeout`](crate::timeout) | `TimeoutLayer::server(d)`, where `d` is a few times the 99th percentile; for streams [`BodyLimit::Idle`](crate::timeout::BodyLimit::Idle) |
//! | clients begin an upload and stop | [`RequestBodyTimeoutLayer`](crate::timeout::RequestBodyTimeoutLayer) | `new(d)`, where `d` is the longest pause that you forgive, say 10 s |
//! | one client takes what is there for all | [`limit_rate`](crate::limit_rate) | [`PeerIp`](crate::key::PeerIp), or behind proxies [`ForwardedIp`](crate::key::ForwardedIp), and [`with_shadow`](crate::limit_rate::LimitRateLayer::with_shadow) until you know what is usual |
//! | a plan has to be enforced: so many a second, so many a day | [`limit_rate`](crate::limit_rate) | a key by user, [`with_quota`](crate::limit_rate::LimitRateLayer::with_quota) for the second window, [`with_quota_for`](crate::limit_rate::LimitRateLayer::with_quota_for) for tiers |
//! | somebody guesses passwords | [`limit_rate`](crate::limit_rate) | [`charge_when`](crate::limit_rate::LimitRateLayer::charge_when) the answer is 401 |
//! | a deployment loses requests | [`health`](crate::health) | on SIGTERM [`drain(10 s)`](crate::health::Health::drain), five seconds later the graceful shutdown, as in [`stacks`](crate::stacks) |
//! | probes need handlers, or make checks run | [`health`](crate::health) | `HealthLayer` outermost: `/livez`, `/readyz`, `/startupz`, answered from memory |
//! | a background task has died and nobody knew | [`health`](crate::health) | a [`Heartbeat`](crate::health::Heartbeat) of it |
//! | an outage of a database restarts all instances | [`health`](crate::health) | a [`Check`](crate::health::Check) of readiness that is not critical; liveness takes heartbeats only |
//!
//! # On a client
//!
//! | what you see | layer | begin with |
//! | --- | --- | --- |
//! | your requests hang because an upstream hangs | [`timeout`](crate::timeout) twice | [`client(total)`](crate::timeout::TimeoutLayer::client)`.`[`shared()`](crate::timeout::TimeoutLayer::shared) outermost, `client(attempt)` innermost |
//! | now and then a call fails: a restart, a lost connection, a full upstream | [`retry`](crate::retry) | [`RetryPolicy::http()`](crate::retry::RetryPolicy::http): three attempts, and a budget of ten and a tenth of what succeeds |
//! | retries multiply the load of an upstream that is down | [`retry`](crate::retry) in place of the loop you have | the same, in one place of the chain |
//! | an upstream is down, and every request waits to learn it | [`breaker`](crate::breaker) | `BreakerLayer::default()`: opens at half of 20 or more calls in 10 s, or at five failures in a row |
//! | one of many upstreams is down | [`KeyedBreakerLayer`](crate::breaker::KeyedBreakerLayer) | with the key [`Authority`](crate::key::Authority) |
//! | a balancer prefers an endpoint since it fails fast | [`gate`](crate::breaker::BreakerLayer::gate) | around each endpoint |
//! | a slow upstream takes all tasks and connections | [`limit_concurrency`](crate::limit_concurrency) | with [`with_status(503)`](crate::limit_concurrency::LimitConcurrencyLayer::with_status): it is not your caller's fault |
//! | an upstream refuses more than so many calls a second | [`limit_rate`](crate::limit_rate) | with the key [`Global`](crate::key::Global); to wait for a turn, tower's `RateLimitLayer` |
//!
//! # Over gRPC
//!
//! All layers tell gRPC from HTTP by the request's `content-type`, on servers and clients alike.
//!
//! | what you see | layer | begin with |
//! | --- | --- | --- |
//! | a server works on after its client's deadline | [`timeout`](crate::timeout) | nothing: `grpc-timeout` is read, and bounds the stream too |
//! | the next hop does not know how much time is left | [`timeout`](crate::timeout) | [`forward()`](crate::timeout::TimeoutLayer::forward) |
//! | `UNAVAILABLE` while the upstream is deployed | [`retry`](crate::retry) | [`RetryPolicy::grpc()`](crate::retry::RetryPolicy::grpc)`.`[`idempotent([..])`](crate::retry::RetryPolicy::idempotent), over a `Channel` with [`with_body(Body::new)`](crate::retry::RetryLayer::with_body) |
//! | an upstream that answers `INTERNAL` looks well, since every answer is a 200 | [`breaker`](crate::breaker) | nothing: statuses are read in head and trailers |
//! | the orchestrator asks `grpc.health.v1.Health` | [`health`](crate::health) | `HealthLayer` on the server: `Check`, `Watch` and `List`, without a service of tonic's |
//! | clients are to be told apart by address | [`key`](crate::key) | [`PeerIp::from_extension`](crate::key::PeerIp::from_extension)`(TcpConnectInfo::remote_addr)` |
//!
//! # What none of them is for
//!
//! To wait for a place instead of being refused, stack tower's `ConcurrencyLimitLayer` or `BufferLayer`. To send
//! a second request where the first is slow, tower's `Hedge`. Answers from memory, faults on purpose and more are in
//! tower-resilience; logs, headers and compression in tower-http. Each is a tower layer and stands beside these.
//! None of them here keeps one limit across several processes.
