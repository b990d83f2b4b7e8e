//! What goes wrong at the edges if nobody minds: odd bodies, callers who contradict themselves. In paused
//! time.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod support;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use palisade_core::Rejection;
use palisade_testkit::{Act, Pace, Probe};
use palisade_timeout::{
    BodyLimit, Deadline, RequestBodyTimeoutLayer, TimeoutLayer, request_body::RequestBody,
};
use support::{
    SECOND,
    bodies::{Says, answers, data, then_silent},
    call, get, grpc, ms, passed, with,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};

const X_TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");

fn never() -> Probe {
    Probe::new().with_head(Pace::Never, Act::Succeed)
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_in_another_task_than_before_is_woken() {
    let layer = TimeoutLayer::server(SECOND);
    let mut answer = Box::pin(layer.clone().layer(never()).oneshot(get()));
    assert!(poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx).is_pending())).await);
    let response = timeout(2 * SECOND, tokio::spawn(answer)).await.unwrap().unwrap();
    assert_eq!(response.unwrap().status(), 503);
    for limit in [BodyLimit::Within, BodyLimit::Idle(SECOND)] {
        let probe = Probe::new().with_body(1, Pace::Never);
        let response = call(&layer.clone().with_body(limit), probe, get()).await.unwrap();
        let mut body = response.into_body();
        assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx).is_pending())).await);
        let cut = tokio::spawn(async move { body.frame().await.unwrap().is_err() });
        assert!(timeout(2 * SECOND, cut).await.unwrap().unwrap());
    }
}

/// And not only when the future is dropped, as it mostly is at once.
#[tokio::test(start_paused = true)]
async fn what_was_inside_is_gone_while_the_future_is_still_there() {
    let probe = never();
    let mut service = TimeoutLayer::server(SECOND).layer(probe.clone());
    let ready = ServiceExt::<Request<()>>::ready(&mut service).await.unwrap();
    let mut answer = pin!(ready.call(get()));
    assert_eq!(answer.as_mut().await.unwrap().status(), 503);
    assert_eq!(probe.tally().in_flight, 0);
}

