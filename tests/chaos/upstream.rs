use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use super::{
    answers::{self, Answer, Broken},
    headers::{ID, ONCE},
};
use crate::soaks::Dice;

/// What the server calls, which does everything that an upstream must not do, until it is well.
pub(crate) struct Upstream {
    /// Keeps the port while nobody listens, so that nobody else gets it.
    _port: TcpSocket,
    shared: Arc<Shared>,
    door: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    address: SocketAddr,
    dice: Mutex<Dice>,
    well: AtomicBool,
    connections: Mutex<JoinSet<()>>,
    asked: AtomicU64,
    /// Of requests that may not be done twice, by their ids.
    once: Mutex<HashMap<String, u64>>,
}

/// What becomes of a connection.
#[derive(Clone, Copy)]
enum Fate {
    Served,
    /// Closed before it is read, in order or not.
    Closed,
    Reset,
    /// Something is read, and this answered.
    Says(&'static [u8]),
}

const FATES: [Fate; 5] = [
    Fate::Closed,
    Fate::Reset,
    Fate::Says(b""),
    Fate::Says(b"\x00\xff220 mail.example ESMTP\r\n\r\n"),
    Fate::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf of it"),
];

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Two may have a port of which one listens at most.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

impl Upstream {
    pub(crate) fn new(seed: u64) -> Self {
        let port = bound((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let shared = Shared {
            address: port.local_addr().unwrap(),
            dice: Mutex::new(Dice::new(seed)),
            well: AtomicBool::new(true),
            connections: Mutex::default(),
            asked: AtomicU64::new(0),
            once: Mutex::default(),
        };
        let mut upstream = Self { _port: port, shared: Arc::new(shared), door: None };
        upstream.opens();
        upstream
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// How many requests have reached it.
    pub(crate) fn asked(&self) -> u64 {
        self.shared.asked.load(SeqCst)
    }

    /// The most often that one request reached it that may not be done twice. Forgets them.
    pub(crate) fn most_for_one(&self) -> u64 {
        let once = std::mem::take(&mut *self.shared.once.lock().unwrap());
        once.into_values().max().unwrap_or_default()
    }

    pub(crate) fn opens(&mut self) {
        let listener = bound(self.shared.address).unwrap().listen(1024).unwrap();
        self.door = Some(tokio::spawn(Arc::clone(&self.shared).accepts(listener)));
    }

    /// Refuses new connections.
    pub(crate) async fn closes(&mut self) {
        if let Some(door) = self.door.take() {
            door.abort();
            // The listener is gone with its task.
            assert!(door.await.unwrap_err().is_cancelled());
        }
    }

    /// And lets go of those that there are, whatever is under way.
    pub(crate) async fn dies(&mut self) {
        self.closes().await;
        let mut connections = std::mem::take(&mut *self.shared.connections.lock().unwrap());
        connections.shutdown().await;
    }

    /// From now on it answers, or it does what it must not.
    pub(crate) fn set_well(&self, well: bool) {
        self.shared.well.store(well, SeqCst);
    }

    /// Comes and goes until then.
    pub(crate) async fn restarts(&mut self, mut dice: Dice, until: &AtomicBool) {
        while !until.load(SeqCst) {
            sleep(dice.up_to(Duration::from_millis(400))).await;
            if dice.percent(50) {
                self.closes().await;
            } else {
                self.dies().await;
            }
            sleep(dice.up_to(Duration::from_millis(50))).await;
            self.opens();
        }
    }
}

impl Shared {
    fn is_well(&self) -> bool {
        self.well.load(SeqCst)
    }

    async fn accepts(self: Arc<Self>, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let fate = {
                let mut dice = self.dice.lock().unwrap();
                if self.is_well() || dice.percent(80) { Fate::Served } else { dice.one_of(&FATES) }
            };
            let serving = Arc::clone(&self);
            let mut connections = self.connections.lock().unwrap();
            while connections.try_join_next().is_some() {}
            connections.spawn(async move { serving.serves(stream, fate).await });
        }
    }

    async fn serves(self: Arc<Self>, mut stream: TcpStream, fate: Fate) {
        match fate {
            Fate::Closed => {}
            Fate::Reset => stream.set_zero_linger().unwrap(),
            Fate::Says(words) => {
                let mut read = [0; 512];
                // Whatever becomes of it.
                let _ = stream.read(&mut read).await;
                let _ = stream.write_all(words).await;
            }
            Fate::Served => {
                stream.set_nodelay(true).unwrap();
                let service = service_fn(move |request| Arc::clone(&self).answers(request));
                let mut server = auto::Builder::new(TokioExecutor::new());
                server.http2().max_concurrent_streams(100);
                // Whatever becomes of it.
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        }
    }

    async fn answers(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Broken> {
        self.asked.fetch_add(1, SeqCst);
        if request.headers().contains_key(ONCE) {
            let id = request.headers()[ID].to_str().unwrap().to_owned();
            *self.once.lock().unwrap().entry(id).or_default() += 1;
        }
        let plan = answers::plan(&request, self.is_well(), &mut self.dice.lock().unwrap());
        answers::give(request, plan).await
    }
}
