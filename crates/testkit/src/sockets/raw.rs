use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Server;

/// A connection of which every byte is seen.
#[derive(Debug)]
pub struct Raw(TcpStream);

impl Raw {
    /// Connects, and sends what is likely the head of a request.
    ///
    /// # Panics
    ///
    /// If the server is not there.
    pub async fn open(server: &Server, sent: &str) -> Self {
        let stream = TcpStream::connect(server.address()).await;
        let mut raw = Self(stream.expect("the server listens"));
        raw.write(sent).await;
        raw
    }

    /// Sends more.
    ///
    /// # Panics
    ///
    /// If the server closed the connection.
    pub async fn write(&mut self, sent: &str) {
        let written = self.0.write_all(sent.as_bytes()).await;
        written.expect("the server is there");
    }

    /// Reads all that comes until the server closes the connection.
    ///
    /// # Panics
    ///
    /// If the connection fails.
    pub async fn read_to_end(&mut self) -> String {
        let mut read = Vec::new();
        let ended = self.0.read_to_end(&mut read).await;
        ended.expect("the server closes the connection");
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Reads up to and including `end`.
    ///
    /// # Panics
    ///
    /// If the connection ends before.
    pub async fn read_to(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(end.as_bytes()) {
            let byte = self.0.read_u8().await;
            read.push(byte.expect("more is to come"));
        }
        String::from_utf8_lossy(&read).into_owned()
    }
}

/// All that the server answers to `sent` until it closes the connection, but for the lines that say
/// the date.
///
/// # Panics
///
/// If the connection fails.
pub async fn exchange(server: &Server, sent: &str) -> String {
    let text = Raw::open(server, sent).await.read_to_end().await;
    let undated = text.split_inclusive("\r\n");
    undated.filter(|line| !line.starts_with("date: ")).collect()
}
