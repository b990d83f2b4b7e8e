use std::{fmt, sync::Arc};

use tokio::sync::watch::{self, error::RecvError};

use crate::{
    Report,
    sync::{Mutex, lock},
};

/// Tells of each change; see [`Health::subscribe`](crate::Health::subscribe).
///
/// Its methods are those of tokio's [`watch::Receiver`], but what they give is the caller's own: however long a
/// report is kept, no probe and no other subscriber waits for that.
#[derive(Clone)]
pub struct Reports {
    latest: Latest,
    changed: watch::Receiver<()>,
}

/// The report that is true now. Its lock is never held while anything else is done.
pub(crate) type Latest = Arc<Mutex<Arc<Report>>>;

impl Reports {
    pub(crate) fn new(latest: Latest, changed: watch::Receiver<()>) -> Self {
        Self { latest, changed }
    }

    /// The latest report.
    #[must_use]
    pub fn borrow(&self) -> Arc<Report> {
        Arc::clone(&lock(&self.latest))
    }

    /// The latest report, which then counts as seen.
    #[must_use]
    pub fn borrow_and_update(&mut self) -> Arc<Report> {
        // Before it is read: what changes from here on is told of again.
        self.changed.mark_unchanged();
        self.borrow()
    }

    /// Lets the latest report count as seen.
    pub fn mark_unchanged(&mut self) {
        self.changed.mark_unchanged();
    }

    /// Whether the latest report has not been seen.
    ///
    /// # Errors
    ///
    /// When the registry is gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        self.changed.has_changed()
    }

    /// Resolves when the latest report has not been seen, and lets it count as seen.
    ///
    /// # Errors
    ///
    /// When the registry is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        self.changed.changed().await
    }

    /// Resolves with the first report of which this is true, the latest one included.
    ///
    /// # Errors
    ///
    /// When the registry is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn wait_for(
        &mut self,
        mut is_it: impl FnMut(&Arc<Report>) -> bool,
    ) -> Result<Arc<Report>, RecvError> {
        loop {
            let report = self.borrow_and_update();
            if is_it(&report) {
                return Ok(report);
            }
            self.changed().await?;
        }
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reports").field(&self.borrow()).finish()
    }
}
