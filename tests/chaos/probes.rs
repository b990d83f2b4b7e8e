use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use bytes::Bytes;
use http::{Request, StatusCode, Version, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use palisade_testkit::sockets::Client;
use tokio::time::{sleep, timeout};

use super::crowd::{Crowd, PATIENCE};

/// An orchestrator, which asks all the while how the server is, and is always answered.
#[derive(Clone, Default)]
pub(crate) struct Orchestrator(Arc<Asked>);

#[derive(Default)]
struct Asked {
    probes: AtomicU64,
    stops: AtomicBool,
}

impl Orchestrator {
    /// How many probes were sent, and answered.
    pub(crate) fn probes(&self) -> u64 {
        self.0.probes.load(SeqCst)
    }

    /// After this round.
    pub(crate) fn stops(&self) {
        self.0.stops.store(true, SeqCst);
    }

    pub(crate) async fn asks(self, crowd: Arc<Crowd>) {
        self.0.stops.store(false, SeqCst);
        let http1 = crowd.connects(Version::HTTP_11).await;
        let http2 = crowd.connects(Version::HTTP_2).await;
        while !self.0.stops.load(SeqCst) {
            for client in [&http1, &http2] {
                // Nothing is wrong but with the upstream, and all that are there share that.
                for path in ["/livez", "/readyz", "/startupz"] {
                    assert_eq!(self.answer(client, path).await, StatusCode::OK, "{path}");
                }
            }
            assert_eq!(self.grpc_status(&http2).await, b"\x08\x01"[..]);
            sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn answer(&self, client: &Client, path: &str) -> StatusCode {
        self.0.probes.fetch_add(1, SeqCst);
        let answer = timeout(PATIENCE, client.read(path)).await;
        answer.expect("a probe is not waited for").expect("a probe is answered").status()
    }

    /// The message, without the five bytes before it.
    pub(crate) async fn grpc_status(&self, client: &Client) -> Bytes {
        self.0.probes.fetch_add(1, SeqCst);
        let request = Request::post("/grpc.health.v1.Health/Check");
        let request = request.header(CONTENT_TYPE, "application/grpc").header("te", "trailers");
        let request = request.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap();
        let answer =
            timeout(PATIENCE, async { client.send(request).await?.into_body().collect().await });
        let answer = answer.await.expect("a probe is not waited for").expect("it is answered");
        answer.to_bytes().slice(5..)
    }
}
