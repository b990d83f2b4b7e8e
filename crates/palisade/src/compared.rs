//! What tower 0.5, tower-http 0.7, `tower_governor` 0.8 and tower-resilience 0.14 do in the same place: facts, each
//! of which is a test.
//!
//! The tests are in the repository's `benches/peers/tests/facts/`, in the module that stands over each table, and
//! run against the peers themselves; when one of those changes, its test fails and this page is mended. What
//! Palisade does stands beside it in the same test, and in the tests of its own that are named below the table.
//! A peer that has nothing in some place is left out there. Before and after in code is in
//! [`coming_from`](crate::coming_from).
//!
//! # A limit on what is in flight
//!
//! `limits.rs`; `served.rs` for the second row.
//!
//! | | Palisade | tower | tower-resilience |
//! | --- | --- | --- | --- |
//! | at its limit | answers 429 at once | waits; inside `LoadShed` fails at once | waits; with `reject_when_full` fails |
//! | under `axum::serve(listener, app)` it is one limit | over all routes and connections | for each route of each connection; as `GlobalConcurrencyLimitLayer` over all | for each route of each connection; made by `build_with_handle` over all |
//! | a place is held | until the body is over | until the head is there | until the head is there |
//! | can wait for a place | no | yes | yes |
//! | when something inside is not ready | is not ready either, so that callers wait | inside `LoadShed` fails | – |
//!
//! Here: `laws.rs` `a_refusal_is_an_answer`, `an_exchange_is_held_until_its_body_is_over`,
//! `all_services_of_a_layer_and_of_its_clones_share_one_state`; over sockets `tests/axum.rs`.
//!
//! # A limit on how often a client asks
//!
//! `rates.rs`; `served.rs` for the third row.
//!
//! | | Palisade | tower | `tower_governor` | tower-resilience |
//! | --- | --- | --- | --- | --- |
//! | over the rate | answers 429 | waits | answers 429 | waits for 100 ms by default, then fails |
//! | counts | each client | all together | each client | all together |
//! | under `axum::serve(listener, app)` it is one limit | over all routes and connections | axum cannot take it: it is not `Clone` | over all | for each route of each connection; made by `build_with_handle` over all |
//! | told to come back in half a second, a client reads | `Retry-After: 1` | – | `Retry-After: 0` | – |
//! | memory for clients | fixed; forgets by itself | – | grows with every client, until `retain_recent` is called | – |
//! | one client is taken for another | two in a million, at the [capacity](crate::limit_rate::TableStore#exactness); over [`ExactStore`](crate::limit_rate::ExactStore) none | – | none | – |
//! | a forged `X-Forwarded-For` | `ForwardedIp` believes the proxies you name | – | `SmartIpKeyExtractor` believes it | – |
//! | where axum does not know who connects | one bucket for all, or as you say | – | 500 | – |
//! | by the hour and by the day at once | one layer; what one window refuses, the other does not charge | – | two layers; the outer one charges for what the inner one refuses | – |
//! | can wait for a turn | no | yes | no | yes |
//!
//! Here: `limit-rate`'s `tests/attacks.rs`, `takes_from_all_windows_or_from_none`; `key`'s
//! `whatever_a_client_sends_it_is_who_its_first_trusted_proxy_says`; over sockets `tests/rate_axum.rs`.
//!
//! # A bound on time
//!
//! `timeouts.rs`.
//!
//! | | Palisade | tower | tower-http | tower-resilience |
//! | --- | --- | --- | --- | --- |
//! | when the time is up | answers 503 or 504, and says why | fails | answers with the status you choose, without a body | fails |
//! | the body | is within the same bound | is not bounded | is bounded by another layer, whose clock begins with the body | is not bounded |
//! | for an answer that is there at once | makes no timer | makes one | makes one, and registers it | makes one |
//! | `grpc-timeout` | is kept to | is not read | is not read | is not read |
//!
//! That tower's timer is not registered, and tower-http's is, shows in *Wake-ups* of `benches/README.md`.
//!
//! Here: `timeout`'s `what_is_there_at_once_needs_no_timer`; `order.rs`
//! `a_timeout_outside_the_limit_has_the_permit_back_when_it_cuts_a_body_off`; over sockets `tests/timeout_tonic.rs`.
//!
//! # Trying again
//!
//! `retries.rs`.
//!
//! | | Palisade | tower | tower-resilience |
//! | --- | --- | --- | --- |
//! | what is tried again | what may be done twice: after an error a GET three times, a POST once | what the policy you write says | by default every error: a POST three times |
//! | a request with axum's or tonic's body | is tried again, its body kept up to a bound | only by a copy that your policy makes | does not compile: it must be `Clone` |
//! | a budget | by default: ten, and a tenth of what succeeds | `TpsBudget`, if your policy asks it | if you give it one |
//! | a hundred GETs that all fail are | 110 calls | as your policy says | by default 300 calls |
//! | a ratio of 60 % lets through | 60 % | 100 % | – |
//! | asked by `Retry-After` to wait for 3 s | waits for 3 s or more | as your policy says | waits for 100 ms |
//! | of clients that failed at once the first waits are | spread | as your policy says | by default alike |
//!
//! Here: `retry`'s `a_post_is_sent_once_when_it_was_answered_and_again_when_it_was_not_sent`,
//! `a_hint_is_a_floor_and_one_that_is_too_long_is_the_end`; over sockets `tests/retry_axum.rs`, `retry_tonic.rs`.
//!
//! # Not calling what is broken
//!
//! `breakers.rs`. tower, tower-http and `tower_governor` have no breaker.
//!
//! | | Palisade | tower-resilience |
//! | --- | --- | --- |
//! | the default window | the last ten seconds, sliding | all calls since the circuit last changed: of 1,000 successes and then failures, 1,000 failures open it, though it was set to ten calls |
//! | what opens it by default | errors, 5xx, gRPC statuses | errors; the rest by a classifier of yours |
//! | a success of before it opened, while it probes | decides nothing | closes it |
//!
//! A window by time, which tower-resilience has too, is walked with each call: the table of windows in
//! `benches/README.md` has what that costs.
//!
//! Here: `breaker`'s `decides_and_tells_like_one_that_remembers_every_call`, `a_late_result_moves_no_newer_state`;
//! over sockets `tests/breaker_hyper.rs`, `breaker_tonic.rs`.
//!
//! # On axum
//!
//! `errors.rs`.
//!
//! | | Palisade | tower | tower-http | `tower_governor` | tower-resilience |
//! | --- | --- | --- | --- | --- | --- |
//! | a layer around what cannot fail fails with | `Infallible` | `BoxError` | `Infallible` | `Infallible` | an error type for each layer |
//! | so axum needs | nothing | a `HandleErrorLayer` | nothing | nothing | a `HandleErrorLayer` |
//!
//! tower's `ConcurrencyLimitLayer` alone, which waits, is taken as it is.
//!
//! # Over gRPC
//!
//! `grpc.rs`. What a tonic client is told:
//!
//! | | Palisade | tower | tower-http | `tower_governor` | tower-resilience |
//! | --- | --- | --- | --- | --- | --- |
//! | a server is at its limit | `RESOURCE_EXHAUSTED`, and when to come back | `RESOURCE_EXHAUSTED` | – | – | `INTERNAL` |
//! | it asked too often | `RESOURCE_EXHAUSTED`, and when to come back | – | – | `RESOURCE_EXHAUSTED` | – |
//! | the server's time is up | `DEADLINE_EXCEEDED` | `INTERNAL` | `UNAVAILABLE` of 504, `UNKNOWN` of 408 | – | `INTERNAL` |
//! | through layers around its channel: the connection was refused | `UNAVAILABLE` | `UNAVAILABLE` | – | – | `UNKNOWN` |
//! | through layers around its channel: the circuit is open | `UNAVAILABLE` | – | – | – | `UNKNOWN` |
//!
//! When to come back is `grpc-retry-pushback-ms`.
//!
//! Here: `laws.rs` `a_refusal_speaks_the_protocol_of_the_request`; over sockets `tests/tonic.rs`.
//!
//! # What they have and Palisade has not
//!
//! `more.rs`. tower has a `Hedge`, which sends a second request where the first is slow, and queues: its limits,
//! and `Buffer`. tower-resilience has a hedge too, a cache, and faults on purpose, among others. Palisade has none
//! of these, and no limit that waits.
//!
//! # What they cost
//!
//! Allocations for a request that is let in and an inner service that is ready at once, by the table *Called
//! directly* of `benches/README.md`, which has the times and the command:
//!
//! | | Palisade | tower | tower-http | `tower_governor` | tower-resilience |
//! | --- | ---: | ---: | ---: | ---: | ---: |
//! | limit on what is in flight | 0 | 0 | – | – | 3 |
//! | limit on how often, by a header | 0 | – | – | 1 | – |
//! | limit on how often, one for all | – | 0 | – | 0 | 2 |
//! | timeout | 0 | 0 | 0 | – | 2 |
//! | retry of a request without headers: never tried again | 0 | 0 | – | – | 2 |
//! | … may be tried again | 1 | 0 | – | – | 2 |
//! | breaker | 0 | – | – | – | 3 |
//!
//! Not everything is cheaper here. A retry of what may be tried again takes 2.8 times as long as tower's with
//! a policy that clones the request; a timeout whose answer is not there at once 1.4 times; a rate limit by a header
//! 1.4 times `tower_governor`'s, and a check of one hot key in it 1.1 to 1.3 times `governor`'s. Whole servers on axum
//! over loopback answer 0.92 of the requests a second that a bare one answers with three layers of ours, 0.94 with
//! those of tower and `tower_governor`, 0.83 with those of tower-resilience. `benches/README.md` says why.
