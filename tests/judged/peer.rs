use std::{future::pending, io};

use palisade_testkit::sockets::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Hold,
    Close,
    /// As when the process at the other end was killed.
    Reset,
}

/// A server that answers the first request of each connection with these HTTP/2 frames (RFC 9113).
pub(crate) fn peer(frames: Vec<u8>, then: Then) -> Server {
    Server::start(move |listener| async move {
        while let Ok((stream, _)) = listener.accept().await {
            let frames = frames.clone();
            tokio::spawn(async move { answer(stream, &frames, then).await });
        }
    })
}

async fn answer(mut stream: TcpStream, frames: &[u8], then: Then) -> io::Result<()> {
    const HEADERS: u8 = 1;
    const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    let mut preface = [0; b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()];
    stream.read_exact(&mut preface).await?;
    stream.write_all(&EMPTY_SETTINGS).await?;
    loop {
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await?;
        let [a, b, c, kind, ..] = frame;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload).await?;
        if kind == HEADERS {
            break;
        }
    }
    stream.write_all(frames).await?;
    match then {
        Then::Hold => pending().await,
        Then::Close => Ok(()),
        Then::Reset => stream.set_zero_linger(),
    }
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The head of the answer to the first request: `:status: 200`, by its number in HPACK's table.
pub(crate) fn head() -> Vec<u8> {
    const END_HEADERS: u8 = 4;
    frame(1, END_HEADERS, 1, &[0x88])
}

/// Resets the first request's stream.
pub(crate) fn reset(code: u32) -> Vec<u8> {
    frame(3, 0, 1, &code.to_be_bytes())
}

/// Says that streams after `last` were not looked at.
pub(crate) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}
