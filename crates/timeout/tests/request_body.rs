//! Clients that stop sending, in paused time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod support;

use std::{
    convert::Infallible,
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Channel, Empty, Full, channel::Sender};
use palisade_core::{Rejection, Sent};
use palisade_timeout::{
    REQUEST_STALLED, RequestBodyTimeoutLayer,
    request_body::{RequestBody, ResponseBody},
};
use support::{SECOND, ms, passed};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};

type Upload = Channel<Bytes, Infallible>;
type Answer = Response<Full<Bytes>>;

fn upload() -> (Sender<Bytes, Infallible>, Request<Upload>) {
    let (sender, body) = Channel::new(8);
    (sender, Request::post("/").body(body).unwrap())
}

async fn read(request: Request<RequestBody<Upload>>) -> Result<Answer, Infallible> {
    let bytes = request.into_body().collect().await;
    // As extractors do: an error of the body is answered at once.
    Ok(match bytes {
        Ok(bytes) => Response::new(Full::new(bytes.to_bytes())),
        Err(_) => Response::builder().status(400).body(Full::default()).unwrap(),
    })
}

async fn send<S>(
    layer: &RequestBodyTimeoutLayer,
    service: S,
    request: Request<Upload>,
) -> Response<ResponseBody<Full<Bytes>>>
where
    S: Service<Request<RequestBody<Upload>>, Response = Answer, Error = Infallible>,
{
    layer.layer(service).oneshot(request).await.unwrap()
}

