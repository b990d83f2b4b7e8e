//! In which order, and what each wrong order costs. The first is the outermost.
//!
//! Every line below is a test, of `tests/order.rs` or of a module in `tests/orders/`, which runs both orders and
//! states the difference.
//!
//! # On a server
//!
//! ```text
//! health → timeout → limit-concurrency → limit-rate → handler
//! ```
//!
//! Probes are answered whatever else is refused; what ran out of time gives its place back; and who finds no
//! place has used nothing up.
//!
//! | if instead | it costs | test |
//! | --- | --- | --- |
//! | limit-concurrency is outside health | a server that is merely full answers its probes 429, is taken for ill, and its load goes to the next | `a_probe_is_answered_at_capacity_and_inside_the_limit_is_refused` |
//! | a queue is outside health | probes stand in line: 1 s where they take none | `a_probe_waits_in_no_queue_but_in_one_outside` |
//! | limit-rate is outside health | each probe takes a token of somebody's | `a_probe_takes_no_token_but_from_a_rate_limit_outside` |
//! | authentication is outside health | each probe is answered 401 | `a_probe_need_not_say_who_asks_but_to_an_authentication_outside` |
//! | timeout is outside health | who watches gRPC health is cut off whenever its time is up | `a_watch_has_all_the_time_it_wants_but_inside_a_timeout` |
//! | limit-concurrency is outside timeout | the answer that the time is up still holds its place until it has been read | `a_timeout_inside_the_limit_leaves_the_permit_to_whoever_holds_its_answer` |
//! | a queue is outside timeout | the time spent in it is not bounded: 6 s under a limit of 4 s | `a_timeout_bounds_only_what_is_inside_of_it` |
//! | limit-rate is outside limit-concurrency | clients pay a token for being told that the server is full | `a_rate_limit_outside_the_concurrency_limit_charges_for_what_that_refuses` |
//!
//! The last two layers may be swapped on purpose. In the order above a refusal by limit-rate holds a place while
//! it is read (`a_rate_limit_inside_the_concurrency_limit_holds_a_permit_for_its_refusals`); where each client's
//! share matters more than the server's room, put limit-rate outside. Where it
//! [charges by the answer](crate::limit_rate::LimitRateLayer::charge_when), put it outside the timeout too, or a
//! request that timed out is charged nothing (`a_limit_that_charges_by_the_answer_has_none_inside_a_timeout`), and a
//! concurrency limit inside it, which bounds what is let in before the first answer
//! (`a_concurrency_limit_inside_bounds_what_is_let_in_before_the_first_answer`).
//!
//! [`RequestBodyTimeoutLayer`](crate::timeout::RequestBodyTimeoutLayer) stands innermost: what is refused is never
//! read. A layer that logs stands between health and timeout, so that probes do not fill the log. A
//! [`RenderLayer`](crate::RenderLayer), which puts refusals into your own format, stands outermost of all.
//!
//! # Around what a service calls
//!
//! ```text
//! timeout(total).shared() → retry → breaker → limit-concurrency → timeout(attempt) → transport
//! ```
//!
//! Each attempt is judged, counted and timed by itself, nothing is held while a retry waits, and no attempt begins
//! that would come too late.
//!
//! | if instead | it costs | test |
//! | --- | --- | --- |
//! | the total is not `shared()` | the retry does not see it, and spends a token and a wait on an attempt that is never made | `a_total_deadline_that_is_not_shared_cuts_a_retry_off_as_it_waits` |
//! | the total is inside retry | each attempt has all of it: three times as long, and the waits | `a_total_timeout_inside_a_retry_is_three_times_as_long` |
//! | breaker is outside retry | it sees one outcome of three calls, and opens after six where it should after two | `a_breaker_outside_a_retry_sees_only_what_came_of_it_in_the_end` |
//! | limit-concurrency is outside retry | a call that only waits for its next attempt keeps another out | `a_limit_outside_a_retry_refuses_others_while_that_waits` |
//! | limit-concurrency is outside breaker | refusals by an open circuit take places while they are read | `a_limit_outside_a_breaker_holds_a_permit_for_its_refusals` |
//! | timeout(attempt) is outside breaker | calls that time out teach the breaker nothing: 50 of them, and it is closed | `a_breaker_inside_a_timeout_learns_nothing_of_what_hangs` |
//! | there are two retries | five calls for one request, where three times three would be nine | `two_retries_by_mistake_are_five_calls_and_not_nine` |
//!
//! If a timeout must stand outside the breaker alone, as a total does where there is no retry, tell the breaker what
//! is slow: a [`Trip::slow`](crate::breaker::Trip::slow) shorter than the timeout
//! (`a_breaker_inside_a_timeout_is_to_know_what_is_slow`).
//!
//! What is right in this order is tested too: an open circuit is not hammered by a retry
//! (`a_breaker_inside_a_retry_is_not_hammered_while_it_is_open`), a full limit is no failure to a breaker
//! (`a_full_limit_inside_a_breaker_is_no_failure`), and no attempt goes on past the total
//! (`no_attempt_goes_on_past_the_total_deadline`).
