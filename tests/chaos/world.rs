use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{StatusCode, Version};
use palisade::{breaker::State, health::Phase};
use palisade_testkit::sockets::{Raw, Server, eventually, eventually_none};
use tokio::{runtime::Handle, sync::oneshot, time::sleep};

use super::{
    crowd::{Crowd, PATIENCE},
    probes::Orchestrator,
    rude,
    stack::{OPEN, Stack},
    upstream::Upstream,
};
use crate::soaks::Dice;

/// The server, with what it calls and those who call it.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) upstream: Upstream,
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) orchestrator: Orchestrator,
    server: Server,
    serving: Handle,
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
    seed: u64,
}

const CLIENTS: u64 = 24;

/// What each of them does in a round.
const THINGS: u64 = 45;

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let upstream = Upstream::new(seed);
        let stack = Stack::new(upstream.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, ended) = oneshot::channel();
        let (router, mut serving) = (stack.router.clone(), None);
        let server = Server::start(|listener| {
            serving = Some(Handle::current());
            let server = axum::serve(listener, router).with_graceful_shutdown(async {
                // A sender that is gone says the same as one that sent.
                let _ = stopped.await;
            });
            async move {
                server.await.unwrap();
                drop(tell);
            }
        });
        let crowd = Crowd::new(server.address());
        let (orchestrator, serving) = (Orchestrator::default(), serving.unwrap());
        Self { stack, upstream, crowd, orchestrator, server, serving, stop, ended, seed }
    }

    pub(crate) fn runtimes(&self) -> [Handle; 2] {
        [self.serving.clone(), Handle::current()]
    }

    /// Everybody does what they must not, all at once; then it is quiet.
    pub(crate) async fn storms(&mut self, round: u64) {
        let seed = self.seed.wrapping_mul(1_000_000).wrapping_add(1_000 * round);
        let (over, orchestrator) = (AtomicBool::new(false), self.orchestrator.clone());
        let probing = tokio::spawn(orchestrator.asks(Arc::clone(&self.crowd)));
        self.upstream.set_well(false);
        let crowd = async {
            self.crowd.asks(seed, CLIENTS, THINGS).await;
            over.store(true, SeqCst);
        };
        tokio::join!(crowd, self.upstream.restarts(Dice::new(seed), &over));
        self.orchestrator.stops();
        probing.await.unwrap();
        self.is_quiet().await;
        self.adds_up();
        // So that no connection is left, for the next round or to be counted.
        self.upstream.dies().await;
        self.upstream.opens();
    }

    async fn is_quiet(&self) {
        eventually_none(|| self.stack.held()).await;
    }

    pub(crate) fn adds_up(&self) {
        self.stack.adds_up(self.orchestrator.probes());
        self.stack.is_what_was_seen(&self.crowd, &self.upstream);
    }

    /// What is well is called again: the circuit closes, by the calls of clients alone.
    pub(crate) async fn recovers(&mut self) {
        self.upstream.set_well(true);
        self.stack.gives_time();
        let circuit = &self.stack.client.switch;
        for call in 0.. {
            // It is open for so long at most, and then closes after two calls that go well.
            if circuit.state() == State::Open {
                sleep(OPEN).await;
                assert_ne!(circuit.state(), State::Open, "{:?}", circuit.stats());
            }
            let answer = self.crowd.calls(Version::HTTP_11).await;
            if circuit.state() == State::Closed && answer == StatusCode::OK {
                break;
            }
            assert!(call < 10, "stuck: {answer} {:?}", circuit.stats());
        }
    }

    /// All that it serves when nothing is wrong is served.
    pub(crate) async fn serves(&self) {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for path in ["/hello", "/stream", "/free", "/echo"] {
                assert_eq!(self.crowd.asks_well(version, path).await, StatusCode::OK, "{path}");
            }
            assert_eq!(self.crowd.calls(version).await, StatusCode::OK);
        }
        self.crowd.calls_grpc_well().await;
        self.opens_a_tunnel().await;
        self.is_quiet().await;
        self.adds_up();
        self.stack.takes_time_back();
    }

    async fn opens_a_tunnel(&self) {
        let tunnel = rude::tunnel(&self.crowd.id());
        let mut tunnel = Raw::open(&self.server, &tunnel).await;
        tunnel.read_to("\r\n\r\n").await;
        tunnel.write("hello").await;
        tunnel.read_to("hello").await;
        let Stack { server, .. } = &self.stack;
        eventually(|| (server.health.in_flight(), server.limit.in_flight()) == (1, 1)).await;
    }

    /// While there is still something in flight, which comes to its end.
    pub(crate) async fn leaves(self) -> Server {
        let Self { stack, upstream, crowd, orchestrator, server, stop, ended, .. } = self;
        let (health, http1) = (&stack.server.health, crowd.connects(Version::HTTP_11).await);
        let http2 = crowd.connects(Version::HTTP_2).await;
        stack.server.timeouts.set_limit(Duration::from_secs(2));
        let last = crowd.begins_what_takes_long(&http2).await;
        assert_eq!(health.in_flight(), 1);

        health.drain(Duration::from_millis(20));
        assert_eq!(orchestrator.answer(&http1, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        eventually(|| health.phase() != Phase::Serving && health.phase() != Phase::Draining).await;
        let http1 = crowd.connects(Version::HTTP_11).await;
        assert_eq!(orchestrator.answer(&http2, "/livez").await, StatusCode::OK);
        assert_eq!(crowd.asks_over(&http1, "/hello").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(crowd.asks_over(&http2, "/free").await, StatusCode::SERVICE_UNAVAILABLE);

        let (left, ()) = tokio::join!(health.drained_within(PATIENCE), last);
        assert_eq!(left, 0);
        drop(stop);
        // What is left open is closed: over HTTP/2 by the server, while the client looks on.
        tokio::time::timeout(PATIENCE, ended).await.expect("it ends").unwrap_err();
        stack.adds_up(orchestrator.probes());
        stack.is_what_was_seen(&crowd, &upstream);
        server
    }
}
