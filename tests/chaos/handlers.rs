use std::{
    convert::Infallible,
    future::pending,
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use futures_util::stream;
use http::{
    Request, StatusCode,
    header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE},
};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use palisade::{BoxError, health, limit_concurrency};
use tokio::{io, time::sleep};
use tower::{ServiceExt, util::BoxCloneSyncService};

pub(crate) type Calls = BoxCloneSyncService<Request<Body>, Response, BoxError>;

/// What the handlers say of themselves.
#[derive(Clone, Default)]
pub(crate) struct Handlers(Arc<Counts>);

#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    free: AtomicU64,
    over: AtomicU64,
    panics: AtomicU64,
}

/// A handler under way.
struct Inside(Arc<Counts>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.over.fetch_add(1, SeqCst);
    }
}

impl Handlers {
    /// Of those behind all layers.
    pub(crate) fn begun(&self) -> u64 {
        self.0.begun.load(SeqCst)
    }

    /// Of the one that nobody pays for.
    pub(crate) fn free(&self) -> u64 {
        self.0.free.load(SeqCst)
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.begun() + self.free() - self.0.over.load(SeqCst)
    }

    pub(crate) fn panics(&self) -> u64 {
        self.0.panics.load(SeqCst)
    }

    fn begins(&self) -> Inside {
        self.0.begun.fetch_add(1, SeqCst);
        Inside(Arc::clone(&self.0))
    }

    /// Without the hook, which hears of those that nobody meant.
    fn panics_now(&self) -> ! {
        self.0.panics.fetch_add(1, SeqCst);
        resume_unwind(Box::new("as planned"))
    }
}

pub(crate) const STREAM: usize = 32;
pub(crate) const FRAME: usize = 4 << 10;

fn frame() -> Bytes {
    Bytes::from_static(&[b'.'; FRAME])
}

/// Those behind all layers.
pub(crate) fn routes(handlers: &Handlers, calls: Calls) -> Router {
    let h = || handlers.clone();
    let [hello, hang, stream, endless, huge, echo, panic, late, tunnel, call] =
        [(); 10].map(|()| h());
    Router::new()
        .route("/hello", get(|| async move { quick(&hello.begins()) }))
        .route(
            "/hang",
            any(|| async move {
                let _inside = hang.begins();
                pending::<()>().await;
            }),
        )
        .route(
            "/stream",
            get(|| async move {
                let inside = stream.begins();
                sleep(Duration::from_millis(2)).await;
                streams(inside, STREAM, Duration::ZERO)
            }),
        )
        .route(
            "/endless",
            get(|| async move { streams(endless.begins(), usize::MAX, Duration::from_millis(10)) }),
        )
        .route("/huge", get(|| async move { streams(huge.begins(), 2048, Duration::ZERO) }))
        .route(
            "/echo",
            post(|request: Request<Body>| async move {
                let _inside = echo.begins();
                match to_bytes(request.into_body(), 1 << 20).await {
                    Ok(bytes) => bytes.into_response(),
                    Err(_) => StatusCode::BAD_REQUEST.into_response(),
                }
            }),
        )
        .route(
            "/panic",
            get(|| async move {
                let _inside = panic.begins();
                sleep(Duration::from_millis(1)).await;
                panic.panics_now();
                #[allow(unreachable_code, reason = "it says what it would answer")]
                StatusCode::OK
            }),
        )
        .route("/panic/late", get(|| async move { panics_late(late) }))
        .route("/tunnel", any(|request| async move { opens_a_tunnel(&tunnel, request) }))
        .route("/call", any(move |request| proxy(call, calls, request)))
}

/// What is not charged for.
pub(crate) fn free(handlers: &Handlers) -> Router {
    let handlers = handlers.clone();
    Router::new().route(
        "/free",
        get(|| async move {
            handlers.0.free.fetch_add(1, SeqCst);
            quick(&Inside(handlers.0))
        }),
    )
}

fn quick(_inside: &Inside) -> &'static str {
    "hello"
}

fn streams(inside: Inside, frames: usize, pace: Duration) -> Response {
    let frames = stream::unfold((inside, frames), move |(inside, left)| async move {
        let left = left.checked_sub(1)?;
        if !pace.is_zero() {
            sleep(pace).await;
        }
        Some((Ok::<_, Infallible>(frame()), (inside, left)))
    });
    Body::from_stream(frames).into_response()
}

fn panics_late(handlers: Handlers) -> Response {
    let inside = handlers.begins();
    let frames = stream::unfold((handlers, inside, 0), |(handlers, inside, at)| async move {
        if at == 2 {
            handlers.panics_now();
        }
        sleep(Duration::from_millis(1)).await;
        Some((Ok::<_, Infallible>(frame()), (handlers, inside, at + 1)))
    });
    Body::from_stream(frames).into_response()
}

/// Says what it is told until its client goes, and is in flight until then.
fn opens_a_tunnel(handlers: &Handlers, mut request: Request<Body>) -> Response {
    let (inside, extensions) = (handlers.begins(), request.extensions_mut());
    let held =
        extensions.remove::<health::Held>().zip(extensions.remove::<limit_concurrency::Held>());
    let upgraded = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let _held = (inside, held.expect("the layers leave theirs"));
        let (mut heard, mut says) = io::split(TokioIo::new(upgraded.await?));
        io::copy(&mut heard, &mut says).await?;
        Ok::<_, BoxError>(())
    });
    let headers = [(CONNECTION, "upgrade"), (UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// Hands the request on, and the answer back, while they come.
async fn proxy(handlers: Handlers, calls: Calls, request: Request<Body>) -> Response {
    let inside = handlers.begins();
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(HOST);
    parts.headers.remove(CONNECTION);
    parts.headers.remove(TRANSFER_ENCODING);
    parts.version = http::Version::default();
    match calls.oneshot(Request::from_parts(parts, body)).await {
        Ok(mut response) => {
            response.headers_mut().remove(CONNECTION);
            response.headers_mut().remove(TRANSFER_ENCODING);
            response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    // Until its body is over.
                    let _ = &inside;
                    frame
                }))
            })
        }
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
