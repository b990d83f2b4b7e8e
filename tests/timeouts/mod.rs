//! What time limits must do under a real HTTP server, whichever it is.
#![allow(dead_code, reason = "each server's tests use a part")]

mod answers;
mod scenarios;
mod uploads;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Response, Version};
use palisade::timeout::Timeouts;
use palisade_testkit::sockets::{Client, Server};
use tokio::time::{Instant, sleep_until};

pub(crate) use answers::answer;
pub(crate) use scenarios::*;
pub(crate) use uploads::*;

pub(crate) const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// What most tests wait out.
pub(crate) const LIMIT: Duration = Duration::from_millis(200);

/// What none does.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How much is going on in a server: handlers that have not answered and bodies that have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work(Arc<AtomicUsize>);

/// Some of it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Working(Work);

impl Work {
    pub(crate) fn begin(&self) -> Working {
        self.0.fetch_add(1, SeqCst);
        Working(self.clone())
    }

    pub(crate) fn under_way(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

/// A server that does what [`answer`] does, under a limit.
pub(crate) struct Served {
    pub(crate) server: Server,
    pub(crate) work: Work,
    pub(crate) timeouts: Timeouts,
    pub(crate) version: Version,
}

impl Served {
    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.server, self.version).await
    }

    fn counted(&self) -> (u64, u64, u64) {
        (self.timeouts.timed_out(), self.timeouts.cut(), self.timeouts.expired())
    }
}

/// Lets more time pass than the limit allows.
pub(crate) async fn outlast(limit: Duration) {
    sleep_until(Instant::now() + 2 * limit).await;
}

pub(crate) async fn is_hello(client: &Client) {
    let response = client.read("/hello").await.unwrap();
    assert_eq!((response.status().as_u16(), &**response.body()), (200, &b"hello"[..]));
}

pub(crate) fn is_problem(response: &Response<Bytes>, status: u16, reason: &str) {
    assert_eq!(response.status(), status);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["content-length"], *response.body().len().to_string());
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["type"], format!("urn:palisade:{reason}"));
}
