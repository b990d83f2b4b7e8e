//! The signals that ask the process to stop.

use std::io;

/// One that came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// From whoever runs it for others, as Kubernetes.
    #[cfg(unix)]
    Terminate,
    /// From who started it at a terminal.
    Interrupt,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(unix)]
            Self::Terminate => "SIGTERM",
            Self::Interrupt => {
                if cfg!(unix) {
                    "SIGINT"
                } else {
                    "Ctrl-C"
                }
            }
        }
    }

    pub(crate) fn is_from_terminal(self) -> bool {
        matches!(self, Self::Interrupt)
    }
}

/// Listens for SIGTERM and SIGINT (Ctrl-C), which from then on no longer end the process by
/// themselves. None is missed between two calls of `next`.
#[cfg(unix)]
pub(crate) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}

/// Listens for Ctrl-C.
#[cfg(not(unix))]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "Cannot listen for Ctrl-C");
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }
}
