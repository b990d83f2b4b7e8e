use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use palisade_core::BoxError;

use self::{
    kept::{Item, Kept},
    shared::{Lent, Shared, Source},
};
use crate::allowance::Allowance;

mod kept;
mod shared;

/// One copy of a request's body, which can be sent again while there is a [`Backup`].
///
/// What it reads of the original it also keeps. When it is dropped, whether the body was sent, cut off or
/// never asked for, the original goes back; the next copy repeats what was kept, frame by frame, and then
/// reads on where this one stopped. So an upload is resumed, not begun again, and what nobody asks for is
/// never read.
///
/// Every copy yields the original's frames, trailers included, and says the same length before its first.
/// An error of the original is passed once; then this was the last copy.
///
/// ```
/// use http_body_util::{BodyExt, Full};
/// use palisade_retry::ReplayBody;
///
/// # tokio_test::block_on(async {
/// let (first, mut backup) = ReplayBody::new(Full::from("soup"), 64 * 1024);
/// assert!(backup.next().is_none()); // never two that read at once
/// assert_eq!(first.collect().await.unwrap().to_bytes(), "soup");
///
/// let second = backup.next().unwrap();
/// assert_eq!(second.collect().await.unwrap().to_bytes(), "soup");
/// # });
/// ```
///
/// # What it costs
///
/// Two allocations when it is made, and one for the list of frames. For each frame, while there is a
/// [`Backup`], a lock that nobody takes but the backup when it is asked or dropped, and a copy of its data
/// up to 1 KiB; longer data are shared.
///
/// # What is bounded
///
/// Data and trailers that are kept are at most `max` bytes; frames and trailers at most 64, and one more
/// for each 128 bytes of `max`. Over that, all is freed at once and this becomes the last copy, which
/// reads on. Data over 1 KiB keep the buffer alive that they are a slice of: of a transport that cuts small
/// frames out of large buffers, that can be more than `max`.
pub struct ReplayBody<B> {
    source: Source<B>,
    shared: Arc<Shared<B>>,
    /// Whether the backup may still want what is read.
    keeping: bool,
    /// Kept frames that are yet to be repeated, and the bytes of their data.
    frames_left: usize,
    bytes_left: u64,
    /// Bytes of data that were passed on.
    passed: u64,
}

/// The end of a [`ReplayBody`] that stays with who may send it again.
///
/// Dropping it says that nobody will, as when the answer is accepted: what was kept is freed at once, and
/// the copy that is being sent reads on without keeping anything.
pub struct Backup<B> {
    shared: Arc<Shared<B>>,
}

const GONE: &str = "the request's body is gone: reading it panicked";

impl<B: Body> ReplayBody<B> {
    /// The first copy of a body of which at most `max` bytes are kept.
    ///
    /// A body that says it is longer is not kept at all.
    #[must_use]
    pub fn new(body: B, max: usize) -> (Self, Backup<B>) {
        Self::keep(body, Kept::new(max, None))
    }

    /// The same, and what is kept is within an allowance too.
    pub(crate) fn within(body: B, max: usize, allowance: &Arc<Allowance>) -> (Self, Backup<B>) {
        Self::keep(body, Kept::new(max, Some(Arc::clone(allowance))))
    }

    fn keep(body: B, kept: Kept) -> (Self, Backup<B>) {
        let hint = body.size_hint();
        let worthwhile = usize::try_from(hint.lower()).is_ok_and(|lower| kept.may_hold(lower));
        let shared = Arc::new(Shared::new(hint.exact(), kept, worthwhile));
        let source = Source::Reading(Box::pin(body));
        let lent = Lent { source, frames: 0, bytes: 0 };
        (Self::lent(lent, Arc::clone(&shared)), Backup { shared })
    }
}

