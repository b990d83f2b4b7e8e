use std::{fmt, sync::Arc};

use http::{Method, Request, Version, header::UPGRADE};

use crate::Exchange;

/// Keeps a connection in flight that has become something else: a WebSocket, a tunnel.
///
/// Such a connection outlives its answer, and the layer cannot see it any more. So where a request asks to
/// upgrade (an `Upgrade` header over HTTP/1, or CONNECT), the layer puts a `Held` into its extensions. Move it
/// into the task that owns the connection, and a [drain](crate::Health::drain) waits for that too; a task
/// that is told of the drain, as by [`subscribe`](crate::Health::subscribe), can end it in time. Left where it
/// is, it goes with the request.
///
/// ```
/// use axum::{Extension, extract::ws::WebSocketUpgrade, response::Response};
/// use palisade_health::Held;
///
/// async fn chat(upgrade: WebSocketUpgrade, Extension(held): Extension<Held>) -> Response {
///     upgrade.on_upgrade(async move |mut socket| {
///         while let Some(Ok(message)) = socket.recv().await { /* … */ }
///         drop(held);
///     })
/// }
/// ```
#[derive(Clone)]
pub struct Held(#[allow(dead_code, reason = "held for its drop")] Arc<Holding>);

/// A layer further out may have put its own there, which must not be lost.
struct Holding {
    _exchange: Exchange,
    _outer: Option<Held>,
}

impl Held {
    /// Leaves one with `request`.
    #[cold]
    pub(crate) fn leave_with<B>(exchange: Exchange, request: &mut Request<B>) {
        let outer = request.extensions_mut().remove();
        let held = Self(Arc::new(Holding { _exchange: exchange, _outer: outer }));
        request.extensions_mut().insert(held);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("clones", &Arc::strong_count(&self.0)).finish()
    }
}

/// Later versions than HTTP/1.1 have no `Upgrade` (RFC 9113 §8.2.2); they tunnel by CONNECT.
#[inline]
pub(crate) fn asks_to_upgrade<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let upgrade = request.version() <= Version::HTTP_11
        && !headers.is_empty()
        && headers.contains_key(UPGRADE);
    upgrade || request.method() == Method::CONNECT
}
