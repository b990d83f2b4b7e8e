//! A server behind loopback sockets, in a process of its own: this one is the load.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{self, Child, Command, Stdio},
    thread,
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpListener, runtime::Builder};

use crate::{
    drive::{Sample, now},
    pipe::{REQUEST, assert_ok},
};

/// So many that the server always has something to do.
const CONNECTIONS: usize = 64;

/// What is told of the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// How long it takes for all requests.
    Elapsed,
    /// How long its processor was busy with them.
    Busy,
}

/// Starts a server of this name, and asks it over [`CONNECTIONS`] connections at once. Where there are two
/// processors, each of the processes has one of them.
pub(crate) fn over_sockets(name: &str, told: Told) -> Sample {
    let mut server = Server::start(name);
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| connect(server.address)).collect();
    let mut answer = first_answer(&mut connections[0]);
    Box::new(move |calls| {
        let (began, busy) = (now(), server.busy());
        ask(&mut connections, &mut answer, usize::try_from(calls).expect("few enough"));
        let elapsed = match told {
            Told::Elapsed => began.elapsed(),
            Told::Busy => server.busy().saturating_sub(busy),
        };
        assert!(server.child.try_wait().is_ok_and(|ended| ended.is_none()), "the server has ended");
        elapsed
    })
}

/// Each connection has one request under way until all are sent. As the answers come in turn, nobody has to
/// ask which connection has one, so that the load is lighter than the server.
fn ask(connections: &mut [TcpStream], answer: &mut [u8], calls: usize) {
    let all = connections.len();
    for connection in connections.iter_mut().take(calls) {
        connection.write_all(REQUEST).expect("the server reads");
    }
    for call in 0..calls {
        let connection = &mut connections[call % all];
        connection.read_exact(answer).expect("the server answers");
        if call + all < calls {
            connection.write_all(REQUEST).expect("the server reads");
        }
    }
    assert_ok(answer);
}

/// All answers are as long as the first.
fn first_answer(connection: &mut TcpStream) -> Vec<u8> {
    connection.write_all(REQUEST).expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhello") {
        let mut part = [0; 512];
        let read = connection.read(&mut part).expect("the server answers");
        assert_ne!(read, 0, "the server hung up");
        answer.extend_from_slice(&part[..read]);
    }
    assert_ok(&answer);
    answer
}

fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).expect("the server listens");
    connection.set_nodelay(true).expect("a socket has this option");
    connection
}

/// Ends when it is dropped, or when this process does: with its standard input.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &str) -> Self {
        let program = env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args(["--serve", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program starts");
        pin(child.id(), 0);
        pin(process::id(), 1);
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server prints its address");
        let address = line.trim_end().parse().expect("an address");
        Self { child, address }
    }

    /// How long its one thread has used a processor.
    fn busy(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.child.id());
        let text = fs::read_to_string(path).expect("Linux counts this");
        let nanoseconds = text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok());
        Duration::from_nanos(nanoseconds.expect("a number"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where there is no second processor, or no `taskset`, they share what there is.
fn pin(process: u32, processor: u32) {
    let _ = Command::new("taskset")
        .args(["-cp", &processor.to_string(), &process.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// Serves on one thread, as axum does by itself, until standard input ends; prints where.
pub(crate) fn serve(app: Router) {
    thread::spawn(|| {
        io::copy(&mut io::stdin(), &mut io::sink()).expect("standard input can be read");
        process::exit(0);
    });
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("there is a free port");
        println!("{}", listener.local_addr().expect("it has an address"));
        axum::serve(listener, app).await.expect("it serves until it is ended");
    });
}
