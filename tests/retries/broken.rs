//! Connections that break in all the ways there are.

use std::{collections::VecDeque, future::pending, io, net::SocketAddr};

use axum::serve::Listener;
use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Arrived, Told};

/// HTTP/2's codes for what went wrong (RFC 9113 §7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// All further requests are answered with 200.
    Hold,
    Close,
    /// As when the process at the other end was killed.
    Reset,
}

#[derive(Clone, Debug)]
pub(crate) enum Break {
    /// When so many bytes were read.
    After(usize, Then),
    /// With these HTTP/2 frames, when the head of the first request was read.
    Frames(Vec<u8>, Then),
}

/// A listener of which the first connections break.
pub(crate) struct Breaking {
    listener: TcpListener,
    breaks: VecDeque<Break>,
    told: Told,
}

impl Breaking {
    pub(crate) fn new(listener: TcpListener, breaks: Vec<Break>, told: Told) -> Self {
        Self { listener, breaks: breaks.into(), told }
    }
}

impl Listener for Breaking {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            let accepted = Listener::accept(&mut self.listener).await;
            let Some(how) = self.breaks.pop_front() else { return accepted };
            let told = self.told.clone();
            tokio::spawn(async move { how.serve(accepted.0, told).await });
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Break {
    async fn serve(self, mut stream: TcpStream, told: Told) -> io::Result<()> {
        let then = match self {
            Self::After(bytes, then) => {
                stream.read_exact(&mut vec![0; bytes]).await?;
                told.began();
                then
            }
            Self::Frames(frames, then) => {
                answer(&mut stream, &frames, then, &told).await?;
                then
            }
        };
        match then {
            Then::Hold => pending().await,
            Then::Close => Ok(()),
            Then::Reset => stream.set_zero_linger(),
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

async fn answer(stream: &mut TcpStream, frames: &[u8], then: Then, told: &Told) -> io::Result<()> {
    let mut preface = [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let (mut first, mut body) = (None, Vec::new());
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [a, b, c, kind, flags, _, _, _, id] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        if kind == HEADERS {
            told.began();
            if first.is_none() {
                first = Some(id);
                stream.write_all(frames).await?;
                if then != Then::Hold {
                    return Ok(());
                }
            }
        } else if kind == DATA && first != Some(id) {
            body.extend(payload);
        }
        let over = matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        if over && first != Some(id) {
            let body = Some(Bytes::from(std::mem::take(&mut body)));
            let (method, headers) = (Method::POST, HeaderMap::new());
            told.ended(Arrived { method, headers, body, trailers: None });
            stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, id, &[OK])).await?;
        }
    }
}

/// `:status: 200`, by its number in HPACK's table (RFC 7541 appendix A).
const OK: u8 = 0x88;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The head of the answer to the first request.
pub(crate) fn head() -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &[OK])
}

/// A whole answer of 503.
pub(crate) fn unavailable() -> Vec<u8> {
    // The name of `:status`, and a value that is not in the table.
    frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x08\x03503")
}

/// The end of an answer, in which stands this gRPC status: a field that HPACK's table does not have.
pub(crate) fn trailers(status: &str) -> Vec<u8> {
    const NAME: &[u8] = b"grpc-status";
    let length = |text: &[u8]| u8::try_from(text.len()).expect("a short text");
    let status = status.as_bytes();
    let field = [&[0, length(NAME)], NAME, &[length(status)], status].concat();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &field)
}

/// Resets the first request's stream.
pub(crate) fn reset(code: u32) -> Vec<u8> {
    frame(3, 0, 1, &code.to_be_bytes())
}

/// Says that streams after `last` were not looked at.
pub(crate) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}
