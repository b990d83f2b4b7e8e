use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// How many streams of those who watch may be open over one layer.
#[derive(Debug)]
pub(crate) struct Watches {
    open: AtomicUsize,
    max: usize,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Watching(Arc<Watches>);

/// More than there are instances of what calls a service, and 16 MiB if each asks for the longest name.
const MAX: usize = 4096;

impl Default for Watches {
    fn default() -> Self {
        Self::new(MAX)
    }
}

impl Watches {
    pub(crate) const fn new(max: usize) -> Self {
        Self { open: AtomicUsize::new(0), max }
    }

    /// `None` if there are as many as there may be.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Watching> {
        let one_more = |open| (open < self.max).then_some(open + 1);
        let opened = self.open.fetch_update(Relaxed, Relaxed, one_more).is_ok();
        opened.then(|| Watching(Arc::clone(self)))
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
