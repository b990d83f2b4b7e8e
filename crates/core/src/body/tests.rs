//! `GuardedBody` against scripted bodies. What hyper makes of it over sockets is in the workshop's
//! `tests/body_ends.rs`.

use std::{
    cell::RefCell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use proptest::prelude::*;

use super::*;
use crate::{Protocol, Reason, Rejection};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Complete,
    Trailers,
    Failed,
    Dropped,
}

#[derive(Clone, Default)]
struct Ledger(Rc<RefCell<Vec<Told>>>);

impl Ledger {
    fn told(&self) -> Vec<Told> {
        self.0.borrow().clone()
    }
}

impl Guard for Ledger {
    fn ended(self, end: End<'_>) {
        self.0.borrow_mut().push(match end {
            End::Complete { trailers: None } => Told::Complete,
            End::Complete { trailers: Some(trailers) } => {
                assert_eq!(trailers["grpc-status"], "0");
                Told::Trailers
            }
            End::Failed => Told::Failed,
            End::Dropped => Told::Dropped,
        });
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Data(usize),
    Trailers,
    Pending,
    Fail,
    Panic,
}

/// Plays its steps and then ends. `honest` bodies say so as soon as there is nothing left.
#[derive(Clone, Debug)]
struct Script {
    steps: VecDeque<Step>,
    honest: bool,
    exact: bool,
}

fn script(steps: impl IntoIterator<Item = Step>) -> Script {
    Script { steps: steps.into_iter().collect(), honest: false, exact: false }
}

impl Script {
    fn length(&self) -> u64 {
        let data = |step: &Step| {
            if let Step::Data(length) = step { *length as u64 } else { 0 }
        };
        self.steps.iter().map(data).sum()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Fail) => Poll::Ready(Some(Err("out of ink"))),
            Some(Step::Panic) => panic!("scripted"),
            Some(Step::Data(length)) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; length])))))
            }
            Some(Step::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().unwrap());
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.honest && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.exact { SizeHint::with_exact(self.length()) } else { SizeHint::default() }
    }
}

fn poll<B: Body + Unpin>(body: &mut B) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
    Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
}

/// What the guard of `response`'s body is told when the body is polled `polls` times and dropped.
fn told_after(response: Response<Script>, method: &Method, polls: usize) -> Vec<Told> {
    let ledger = Ledger::default();
    let response = GuardedBody::guard(response, BodyRule::of(method), ledger.clone());
    let mut body = response.into_body();
    for _ in 0..polls {
        let _ = poll(&mut body);
    }
    drop(body);
    ledger.told()
}

#[test]
fn every_end_is_told_for_what_it_is() {
    use Step::{Data, Fail, Pending, Trailers};
    for (steps, polls, expected) in [
        (vec![], 1, Told::Complete),
        (vec![Data(3)], 2, Told::Complete),
        (vec![Data(3), Trailers], 2, Told::Trailers),
        (vec![Data(3), Fail], 2, Told::Failed),
        (vec![Data(3)], 0, Told::Dropped),
        (vec![Data(3)], 1, Told::Dropped),
        (vec![Pending, Data(3)], 1, Told::Dropped),
        (vec![Data(3), Trailers], 1, Told::Dropped),
    ] {
        let body = script(steps.clone());
        assert_eq!(told_after(Response::new(body), &Method::GET, polls), [expected], "{steps:?}");
    }
}

#[test]
fn a_body_at_its_end_is_complete_before_it_is_polled() {
    let ledger = Ledger::default();
    let ended = Script { honest: true, ..script([]) };
    let body = GuardedBody::new(ended, ledger.clone());
    assert_eq!(ledger.told(), [Told::Complete]);
    drop(body);
    assert_eq!(ledger.told(), [Told::Complete]);
}

#[test]
fn the_last_frame_completes_a_body_that_says_it_is_the_last() {
    let ledger = Ledger::default();
    let body = Script { honest: true, ..script([Step::Data(1), Step::Data(1)]) };
    let mut body = GuardedBody::new(body, ledger.clone());
    let _ = poll(&mut body);
    assert_eq!(ledger.told(), []);
    let _ = poll(&mut body);
    assert_eq!(ledger.told(), [Told::Complete]);
}

#[test]
fn a_body_that_came_to_its_end_unread_is_complete_when_dropped() {
    let ledger = Ledger::default();
    let mut body = GuardedBody::new(script([]), ledger.clone());
    if let Source::Inner(script) = &mut body.source {
        script.honest = true; // as when the last, empty frame of a stream arrives after the data
    }
    drop(body);
    assert_eq!(ledger.told(), [Told::Complete]);
}