fn is_stall<B>(response: &Response<B>, closes: bool) {
    assert_eq!(response.status(), 408);
    let rejection = Rejection::of(response).unwrap();
    assert_eq!((rejection.reason(), rejection.sent()), (REQUEST_STALLED, Sent::Maybe));
    assert_eq!(response.headers().contains_key("connection"), closes);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_that_keeps_sending_is_heard_out() {
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    let (mut sender, request) = upload();
    let client = async {
        for _ in 0..10 {
            sleep(ms(900)).await;
            sender.send_data(Bytes::from_static(b".")).await.unwrap();
        }
        drop(sender);
    };
    let (response, ()) = tokio::join!(send(&layer, service_fn(read), request), client);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "..........");
    assert_eq!(layer.handle().stalled(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_is_told_so_and_its_connection_closed() {
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    for (version, closes) in
        [(Version::HTTP_10, true), (Version::HTTP_11, true), (Version::HTTP_2, false)]
    {
        let (mut sender, mut request) = upload();
        *request.version_mut() = version;
        sender.send_data(Bytes::from_static(b"half")).await.unwrap();
        let (response, took) = passed(send(&layer, service_fn(read), request)).await;
        is_stall(&response, closes);
        assert_eq!(took, SECOND);
    }
    assert_eq!(layer.handle().stalled(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stall_wins_over_whatever_the_handler_makes_of_it_and_drops_the_handler() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    let dropped = Arc::new(AtomicBool::new(false));
    let handler = service_fn(|request: Request<RequestBody<Upload>>| {
        let guard = Dropped(Arc::clone(&dropped));
        async move {
            let error = request.into_body().collect().await.unwrap_err();
            assert!(error.downcast_ref::<Rejection>().is_some());
            // Whatever it would like to do now, it does not come to it.
            let _guard = guard;
            pending::<Result<Answer, Infallible>>().await
        }
    });
    let (_sender, request) = upload();
    is_stall(&send(&layer, handler, request).await, true);
    assert!(dropped.load(SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_another_task_reads_stalls_the_answer_as_well() {
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    let (_sender, request) = upload();
    let (response, took) = passed(send(&layer, service_fn(reads_elsewhere), request)).await;
    is_stall(&response, true);
    assert_eq!(took, SECOND);
}

#[tokio::test(start_paused = true)]
async fn once_there_is_an_answer_it_is_the_body_that_fails() {
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    let (keep, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let handler = service_fn(|request: Request<RequestBody<Upload>>| {
        keep.send(request.into_body()).unwrap();
        async { Ok::<_, Infallible>(Response::new(Full::default())) }
    });
    let (_sender, request) = upload();
    assert_eq!(send(&layer, handler, request).await.status(), 200);
    let mut body = kept.recv().await.unwrap();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.downcast_ref::<Rejection>().unwrap().reason(), REQUEST_STALLED);
    assert!(body.frame().await.is_none());
    assert_eq!(layer.handle().stalled(), 1);
}

/// Time is the client's only while somebody reads.
#[tokio::test(start_paused = true)]
async fn a_handler_may_take_its_time() {
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    let (mut sender, request) = upload();
    sender.send_data(Bytes::from_static(b"all")).await.unwrap();
    drop(sender);
    let handler = service_fn(async |request| {
        sleep(9 * SECOND).await;
        read(request).await
    });
    assert_eq!(send(&layer, handler, request).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_body_is_never_slow() {
    let layer = RequestBodyTimeoutLayer::new(Duration::ZERO);
    let handler = service_fn(async |request: Request<RequestBody<Empty<Bytes>>>| {
        assert!(request.into_body().collect().await.unwrap().to_bytes().is_empty());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    });
    let request = Request::new(Empty::<Bytes>::new());
    assert_eq!(layer.layer(handler).oneshot(request).await.unwrap().status(), 200);
}

/// Never answers, and lets another task read what comes.
async fn reads_elsewhere(request: Request<RequestBody<Upload>>) -> Result<Answer, Infallible> {
    tokio::spawn(request.into_body().collect());
    pending().await
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_another_task_than_before_is_woken() {
    let (_sender, request) = upload();
    let service = RequestBodyTimeoutLayer::new(SECOND).layer(service_fn(reads_elsewhere));
    let mut answer = Box::pin(service.oneshot(request));
    assert!(poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_pending())).await);
    let response = timeout(2 * SECOND, tokio::spawn(answer)).await.unwrap().unwrap();
    is_stall(&response.unwrap(), true);
}

#[tokio::test(start_paused = true)]
async fn the_handler_is_gone_while_the_future_is_still_there() {
    let handlers = Arc::new(());
    let handler = service_fn(|request: Request<RequestBody<Upload>>| {
        let handler = Arc::clone(&handlers);
        async move {
            let answer = reads_elsewhere(request).await;
            drop(handler);
            answer
        }
    });
    let (_sender, request) = upload();
    let mut service = RequestBodyTimeoutLayer::new(SECOND).layer(handler);
    let mut answer = pin!(service.ready().await.unwrap().call(request));
    is_stall(&answer.as_mut().await.unwrap(), true);
    assert_eq!(Arc::strong_count(&handlers), 1);
}

/// Else a task that is long over would live for as long as somebody keeps the body.
#[tokio::test(start_paused = true)]
async fn a_body_that_is_kept_keeps_nobody_who_waited() {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    let (keep, _kept) = tokio::sync::mpsc::unbounded_channel();
    let handler = service_fn(|request: Request<RequestBody<Upload>>| {
        keep.send(request.into_body()).unwrap();
        pending::<Result<Answer, Infallible>>()
    });
    let (_sender, request) = upload();
    let waits = Arc::new(Nobody);
    let mut service = RequestBodyTimeoutLayer::new(SECOND).layer(handler);
    let mut answer = Box::pin(service.ready().await.unwrap().call(request));
    let waker = Waker::from(Arc::clone(&waits));
    assert!(answer.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop((answer, waker));
    assert_eq!(Arc::strong_count(&waits), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalled_is_let_go_and_at_its_end() {
    let (mut sender, request) = upload();
    let handler = service_fn(async |request: Request<RequestBody<Upload>>| {
        let mut body = request.into_body();
        body.frame().await.unwrap().unwrap_err();
        assert!(body.is_end_stream() && body.size_hint().exact() == Some(0));
        Ok::<_, Infallible>(Response::new(Full::default()))
    });
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    is_stall(&send(&layer, handler, request).await, true);
    sender.send_data(Bytes::new()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn over_grpc_it_is_deadline_exceeded() {
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    let (_sender, mut request) = upload();
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    *request.version_mut() = Version::HTTP_2;
    let response = send(&layer, service_fn(read), request).await;
    assert_eq!(response.headers()["grpc-status"], "4");
}

#[tokio::test(start_paused = true)]
async fn the_operator_changes_the_limit() {
    let layer = RequestBodyTimeoutLayer::new(SECOND);
    layer.handle().set_limit(ms(10));
    assert_eq!(layer.clone().handle().limit(), ms(10));
    let (_sender, request) = upload();
    assert_eq!(passed(send(&layer, service_fn(read), request)).await.1, ms(10));
}
