//! A body that does what a test plans.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use palisade_core::BoxError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Data(usize),
    Trailers,
    Pending,
    Fail,
    Panic,
}

/// How it says its length.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hint {
    Exact,
    Bounds,
    Unknown,
}

/// Counts up while it is there.
#[derive(Debug)]
struct Counted {
    by: usize,
    count: Arc<AtomicUsize>,
}

impl Counted {
    fn new(by: usize, count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(by, Relaxed);
        Self { by, count: Arc::clone(count) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.fetch_sub(self.by, Relaxed);
    }
}

/// What there is of a script and of its data, and how often it was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    bytes: Arc<AtomicUsize>,
    bodies: Arc<AtomicUsize>,
    polls: Arc<AtomicUsize>,
}

impl Ledger {
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    pub(super) fn bodies(&self) -> usize {
        self.bodies.load(Relaxed)
    }

    pub(super) fn polls(&self) -> usize {
        self.polls.load(Relaxed)
    }
}

/// The memory of a frame.
struct Owner(Vec<u8>, #[allow(dead_code, reason = "it is dropped")] Counted);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

pub(super) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at + length) % 251).unwrap()).collect()
}

pub(super) fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())])
}

/// Plays its steps and then ends. It panics when it is asked after that.
#[derive(Debug)]
pub(super) struct Script {
    steps: VecDeque<Step>,
    hint: Hint,
    /// Whether it says that it is at its end as soon as there is nothing left.
    honest: bool,
    over: bool,
    pub(super) ledger: Ledger,
    _counted: Counted,
}

pub(super) fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    let ledger = Ledger::default();
    let steps = steps.into_iter().collect();
    Script {
        steps,
        hint: Hint::Unknown,
        honest: false,
        over: false,
        _counted: Counted::new(1, &ledger.bodies),
        ledger,
    }
}

impl Script {
    pub(super) fn that_says(self, hint: Hint, honest: bool) -> Self {
        Self { hint, honest, ..self }
    }
}

pub(super) fn length<'a>(steps: impl IntoIterator<Item = &'a Step>) -> usize {
    steps.into_iter().map(|step| if let Step::Data(length) = step { *length } else { 0 }).sum()
}

pub(super) fn hint(hint: Hint, length: usize) -> (u64, Option<u64>) {
    let length = length as u64;
    match hint {
        Hint::Exact => (length, Some(length)),
        Hint::Bounds => (length / 2, Some(length + 3)),
        Hint::Unknown => (0, None),
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        assert!(!self.over, "polled again after it was over");
        self.ledger.polls.fetch_add(1, Relaxed);
        let step = self.steps.pop_front();
        self.over = matches!(step, None | Some(Step::Fail | Step::Panic));
        Poll::Ready(match step {
            None => None,
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Fail) => Some(Err("out of ink".into())),
            Some(Step::Panic) => panic!("scripted"),
            Some(Step::Data(length)) => {
                let counted = Counted::new(length, &self.ledger.bytes);
                Some(Ok(Frame::data(Bytes::from_owner(Owner(content(length), counted)))))
            }
            Some(Step::Trailers) => Some(Ok(Frame::trailers(trailers()))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.honest && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let (lower, upper) = hint(self.hint, length(&self.steps));
        let mut hint = SizeHint::new();
        hint.set_lower(lower);
        if let Some(upper) = upper {
            hint.set_upper(upper);
        }
        hint
    }
}

/// What a poll comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Frame(Step),
    Pending,
    End,
    Error,
    Panic,
}

/// What it is, after a look at every byte of it.
pub(super) fn see<B>(body: &mut B) -> Seen
where
    B: Body<Data = Bytes> + Unpin,
{
    let polled = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Pending => Seen::Pending,
        Poll::Ready(None) => Seen::End,
        Poll::Ready(Some(Err(_))) => Seen::Error,
        Poll::Ready(Some(Ok(frame))) => Seen::Frame(match frame.into_data() {
            Ok(data) => {
                assert_eq!(data, content(data.len()));
                Step::Data(data.len())
            }
            Err(frame) => {
                assert_eq!(frame.into_trailers().ok(), Some(trailers()));
                Step::Trailers
            }
        }),
    }
}

/// All that is left of it, waits not counted.
pub(super) fn rest<B>(body: &mut B) -> Vec<Seen>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut all = Vec::new();
    while !matches!(all.last(), Some(Seen::End | Seen::Error)) {
        let seen = see(body);
        if seen != Seen::Pending {
            all.push(seen);
        }
    }
    all
}
