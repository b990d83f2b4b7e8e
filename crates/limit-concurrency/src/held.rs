use std::{fmt, sync::Arc};

use http::{Method, Request, Version, header::UPGRADE};
use palisade_core::{End, Guard};

use crate::Permit;

/// The permit of an exchange that may become something else: a WebSocket, a tunnel.
///
/// Once a connection is upgraded it outlives its response, and the layer cannot see it any more. So
/// where a request asks to upgrade (an `Upgrade` header over HTTP/1, or CONNECT), the layer puts a
/// `Held` into the request's extensions. The permit goes back when the response *and* every clone
/// are gone: move one into the task that owns the upgraded connection, and the connection counts
/// for as long as it lives. Ignore it, and the permit goes back as that of any other request.
///
/// ```
/// use axum::{Extension, extract::ws::WebSocketUpgrade, response::Response};
/// use palisade_limit_concurrency::Held;
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

/// A limit further out may have put its own `Held` there, which must not be lost.
struct Holding {
    _permit: Permit,
    _outer: Option<Held>,
}

impl Held {
    /// Leaves a clone with `request`.
    #[cold]
    fn leave_with<B>(permit: Permit, request: &mut Request<B>) -> Self {
        let outer = request.extensions_mut().remove();
        let held = Self(Arc::new(Holding { _permit: permit, _outer: outer }));
        request.extensions_mut().insert(held.clone());
        held
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("clones", &Arc::strong_count(&self.0)).finish()
    }
}

/// What an admitted exchange holds until its body is over: the guard of [`ResponseBody`].
///
/// [`ResponseBody`]: crate::ResponseBody
#[derive(Debug)]
pub struct Admission(#[allow(dead_code, reason = "held for its drop")] Hold);

#[derive(Debug)]
#[allow(dead_code, reason = "held for their drop")]
enum Hold {
    Alone(Permit),
    Shared(Held),
}

impl Admission {
    #[inline]
    pub(crate) fn alone(permit: Permit) -> Self {
        Self(Hold::Alone(permit))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn shared<B>(permit: Permit, request: &mut Request<B>) -> Self {
        Self(Hold::Shared(Held::leave_with(permit, request)))
    }
}

impl Guard for Admission {
    #[inline]
    fn ended(self, _: End<'_>) {}
}

/// Later versions than HTTP/1.1 have no `Upgrade` (RFC 9113 §8.2.2); they tunnel by CONNECT.
#[inline]
pub(crate) fn asks_to_upgrade<B>(request: &Request<B>) -> bool {
    let upgrade = request.version() <= Version::HTTP_11 && request.headers().contains_key(UPGRADE);
    upgrade || request.method() == Method::CONNECT
}
