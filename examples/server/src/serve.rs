//! Serves until a signal, then lets what is in flight finish, for a bounded time.

use std::{net::SocketAddr, pin::pin, process::ExitCode, time::Duration};

use axum::serve::ListenerExt;
use tokio::{net::TcpListener, sync::oneshot};

use crate::{app::App, signals::Signals, upstream::Running};

/// Serves HTTP/1.1 and HTTP/2 until the first signal. Then it accepts no connection any more and
/// waits for the requests in flight, and then for the upstream: until they are done, `grace` is over, or
/// a second signal comes.
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
    grace: Duration,
    mut signals: Signals,
) -> ExitCode {
    let App { router, timeouts, in_flight, buckets, stalls, retries, switch, .. } = app;
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
    tracing::info!(
        signal,
        in_flight = in_flight.in_flight(),
        ?grace,
        "Finishing the requests in flight"
    );
    drop(stop);

    let why = tokio::select! {
        biased;
        _ = &mut server => None,
        signal = signals.next() => Some(signal),
        () = tokio::time::sleep(grace) => Some("the grace is over"),
    };
    let breaker = switch.stats();
    // What a page of metrics would show all along.
    tracing::info!(
        admitted = in_flight.admitted(),
        at_capacity = in_flight.rejected(),
        timed_out = timeouts.timed_out(),
        expired = timeouts.expired(),
        cut = timeouts.cut(),
        stalled = stalls.stalled(),
        asked_too_often = buckets.refused(),
        upstream_failed = breaker.total_failures,
        circuit_open = breaker.refused,
        retried = retries.retried(),
        recovered = retries.recovered(),
        retries_refused = retries.refused(),
        "What became of the requests"
    );
    let Some(why) = why else {
        tracing::info!("All requests are finished");
        return ExitCode::SUCCESS;
    };
    let cut_off = in_flight.in_flight();
    tracing::warn!(why, cut_off, "Closing the connections that are left");
    // A client that never completes its request, or is slow to read the last of an answer, keeps a
    // connection open with nothing in flight.
    if cut_off == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
