//! Those who break off, stall, and say what is no HTTP.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::crowd::Crowd;
use crate::soaks::Dice;

const MS: Duration = Duration::from_millis(1);

pub(crate) async fn does(crowd: &Crowd, dice: &mut Dice, name: &str) -> &'static str {
    let stream = TcpStream::connect(crowd.server).await.expect("the server listens");
    match dice.below(9) {
        0 => says_garbage(stream, dice).await,
        1 => breaks_off_in_its_head(stream, dice, name).await,
        2 | 3 => breaks_off_before_the_answer(stream, dice, name).await,
        4 | 5 => breaks_off_in_the_answer(stream, dice, name).await,
        6 => leaves_a_tunnel(stream, dice, name).await,
        7 => stalls(crowd, stream, dice, name).await,
        _ => breaks_off_in_its_body(crowd, stream, dice, name).await,
    }
}

/// In order, or as one whose process was killed.
fn goes(stream: TcpStream, dice: &mut Dice) {
    if dice.percent(50) {
        stream.set_zero_linger().unwrap();
    }
    drop(stream);
}

/// The server may have closed the connection already.
async fn says(stream: &mut TcpStream, words: &[u8]) {
    let _ = stream.write_all(words).await;
}

async fn says_garbage(mut stream: TcpStream, dice: &mut Dice) -> &'static str {
    let garbage: Vec<_> =
        (0..dice.below(3000)).map(|_| dice.one_of(b"\x00\r\nGET /:\xff ")).collect();
    let begin: &[u8] = dice.one_of(&[b"", b"GET ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]);
    says(&mut stream, begin).await;
    says(&mut stream, &garbage).await;
    sleep(dice.up_to(10 * MS)).await;
    goes(stream, dice);
    "says garbage"
}

async fn breaks_off_in_its_head(
    mut stream: TcpStream,
    dice: &mut Dice,
    name: &str,
) -> &'static str {
    let head = format!("GET /hello HTTP/1.1\r\nhost: it\r\nx-client: {name}\r\n");
    let some = usize::try_from(dice.below(head.len() as u64)).unwrap();
    says(&mut stream, &head.as_bytes()[..some]).await;
    sleep(dice.up_to(10 * MS)).await;
    goes(stream, dice);
    "breaks off in its head"
}

async fn asks(stream: &mut TcpStream, dice: &mut Dice, name: &str) {
    let method = dice.one_of(&["GET", "GET", "GET", "HEAD"]);
    let path = dice.one_of(&["/hang", "/stream", "/endless", "/huge", "/call", "/call"]);
    let head = format!("{method} {path} HTTP/1.1\r\nhost: it\r\nx-client: {name}\r\n\r\n");
    says(stream, head.as_bytes()).await;
}

async fn breaks_off_before_the_answer(
    mut stream: TcpStream,
    dice: &mut Dice,
    name: &str,
) -> &'static str {
    asks(&mut stream, dice, name).await;
    sleep(dice.up_to(30 * MS)).await;
    goes(stream, dice);
    "breaks off before the answer"
}

async fn breaks_off_in_the_answer(
    mut stream: TcpStream,
    dice: &mut Dice,
    name: &str,
) -> &'static str {
    asks(&mut stream, dice, name).await;
    let mut some = vec![0; usize::try_from(dice.below(20_000)).unwrap()];
    // Where there is no more, it goes all the same.
    let _ = timeout(100 * MS, stream.read_exact(&mut some)).await;
    goes(stream, dice);
    "breaks off in the answer"
}

/// While it opens, or in the middle of what is said.
async fn leaves_a_tunnel(mut stream: TcpStream, dice: &mut Dice, name: &str) -> &'static str {
    says(&mut stream, tunnel(name).as_bytes()).await;
    if dice.percent(70) {
        let mut some = [0; 4];
        let _ = timeout(100 * MS, stream.read_exact(&mut some)).await;
        says(&mut stream, &[b'.'; 10_000]).await;
    }
    sleep(dice.up_to(20 * MS)).await;
    goes(stream, dice);
    "leaves a tunnel"
}

/// What opens one.
pub(crate) fn tunnel(name: &str) -> String {
    format!(
        "GET /tunnel HTTP/1.1\r\nhost: it\r\nx-client: {name}\r\n\
         connection: upgrade\r\nupgrade: echo\r\n\r\n"
    )
}

/// A request of a hundred thousand bytes, of which some come.
async fn begins_to_send(crowd: &Crowd, stream: &mut TcpStream, dice: &mut Dice, name: &str) {
    let path = dice.one_of(&["/echo", "/call"]);
    let how = dice.one_of(&["x-once: yes", "idempotency-key: yes"]);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: it\r\nx-client: {name}\r\nx-request-id: {}\r\n{how}\r\n\
         content-length: 100000\r\n\r\n",
        crowd.id()
    );
    says(stream, head.as_bytes()).await;
    let some = usize::try_from(dice.below(20_000)).unwrap();
    says(stream, &vec![b'.'; some]).await;
}

/// Stays until it is told that it took too long, or hears nothing more.
async fn stalls(crowd: &Crowd, mut stream: TcpStream, dice: &mut Dice, name: &str) -> &'static str {
    begins_to_send(crowd, &mut stream, dice, name).await;
    let mut answer = Vec::new();
    // It may be reset as well.
    let _ = stream.read_to_end(&mut answer).await;
    "stalls"
}

async fn breaks_off_in_its_body(
    crowd: &Crowd,
    mut stream: TcpStream,
    dice: &mut Dice,
    name: &str,
) -> &'static str {
    begins_to_send(crowd, &mut stream, dice, name).await;
    sleep(dice.up_to(50 * MS)).await;
    goes(stream, dice);
    "breaks off in its body"
}
