//! Serves until a signal, then leaves in good order: not ready, then refusing, then gone.

use std::{net::SocketAddr, pin::pin, process::ExitCode, time::Duration};

use axum::serve::ListenerExt;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{app::App, calls::Ends, signals::Signals, status::Handles, upstream::Running};

/// How long leaving takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave {
    /// From the signal until new requests are refused.
    pub(crate) delay: Duration,
    /// From then until the end, at most.
    pub(crate) grace: Duration,
}

/// Serves HTTP/1.1 and HTTP/2 until the first signal. From then on it is not ready, and serves on for the
/// delay; then new requests are refused, while probes are still answered; when none is in flight any more it
/// closes, waits for the connections that are left and the upstream, and ends: at the latest when the grace is
/// over, or a second signal comes.
///
/// SIGINT has no delay: Ctrl-C comes from a terminal, where no load balancer is to be told.
///
/// A failure means that requests in flight were cut off.
///
/// A client that is slow to send the head of a request has as long as it likes: `axum::serve` gives
/// hyper no timer, and without one there is no `header_read_timeout`. No layer sees such a request.
/// Where anybody can reach the server, serve with `hyper_util`'s `Builder` and both of them, or stand
/// behind a proxy that has such a limit.
pub(crate) async fn serve(
    listener: TcpListener,
    app: App,
    upstream: Running,
    leave: Leave,
    mut signals: Signals,
) -> ExitCode {
    let (health, router) = (app.handles.health.clone(), app.router);
    // Without it the last, small segment of an answer may wait for the client's acknowledgement.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "Could not set TCP_NODELAY");
        }
    });
    let (stop, stopped) = oneshot::channel::<()>();
    // Without it nobody knows who is asking.
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        // A sender that is gone says the same as one that sent.
        let _ = stopped.await;
    });
    let mut server = pin!(async {
        let ended = server.await;
        // Only then does nobody need it any more.
        upstream.stop().await;
        ended
    });

    let signal = tokio::select! {
        signal = signals.next() => signal,
        ended = &mut server => unreachable!("it was not told to stop: {ended:?}"),
    };
    let delay = if signal.is_from_terminal() { Duration::ZERO } else { leave.delay };
    let signal = signal.name();
    let (in_flight, grace) = (health.in_flight(), leave.grace);
    tracing::info!(signal, in_flight, ?delay, ?grace, "Finishing the requests in flight");
    let began = Instant::now();
    let most = delay.saturating_add(grace);
    let mut over = pin!(sleep(most));
    health.drain(delay);

    // The listener stays open while it drains: probes are answered, and who comes too late is told so.
    let mut why = tokio::select! {
        biased;
        left = health.drained_within(most) => (left > 0).then_some("the grace is over"),
        signal = signals.next() => Some(signal.name()),
        ended = &mut server => unreachable!("it was not told to stop: {ended:?}"),
    };
    // What is cut off is what was in flight now; when the connections are closed, it no longer is.
    let cut_off = health.in_flight();
    drop(stop);
    if why.is_none() {
        why = tokio::select! {
            biased;
            _ = &mut server => None,
            signal = signals.next() => Some(signal.name()),
            () = &mut over => Some("the grace is over"),
        };
    }
    tell(&app.handles);
    let took = began.elapsed();
    let Some(why) = why else {
        tracing::info!(left = 0, ?took, "All requests are finished");
        return ExitCode::SUCCESS;
    };
    tracing::warn!(why, cut_off, ?took, "Closing the connections that are left");
    // A client that never completes its request, or is slow to read the last of an answer, keeps a
    // connection open with nothing in flight.
    if cut_off == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What `/status` has shown all along.
fn tell(handles: &Handles) {
    let Handles { timeouts, in_flight, limits, stalls, upstream, sampler, .. } = handles;
    let Ends { retries, switch, .. } = upstream;
    let breaker = switch.stats();
    tracing::info!(
        admitted = in_flight.admitted(),
        at_capacity = in_flight.rejected(),
        timed_out = timeouts.timed_out(),
        expired = timeouts.expired(),
        cut = timeouts.cut(),
        stalled = stalls.stalled(),
        asked_too_often = limits.buckets.refused(),
        upstream_failed = breaker.total_failures,
        circuit_open = breaker.refused,
        retried = retries.retried(),
        recovered = retries.recovered(),
        retries_refused = retries.refused(),
        most_in_flight = sampler.most(),
        "What became of the requests"
    );
}