#[test]
fn a_dropped_body_is_complete_once_its_announced_length_has_passed() {
    let halves = || script([Step::Data(2), Step::Data(2)]);
    let announced =
        |length: &str| Response::builder().header("content-length", length).body(halves()).unwrap();
    let exact = || Response::new(Script { exact: true, ..halves() });
    assert_eq!(told_after(announced("4"), &Method::GET, 1), [Told::Dropped]);
    assert_eq!(told_after(announced("4"), &Method::GET, 2), [Told::Complete]);
    assert_eq!(told_after(announced("0"), &Method::GET, 0), [Told::Complete]);
    assert_eq!(told_after(exact(), &Method::GET, 1), [Told::Dropped]);
    assert_eq!(told_after(exact(), &Method::GET, 2), [Told::Complete]);
    assert_eq!(told_after(announced("four"), &Method::GET, 2), [Told::Dropped]);
    assert_eq!(told_after(Response::new(halves()), &Method::GET, 2), [Told::Dropped]);
}

#[test]
fn trailers_that_follow_the_announced_length_are_told() {
    let body = script([Step::Data(2), Step::Trailers]);
    let response = Response::builder().header("content-length", "2").body(body).unwrap();
    assert_eq!(told_after(response, &Method::POST, 2), [Told::Trailers]);
}

#[test]
fn where_no_body_is_allowed_a_dropped_one_is_complete() {
    let told = |method: Method, status: u16| {
        let mut response = Response::new(script([Step::Data(2)]));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        told_after(response, &method, 0)
    };
    assert_eq!(told(Method::HEAD, 200), [Told::Complete]);
    assert_eq!(told(Method::GET, 101), [Told::Complete]);
    assert_eq!(told(Method::GET, 204), [Told::Complete]);
    assert_eq!(told(Method::GET, 304), [Told::Complete]);
    assert_eq!(told(Method::CONNECT, 200), [Told::Complete]);
    assert_eq!(told(Method::CONNECT, 407), [Told::Dropped]);
    assert_eq!(told(Method::GET, 200), [Told::Dropped]);
    assert_eq!(told(Method::POST, 500), [Told::Dropped]);
}

#[test]
fn a_body_that_panics_is_dropped() {
    let ledger = Ledger::default();
    let mut body = GuardedBody::new(script([Step::Data(1), Step::Panic]), ledger.clone());
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _ = poll(&mut body);
        let _ = poll(&mut body);
    }));
    assert!(unwound.is_err());
    assert_eq!(ledger.told(), [Told::Dropped]);
}

#[test]
fn a_rejections_own_bytes_pass_with_their_length() {
    const FULL: Reason = Reason::new("full");
    let response = Rejection::new(FULL, StatusCode::TOO_MANY_REQUESTS).respond(Protocol::Http);
    let length = response.body().size_hint().exact();
    let mut body: GuardedBody<Script, Ledger> = response.map(GuardedBody::own).into_body();
    assert_eq!(body.size_hint().exact(), length);
    assert!(!body.is_end_stream());
    let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else { panic!("no frame") };
    assert_eq!(frame.into_data().unwrap().len() as u64, length.unwrap());
    assert!(body.is_end_stream());
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..5_usize).prop_map(Step::Data),
        2 => Just(Step::Pending),
        1 => Just(Step::Trailers),
        1 => Just(Step::Fail),
        1 => Just(Step::Panic),
    ];
    proptest::collection::vec(step, 0..8)
}

proptest! {
    /// Whatever the body does and wherever it is dropped: the guard is told once, and frames, size
    /// hint and end of stream are those of the body alone.
    #[test]
    fn told_exactly_once_and_forwarded_exactly(
        steps in steps(), honest: bool, exact: bool, polls in 0..10_usize, announced: bool,
    ) {
        let mut bare = Script { honest, exact, ..script(steps) };
        let ledger = Ledger::default();
        let mut response = Response::new(bare.clone());
        if announced {
            response.headers_mut().insert("content-length", bare.length().into());
        }
        let mut body = GuardedBody::guard(response, BodyRule::ByStatus, ledger.clone()).into_body();
        for _ in 0..polls {
            prop_assert_eq!(body.is_end_stream(), bare.is_end_stream());
            prop_assert_eq!(body.size_hint().exact(), bare.size_hint().exact());
            let expected = catch_unwind(AssertUnwindSafe(|| poll(&mut bare)));
            let got = catch_unwind(AssertUnwindSafe(|| poll(&mut body)));
            prop_assert_eq!(got.is_err(), expected.is_err());
            if let (Ok(got), Ok(expected)) = (got, expected) {
                prop_assert_eq!(format!("{got:?}"), format!("{expected:?}"));
            }
            prop_assert!(ledger.told().len() <= 1);
        }
        drop(body);
        prop_assert_eq!(ledger.told().len(), 1);
    }
}
