//! Tasks that are always busy, and so never have budget left for a timer. In real time, since they leave
//! paused time no moment to move on.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod support;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use palisade_timeout::{
    BodyLimit, RequestBodyTimeoutLayer, TimeoutLayer, request_body::RequestBody,
};
use support::{
    SECOND,
    bodies::{Says, answers, data},
    get, ms,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

/// Uses up its task's budget at each poll, as one does that reads a channel which is never empty.
async fn busy() {
    loop {
        tokio::task::consume_budget().await;
    }
}

/// Polls in real time, since a busy task leaves paused time no moment to move on.
async fn within_seconds<F: Future>(future: F) -> F::Output {
    let began = Instant::now();
    let mut future = pin!(future);
    poll_fn(|cx| {
        assert!(began.elapsed() < 20 * SECOND, "not timed out");
        future.as_mut().poll(cx)
    })
    .await
}

#[tokio::test]
async fn a_task_that_is_always_busy_is_timed_out() {
    let service = TimeoutLayer::server(ms(20)).layer(service_fn(async |_: Request<()>| {
        busy().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let response = within_seconds(service.oneshot(get())).await.unwrap();
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn a_body_that_is_always_busy_is_cut() {
    for limit in [BodyLimit::Within, BodyLimit::Idle(ms(20))] {
        let mut busy = Box::pin(busy());
        let body = Says(move |cx: &mut Context<'_>| busy.as_mut().poll(cx).map(|()| None));
        let layer = TimeoutLayer::server(ms(20)).with_body(limit);
        let response = layer.layer(answers(body)).oneshot(get()).await.unwrap();
        let collected = within_seconds(response.into_body().collect()).await;
        assert!(collected.is_err(), "{limit:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_always_busy_is_stalled() {
    let mut busy = Box::pin(busy());
    let body = Says(move |cx: &mut Context<'_>| busy.as_mut().poll(cx).map(|()| None));
    let reads = service_fn(async |request: Request<RequestBody<_>>| {
        drop(request.into_body().collect().await);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = RequestBodyTimeoutLayer::new(ms(20)).layer(reads);
    let response = within_seconds(service.oneshot(Request::new(body))).await.unwrap();
    assert_eq!(response.status(), 408);
}

/// The timer is asked for the first time when no budget is left.
#[tokio::test(start_paused = true)]
async fn a_body_whose_second_frame_was_much_work_is_cut() {
    let mut frames = 0;
    let body = Says(move |cx: &mut Context<'_>| {
        frames += 1;
        while frames == 2 && pin!(tokio::task::consume_budget()).poll(cx).is_ready() {}
        Poll::Ready(Some(data()))
    });
    let layer = TimeoutLayer::server(SECOND);
    let mut body = layer.layer(answers(body)).oneshot(get()).await.unwrap().into_body();
    for _ in 0..20 {
        if body.frame().await.unwrap().is_err() {
            return;
        }
        sleep(ms(100)).await;
    }
    panic!("it was let go on");
}
