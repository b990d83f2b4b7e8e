use std::ops::Deref;

use crate::{Quota, Window};

/// The windows that one request is asked about: at most [`MOST`], without an allocation.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    windows: [Window; MOST],
    count: usize,
}

/// How many windows a layer may have. Each is a cache line that every request touches.
pub(crate) const MOST: usize = 8;

impl Asked {
    pub(crate) fn none() -> Self {
        const ANY: Window = Window::new(0, Quota::per_second(std::num::NonZeroU32::MIN));
        Self { windows: [ANY; MOST], count: 0 }
    }

    /// One more, of which there is room for [`MOST`].
    pub(crate) fn push(&mut self, window: Window) {
        if let Some(place) = self.windows.get_mut(self.count) {
            *place = window;
            self.count += 1;
        }
    }
}

impl Deref for Asked {
    type Target = [Window];

    fn deref(&self) -> &[Window] {
        &self.windows[..self.count]
    }
}