impl<B> ReplayBody<B> {
    fn lent(lent: Lent<B>, shared: Arc<Shared<B>>) -> Self {
        let Lent { source, frames, bytes } = lent;
        let (frames_left, bytes_left) = (frames, bytes);
        Self { source, shared, keeping: true, frames_left, bytes_left, passed: 0 }
    }

    fn repeat(&mut self) -> Option<Frame<Bytes>> {
        let frame = self.shared.repeat()?;
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.frames_left -= 1;
        self.bytes_left -= length;
        self.passed += length;
        Some(frame)
    }

    /// Notes a frame that the original gave.
    fn note(&mut self, frame: &Frame<Bytes>) {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.passed = self.passed.saturating_add(length);
        if self.keeping {
            self.keeping = self.shared.keep(Item::of(frame));
        }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.frames_left > 0 {
            return Poll::Ready(Some(this.repeat().ok_or_else(|| GONE.into())));
        }
        // It is out of its place while it is polled: one that panics is not there to be polled again.
        let mut original = match mem::replace(&mut this.source, Source::Gone) {
            Source::Reading(original) => original,
            Source::Gone => {
                this.source = Source::Failed;
                return Poll::Ready(Some(Err(GONE.into())));
            }
            over @ (Source::Ended | Source::Failed) => {
                this.source = over;
                return Poll::Ready(None);
            }
        };
        match original.as_mut().poll_frame(cx) {
            Poll::Pending => {
                this.source = Source::Reading(original);
                Poll::Pending
            }
            Poll::Ready(None) => {
                this.source = Source::Ended;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                this.source = Source::Reading(original);
                this.note(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.source = Source::Failed;
                this.keeping = false;
                this.shared.give_up();
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames_left == 0
            && match &self.source {
                Source::Reading(original) => original.is_end_stream(),
                Source::Ended | Source::Failed => true,
                Source::Gone => false,
            }
    }

    /// Where the original knew its length, every copy says what is left of that, and where it did not, none
    /// does.
    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        if let Some(announced) = self.shared.announced {
            return SizeHint::with_exact(announced.saturating_sub(self.passed));
        }
        let rest = match &self.source {
            Source::Reading(original) => original.size_hint(),
            // Of a body that did not know its length the next copy says no more than this one did, or the
            // same request would be framed in another way.
            Source::Ended | Source::Failed | Source::Gone => SizeHint::default(),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(self.bytes_left));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(self.bytes_left)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        let source = mem::replace(&mut self.source, Source::Gone);
        if self.keeping {
            self.shared.give_back(source);
        }
    }
}

impl<B> Backup<B> {
    /// Another copy, from the first frame on.
    ///
    /// None while the copy before is alive: a transport may hold a body beyond the answer to it, as HTTP/2
    /// does when a server answers early. None for good once [`is_lost`](Self::is_lost).
    #[allow(clippy::should_implement_trait, reason = "there may be one after a `None`")]
    #[must_use]
    pub fn next(&mut self) -> Option<ReplayBody<B>> {
        let lent = self.shared.lend()?;
        Some(ReplayBody::lent(lent, Arc::clone(&self.shared)))
    }

    /// Whether there can be no other copy any more: the body was over a bound, it failed, or it panicked
    /// and the copy is dropped.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.shared.is_given_up()
    }
}

impl<B> Drop for Backup<B> {
    fn drop(&mut self) {
        self.shared.give_up();
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ReplayBody");
        out.field("frames_left", &self.frames_left).field("passed", &self.passed);
        out.finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Backup<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("is_lost", &self.is_lost()).finish_non_exhaustive()
    }
}

#[cfg(all(test, palisade_loom))]
mod loom_tests;
#[cfg(all(test, not(palisade_loom)))]
mod model;
#[cfg(all(test, not(palisade_loom)))]
mod model_tests;
#[cfg(all(test, not(palisade_loom)))]
mod script;
#[cfg(all(test, not(palisade_loom)))]
mod tests;
#[cfg(all(test, not(palisade_loom)))]
mod traps;