/// Each hands its deadline to a task that outlives the exchange.
#[tokio::test(start_paused = true)]
async fn a_deadline_that_was_handed_on_is_enforced_where_it_arrives() {
    let client = TimeoutLayer::client(5 * SECOND);
    let (answered, answer) = tokio::sync::oneshot::channel();
    let mut hand_on = Some((client.layer(never()), answered));
    let server = TimeoutLayer::server(SECOND).shared().layer(service_fn(|request: Request<()>| {
        let (client, answered) = hand_on.take().unwrap();
        let deadline = Deadline::of(&request).unwrap();
        tokio::spawn(async move {
            let mut request = get();
            deadline.attach(request.extensions_mut());
            answered.send(client.oneshot(request).await.unwrap().status())
        });
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    }));
    server.oneshot(get()).await.unwrap();
    let (status, took) = passed(answer).await;
    assert_eq!((status.unwrap().as_u16(), took), (504, SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_head_alone_cuts_nobodys_stream() {
    let outer = TimeoutLayer::server(SECOND).with_body(BodyLimit::Idle(ms(500))).shared();
    let inner = TimeoutLayer::client(60 * SECOND);
    let stream = Probe::new().with_body(10, Pace::After(ms(300)));
    let response = outer.layer(inner.layer(stream)).oneshot(get()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_streamed_to_longer_than_it_said_that_it_waits() {
    for limit in [BodyLimit::Idle(ms(500)), BodyLimit::Excluded] {
        let layer = TimeoutLayer::server(60 * SECOND).with_body(limit);
        let stream = || Probe::new().with_body(100, Pace::After(ms(400)));
        let asks = grpc(&[("grpc-timeout", "1S")]);
        let response = call(&layer, stream(), asks).await.unwrap();
        let (collected, took) = passed(response.into_body().collect()).await;
        assert_eq!(collected.unwrap().trailers().unwrap()["grpc-status"], "4");
        assert_eq!(took, SECOND);

        let mut inherits = get();
        Deadline::at((Instant::now() + SECOND).into_std()).attach(inherits.extensions_mut());
        let response = call(&layer, stream(), inherits).await.unwrap();
        let (collected, took) = passed(response.into_body().collect()).await;
        assert!(collected.is_err());
        assert_eq!(took, SECOND);
    }
    // Silence still counts.
    let layer = TimeoutLayer::server(60 * SECOND).with_body(BodyLimit::Idle(ms(300)));
    let asks = grpc(&[("grpc-timeout", "9S")]);
    let silent = Probe::new().with_body(9, Pace::After(ms(400)));
    let response = call(&layer, silent, asks).await.unwrap();
    assert_eq!(passed(response.into_body().collect()).await.1, ms(300));
}

/// What a request looks like to the next hop.
async fn told(layer: &TimeoutLayer, request: Request<()>) -> HeaderMap {
    let (seen, mut headers) = tokio::sync::mpsc::unbounded_channel();
    let next = service_fn(move |request: Request<()>| {
        seen.send(request.headers().clone()).unwrap();
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) }
    });
    layer.layer(next).oneshot(request).await.unwrap();
    headers.recv().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_of_more_time_than_any_header_said() {
    let layer = TimeoutLayer::client(60 * SECOND).with_header(X_TIMEOUT, |_| true).forward();
    let mut request = grpc(&[("grpc-timeout", "1S")]);
    Deadline::at((Instant::now() + 10 * SECOND).into_std()).attach(request.extensions_mut());
    assert_eq!(told(&layer, request).await["grpc-timeout"], "995000u");
    // One header is written, and the other one taken away.
    let both = with(&[("grpc-timeout", "10S"), ("x-request-timeout", "9")]);
    let headers = told(&layer, both).await;
    assert_eq!((headers.len(), &headers[X_TIMEOUT]), (1, &"9.995000".parse().unwrap()));
    let both = grpc(&[("grpc-timeout", "10S"), ("x-request-timeout", "9")]);
    let headers = told(&layer, both).await;
    assert!(headers.contains_key("grpc-timeout") && !headers.contains_key(X_TIMEOUT));
    let unbounded = TimeoutLayer::client(Duration::MAX).with_header(X_TIMEOUT, |_| false).forward();
    assert_eq!(told(&unbounded, grpc(&[("x-request-timeout", "9")])).await.len(), 1);
    assert!(told(&unbounded, with(&[("x-request-timeout", "9")])).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_shares_a_deadline_hides_no_header_from_whoever_reads_it_inside() {
    let outer = TimeoutLayer::server(10 * SECOND).shared();
    let inner = TimeoutLayer::server(10 * SECOND).with_header(X_TIMEOUT, |_| true);
    let request = with(&[("x-request-timeout", "0.3")]);
    let answer = outer.layer(inner.layer(never())).oneshot(request);
    assert_eq!(passed(answer).await.1, ms(300));
}

#[tokio::test(start_paused = true)]
async fn a_header_that_is_garbled_hides_none_that_is_not() {
    let layer = TimeoutLayer::server(10 * SECOND).with_header(X_TIMEOUT, |_| true);
    let request = with(&[("grpc-timeout", "soon"), ("x-request-timeout", "0.3")]);
    assert_eq!(passed(call(&layer, never(), request)).await.1, ms(300));
}

#[tokio::test(start_paused = true)]
async fn no_caller_gets_round_what_the_operator_says_of_its_request() {
    let asks = || with(&[("grpc-timeout", "9S")]);
    let layer = TimeoutLayer::server(SECOND).with_max(5 * SECOND);
    let by = layer.clone().by(|_| Some(ms(100)));
    assert_eq!(passed(call(&by, never(), asks())).await.1, ms(100));
    layer.handle().set_limit(Duration::ZERO);
    let probe = Probe::new();
    assert_eq!(call(&layer, probe.clone(), asks()).await.unwrap().status(), 503);
    assert_eq!(probe.tally().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_below_what_is_useful_is_a_limit_all_the_same() {
    let layer = TimeoutLayer::server(SECOND).with_min_useful(ms(50));
    layer.handle().set_limit(ms(40));
    assert_eq!(call(&layer, Probe::new(), get()).await.unwrap().status(), 200);
    let asks = |time| grpc(&[("grpc-timeout", time)]);
    assert_eq!(
        call(&layer, Probe::new(), asks("45m")).await.unwrap().headers().get("grpc-status"),
        None
    );
    let refused = call(&layer, Probe::new(), asks("39m")).await.unwrap();
    assert!(Rejection::of(&refused).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_asked_once_whether_it_is_trusted() {
    let asked = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&asked);
    let layer = TimeoutLayer::server(SECOND).with_header(X_TIMEOUT, move |_| {
        counts.fetch_add(1, SeqCst);
        true
    });
    call(&layer, Probe::new(), with(&[("x-request-timeout", "0.5")])).await.unwrap();
    assert_eq!(asked.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_transport_that_was_not_told_is_its_own() {
    let layer = TimeoutLayer::server(10 * SECOND).with_header(X_TIMEOUT, |_| true);
    let fails = Probe::new().with_head(Pace::After(SECOND), Act::Fail);
    assert!(call(&layer, fails, grpc(&[("x-request-timeout", "1")])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_not_ended_again() {
    let ok = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let layer = TimeoutLayer::server(SECOND);
    let body = then_silent([Some(data()), Some(Frame::trailers(ok))]);
    let mut body = layer.layer(answers(body)).oneshot(grpc(&[])).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!(body.frame().await.unwrap().unwrap().trailers_ref().unwrap()["grpc-status"], "0");
    timeout(5 * SECOND, body.frame()).await.unwrap_err();
    let body = then_silent([None]);
    let mut body = layer.layer(answers(body)).oneshot(get()).await.unwrap().into_body();
    assert!(body.frame().await.is_none());
    timeout(5 * SECOND, body.frame()).await.unwrap_err();
    assert_eq!(layer.handle().cut(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_grpc_ends_with_no_grpc_status() {
    let service = TimeoutLayer::server(SECOND).layer(service_fn(async |_: Request<()>| {
        let mut response = Response::new(then_silent([Some(data())]));
        *response.status_mut() = StatusCode::NOT_FOUND;
        response.headers_mut().insert("content-type", "text/plain".parse().unwrap());
        Ok::<_, Infallible>(response)
    }));
    let response = service.oneshot(grpc(&[])).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_body_says_of_itself_what_the_inner_one_does() {
    let layer = TimeoutLayer::server(SECOND);
    let body = layer.layer(answers(then_silent([]))).oneshot(get()).await.unwrap().into_body();
    assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(7), false));
    let mut body = layer
        .layer(answers(Full::new(data().into_data().unwrap())))
        .oneshot(get())
        .await
        .unwrap()
        .into_body();
    assert!(!body.is_end_stream());
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    let refused = call(&layer, never(), get()).await.unwrap();
    let length = refused.body().size_hint().exact().unwrap();
    assert_eq!(refused.into_body().collect().await.unwrap().to_bytes().len() as u64, length);
    let mut cut = layer.layer(answers(then_silent([]))).oneshot(get()).await.unwrap().into_body();
    cut.frame().await.unwrap().unwrap_err();
    assert_eq!((cut.size_hint().exact(), cut.is_end_stream()), (Some(0), true));
}

#[tokio::test(start_paused = true)]
async fn frames_of_nothing_are_silence() {
    let mut wait = Box::pin(sleep(ms(900)));
    let body = Says(move |cx: &mut Context<'_>| {
        std::task::ready!(wait.as_mut().poll(cx));
        wait.as_mut().reset(Instant::now() + ms(900));
        Poll::Ready(Some(Frame::data(Bytes::new())))
    });
    let reads = service_fn(async |request: Request<RequestBody<_>>| {
        drop(request.into_body().collect().await);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let stalled = RequestBodyTimeoutLayer::new(SECOND).layer(reads).oneshot(Request::new(body));
    let (response, took) = passed(stalled).await;
    assert_eq!((response.unwrap().status().as_u16(), took), (408, SECOND));
}

#[tokio::test(start_paused = true)]
async fn no_time_is_too_long() {
    for limit in [Duration::from_nanos(u64::MAX - 1), Duration::from_secs(u64::MAX), Duration::MAX]
    {
        let server = TimeoutLayer::server(limit);
        for layer in [
            server.clone().shared(),
            server.clone().forward().with_header(X_TIMEOUT, |_| true),
            TimeoutLayer::server(SECOND).with_max(limit),
            server.with_body(BodyLimit::Idle(limit)),
        ] {
            for request in [
                get(),
                grpc(&[("grpc-timeout", "99999999H")]),
                with(&[("x-request-timeout", "18446744073709551615.9")]),
            ] {
                let probe = Probe::new()
                    .with_head(Pace::After(ms(10)), Act::Succeed)
                    .with_body(3, Pace::After(ms(10)));
                let response = call(&layer, probe, request).await.unwrap();
                assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "...");
            }
        }
    }
}
