//! What is kept of a body that was read, and what that takes of the bounds.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

use crate::allowance::Allowance;

/// Data up to this length are copied: that costs no more than to share them, which allocates too the
/// first time, and does not keep the transport's whole read buffer for a few bytes of it.
pub(super) const COPIED: usize = 1024;

/// What a frame or a trailer takes beside its bytes: its place in the queue, which may be half empty, and
/// the headers of its allocations. In bytes.
pub(super) const PIECE: usize = 128;

/// How many frames and trailers may be kept whatever the bound in bytes.
pub(super) const FREE_PIECES: usize = 64;

/// A frame that was read.
pub(super) enum Item {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

impl Item {
    /// None of a frame of a kind that is not known.
    pub(super) fn of(frame: &Frame<Bytes>) -> Option<Self> {
        if let Some(data) = frame.data_ref() {
            let few = data.len() <= COPIED;
            Some(Self::Data(if few { Bytes::copy_from_slice(data) } else { data.clone() }))
        } else {
            frame.trailers_ref().map(|trailers| Self::Trailers(Box::new(trailers.clone())))
        }
    }

    pub(super) fn to_frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(HeaderMap::clone(trailers)),
        }
    }

    pub(super) fn into_frame(self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data),
            Self::Trailers(trailers) => Frame::trailers(*trailers),
        }
    }

    /// How much it is of what a content-length counts.
    pub(super) fn data_len(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) => 0,
        }
    }

    fn size(&self) -> Size {
        match self {
            Self::Data(data) => Size { bytes: data.len(), pieces: 1 },
            Self::Trailers(trailers) => Size {
                bytes: trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum(),
                pieces: 1 + trailers.len(),
            },
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Size {
    bytes: usize,
    pieces: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            pieces: self.pieces.saturating_add(other.pieces),
        }
    }

    fn fits(self, max: usize) -> bool {
        self.bytes <= max && self.pieces <= FREE_PIECES.saturating_add(max / PIECE)
    }

    /// What it takes of the allowance.
    fn charge(self) -> usize {
        self.bytes.saturating_add(self.pieces.saturating_mul(PIECE))
    }
}

/// The frames that were read, in order.
pub(super) struct Kept {
    // Before the reservation, so that they are freed before it is released.
    items: VecDeque<Item>,
    reserved: Reserved,
    /// Of all that were ever pushed.
    size: Size,
    max: usize,
}

impl Kept {
    pub(super) fn new(max: usize, allowance: Option<Arc<Allowance>>) -> Self {
        let reserved = Reserved { allowance, bytes: 0 };
        Self { items: VecDeque::new(), reserved, size: Size::default(), max }
    }

    /// Whether so many bytes of data are within the bound.
    pub(super) fn may_hold(&self, bytes: usize) -> bool {
        bytes <= self.max
    }

    /// Keeps it, unless that would be too much: then it is given back.
    pub(super) fn push(&mut self, item: Item) -> Result<(), Item> {
        let size = item.size();
        let sum = self.size.plus(size);
        if !sum.fits(self.max) || !self.reserved.grow(size.charge()) {
            return Err(item);
        }
        self.size = sum;
        self.items.push_back(item);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Item> {
        self.items.get(index)
    }

    pub(super) fn data_len(&self) -> u64 {
        self.items.iter().map(|item| item.data_len() as u64).sum()
    }

    /// The first, with what is reserved for it.
    pub(super) fn pop(&mut self) -> Option<(Item, Reserved)> {
        let item = self.items.pop_front()?;
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
        let reserved = self.reserved.split(item.size().charge());
        Some((item, reserved))
    }

    /// The first so many, to be freed where there is no lock.
    pub(super) fn take_front(&mut self, count: usize) -> Self {
        let rest = self.items.split_off(count.min(self.items.len()));
        let items = mem::replace(&mut self.items, rest);
        let charge = items.iter().map(|item| item.size().charge()).sum();
        let reserved = self.reserved.split(charge);
        Self { items, reserved, size: self.size, max: self.max }
    }
}

/// Bytes of an allowance, which go back when it is dropped.
pub(super) struct Reserved {
    allowance: Option<Arc<Allowance>>,
    bytes: usize,
}

impl Reserved {
    fn grow(&mut self, bytes: usize) -> bool {
        let granted = self.allowance.as_ref().is_none_or(|allowance| allowance.reserve(bytes));
        if granted {
            self.bytes += bytes;
        }
        granted
    }

    fn split(&mut self, bytes: usize) -> Self {
        self.bytes -= bytes;
        Self { allowance: self.allowance.clone(), bytes }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(allowance) = &self.allowance {
            allowance.release(self.bytes);
        }
    }
}
