use std::{io, marker::PhantomData, pin::pin, rc::Rc, task::Waker};

use futures_util::stream;
use http::HeaderMap;
use http_body_util::{BodyExt, Full, StreamBody};

use super::*;

fn soup() -> Full<Bytes> {
    Full::from("soup")
}

fn size<B: Body>(body: &B) -> (bool, Option<u64>) {
    (body.is_end_stream(), body.size_hint().exact())
}

#[tokio::test]
async fn what_passes_is_the_callers_body() {
    let frames = || {
        StreamBody::new(stream::iter([
            Ok(Frame::data(Bytes::from("soup"))),
            Ok(Frame::trailers(HeaderMap::new())),
            Err(io::Error::other("out of ink")),
        ]))
    };
    let (mut bare, mut body) = (frames(), RetryBody::pass(frames()));
    for _ in 0..4 {
        assert_eq!(size(&body), size(&bare));
        let expected = bare.frame().await.map(|frame| frame.map_err(|error| error.to_string()));
        let got = body.frame().await.map(|frame| frame.map_err(|error| error.to_string()));
        assert_eq!(format!("{got:?}"), format!("{expected:?}"));
    }
    assert_eq!(size(&RetryBody::pass(soup())), (false, Some(4)));
}

#[test]
fn an_error_that_passes_is_still_what_it_was() {
    let failing = stream::iter([Err::<Frame<Bytes>, _>(io::Error::other("out of ink"))]);
    let mut body = pin!(RetryBody::pass(StreamBody::new(failing)));
    let polled = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Some(Err(error))) = polled else { panic!("no error") };
    assert!(error.is::<io::Error>());
}

#[tokio::test]
async fn a_copy_that_repeats_is_what_it_repeats() {
    let (first, mut backup) = ReplayBody::new(soup(), 100);
    let first = RetryBody::replay(first);
    assert_eq!(size(&first), (false, Some(4)));
    assert_eq!(first.collect().await.unwrap().to_bytes(), "soup");
    let mut second = RetryBody::replay(backup.next().unwrap());
    assert_eq!(size(&second), (false, Some(4)));
    assert!(second.frame().await.is_some_and(|frame| frame.is_ok()));
    assert_eq!(size(&second), (true, Some(0)));
}

#[tokio::test]
async fn none_is_at_its_end() {
    let mut none = RetryBody::<Full<Bytes>>::default();
    assert_eq!(size(&none), (true, Some(0)));
    assert!(none.frame().await.is_none());
}

#[tokio::test]
async fn the_constructors_of_boxed_bodies_carry_bodies() {
    async fn carries<B>(wrap: fn(RetryBody<B>) -> B, new: fn(Full<Bytes>) -> B)
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError> + std::fmt::Debug,
    {
        assert_eq!(wrap.pass(new(soup())).collect().await.unwrap().to_bytes(), "soup");
        let (first, mut backup) = ReplayBody::new(new(soup()), 100);
        let first = wrap.carry(RetryBody::replay(first));
        assert_eq!(size(&first), (false, Some(4)));
        drop(first);
        let second = wrap.carry(RetryBody::replay(backup.next().unwrap()));
        assert_eq!(second.collect().await.unwrap().to_bytes(), "soup");
        let (none, mut backup) = ReplayBody::new(new(Full::default()), 100);
        let none = wrap.carry(RetryBody::replay(none));
        assert_eq!(size(&none), (true, Some(0)));
        drop(none);
        assert!(backup.next().is_some_and(|none| none.is_end_stream()));
    }
    carries::<tonic::body::Body>(tonic::body::Body::new, tonic::body::Body::new).await;
    carries::<axum::body::Body>(axum::body::Body::new, axum::body::Body::new).await;
}

#[tokio::test]
async fn a_body_that_passes_is_not_converted() {
    let wrap: fn(RetryBody<Full<Bytes>>) -> Full<Bytes> = |_| panic!("converted");
    assert_eq!(wrap.pass(soup()).collect().await.unwrap().to_bytes(), "soup");
    assert_eq!(AsRetryBody.pass(soup()).collect().await.unwrap().to_bytes(), "soup");
    let (first, _backup) = ReplayBody::new(soup(), 100);
    let first = AsRetryBody.carry(RetryBody::replay(first));
    assert_eq!(first.collect().await.unwrap().to_bytes(), "soup");
}

#[test]
fn a_body_that_stays_in_its_thread_can_be_sent_again() {
    struct Stays(PhantomData<Rc<()>>);
    impl Body for Stays {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(None)
        }
    }
    let (first, mut backup) = ReplayBody::new(Stays(PhantomData), 100);
    let mut first = pin!(AsRetryBody.carry(RetryBody::replay(first)));
    let polled = first.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(None)));
    first.set(RetryBody::empty());
    assert!(backup.next().is_some());
}
