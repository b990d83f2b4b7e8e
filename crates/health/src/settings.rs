use std::{fmt, sync::Arc, time::Duration};

use http::Method;
use palisade_core::{Head, Protocol};

use crate::{Probe, watches::Watches};

/// What a layer answers, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// By probe.
    paths: [Box<str>; 3],
    pub(crate) details: Details,
    pub(crate) retry_after: Duration,
    /// Shared by all services of a layer.
    pub(crate) watches: Arc<Watches>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // As those of Kubernetes' own servers.
            paths: ["/livez".into(), "/readyz".into(), "/startupz".into()],
            details: Details::default(),
            retry_after: Duration::from_secs(5),
            watches: Arc::default(),
        }
    }
}

/// Who may see how each check stands.
#[derive(Clone, Default)]
pub(crate) struct Details(Option<Arc<dyn Fn(Head<'_>) -> bool + Send + Sync>>);

impl Details {
    pub(crate) fn some(allowed: impl Fn(Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(allowed)))
    }

    /// Whether they are asked for, and by somebody who may see them.
    pub(crate) fn are_for(&self, head: Head<'_>) -> bool {
        self.0.as_ref().is_some_and(|allowed| asks_for_details(head) && allowed(head))
    }
}

impl fmt::Debug for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "to some" } else { "to nobody" })
    }
}

fn asks_for_details(head: Head<'_>) -> bool {
    head.uri().query().is_some_and(|query| {
        query.split('&').any(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            name == "verbose" && !matches!(value, "0" | "false")
        })
    })
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Http(Probe),
    Grpc(Call),
    /// A method of `grpc.health.v1.Health` that is not known here.
    NoMethod,
}

/// What is called of `grpc.health.v1.Health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Check,
    Watch,
    List,
}

const SERVICE: &str = "/grpc.health.v1.Health/";

impl Settings {
    pub(crate) fn path(&self, probe: Probe) -> &str {
        &self.paths[probe as usize]
    }

    pub(crate) fn set_path(&mut self, probe: Probe, path: String) {
        self.paths[probe as usize] = path.into();
    }

    /// `None` for all that is no probe.
    #[inline]
    pub(crate) fn ask(&self, head: Head<'_>) -> Option<Ask> {
        let path = head.uri().path();
        let is_probe = |probe: &Probe| self.path(*probe) == path;
        if let Some(probe) = Probe::ALL.iter().find(|probe| is_probe(probe)) {
            let is_read = head.method() == Method::GET || head.method() == Method::HEAD;
            return is_read.then_some(Ask::Http(*probe));
        }
        let name = path.strip_prefix(SERVICE)?;
        grpc(name, head)
    }
}

#[cold]
fn grpc(name: &str, head: Head<'_>) -> Option<Ask> {
    let is_call = head.method() == Method::POST && Protocol::of(head) == Protocol::Grpc;
    is_call.then_some(match name {
        "Check" => Ask::Grpc(Call::Check),
        "Watch" => Ask::Grpc(Call::Watch),
        "List" => Ask::Grpc(Call::List),
        _ => Ask::NoMethod,
    })
}

#[cfg(all(test, not(palisade_loom)))]
mod tests;
