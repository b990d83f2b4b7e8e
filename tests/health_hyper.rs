//! Health in front of a service that hyper serves, over real sockets.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod healths;

use healths::{Served, all, scenarios};
use http::Version;

#[tokio::test]
async fn probes_are_answered_and_all_else_goes_through() {
    for served in all(&[Served::hyper]) {
        scenarios::probes_are_answered_and_all_else_goes_through(served).await;
    }
}

#[tokio::test]
async fn head_has_the_length_of_get_and_no_body() {
    for served in all(&[Served::hyper]) {
        scenarios::head_has_the_length_of_get_and_no_body(served).await;
    }
}

#[tokio::test]
async fn it_leaves_step_by_step() {
    for served in all(&[Served::hyper]) {
        scenarios::it_leaves_step_by_step(served).await;
    }
}

#[tokio::test]
async fn a_server_ends_though_somebody_watches() {
    for served in all(&[Served::hyper]) {
        scenarios::a_server_ends_though_somebody_watches(served).await;
    }
}

#[tokio::test]
async fn a_bound_ends_the_watch_and_cuts_nothing_off() {
    for served in all(&[Served::hyper]) {
        scenarios::a_bound_ends_the_watch_and_cuts_nothing_off(served).await;
    }
}

#[tokio::test]
async fn garbage_is_told_so_and_harms_nobody_beside_it() {
    scenarios::garbage_is_told_so_and_harms_nobody_beside_it(Served::hyper(Version::HTTP_2)).await;
}

#[tokio::test]
async fn a_slow_message_holds_nobody_up() {
    for served in all(&[Served::hyper]) {
        scenarios::a_slow_message_holds_nobody_up(served).await;
    }
}

#[tokio::test]
async fn nothing_is_left_of_who_watched_and_went_away() {
    scenarios::nothing_is_left_of_who_watched_and_went_away(Served::hyper(Version::HTTP_2)).await;
}

/// Where all else stands in line, for a place or for a service that says it is not ready.
#[tokio::test]
async fn a_probe_is_answered_while_all_else_waits() {
    for served in all(&[Served::queued]) {
        scenarios::a_probe_is_answered_while_all_else_waits(served).await;
    }
}
