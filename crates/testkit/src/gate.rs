use std::sync::Arc;

use tokio::sync::Semaphore;

/// Where handlers wait until the test lets them go on. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Waits until there is a way through.
    pub async fn pass(&self) {
        // An error says that the gate stands open.
        if let Ok(passage) = self.0.acquire().await {
            passage.forget();
        }
    }

    /// Lets this many through that wait or will come.
    pub fn let_pass(&self, count: usize) {
        self.0.add_permits(count);
    }

    /// Lets everyone through from now on.
    pub fn open(&self) {
        self.0.close();
    }
}
