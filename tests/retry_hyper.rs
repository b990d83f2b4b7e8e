//! A retry around hyper's client, and connections that break in all the ways there are.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod retries;

use std::time::Duration;

use http::{Method, Version};
use palisade::{
    Backoff,
    breaker::BreakerLayer,
    limit_concurrency::LimitConcurrencyLayer,
    retry::{Attempts, Retries, RetryLayer},
    timeout::TimeoutLayer,
};
use palisade_testkit::sockets::{deaf, eventually};
use retries::{
    Told, Upload, Upstream, VERSIONS,
    broken::{
        Break, CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, Then, goaway,
        head, reset, unavailable,
    },
    client, part_of, policy, request, send, streamed, text, upload, whole,
};
use tower::{Layer, ServiceBuilder};

fn is_idle(retries: &Retries) -> bool {
    (retries.buffered(), retries.budget().in_use()) == (0, 0)
}

/// Sends it to an upstream whose first connection breaks, and how often it was sent.
async fn sent(version: Version, method: Method, breaks: Break) -> (usize, Option<u16>) {
    let (upstream, layer) = (Upstream::breaking([breaks]), RetryLayer::new(policy()));
    let request = upstream.request(&method, "/", text("order"));
    let answer = send(&layer.layer(client(version)), request).await;
    assert_eq!(upstream.told.requests(), usize::try_from(layer.handle().retried()).unwrap() + 1);
    assert!(upstream.told.arrived().iter().all(|one| one.body.as_ref().unwrap() == "order"));
    eventually(|| is_idle(&layer.handle())).await;
    (upstream.told.requests(), answer.ok().map(|answer| answer.status().as_u16()))
}

#[tokio::test]
async fn where_nobody_listens_a_post_is_sent_when_somebody_does() {
    for version in VERSIONS {
        let (dead, layer) = (deaf(), RetryLayer::new(policy().max_attempts(u32::MAX)));
        let (address, retries, told) =
            (dead.local_addr().unwrap(), layer.handle(), Told::default());
        let order = request(address, &Method::POST, "/", text("order"));
        let service = layer.layer(client(version));
        let (answer, ()) = tokio::join!(send(&service, order), async {
            eventually(|| retries.retried() > 2).await;
            drop(tokio::spawn(told.clone().serve(dead.listen(8).unwrap(), Vec::new())));
        });
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(retries.retried() + 1, u64::from(Attempts::of(answer.extensions())));
        let arrived = told.arrived();
        assert_eq!((arrived.len(), arrived[0].body.as_deref()), (1, Some(&b"order"[..])));
        assert_eq!((retries.recovered(), is_idle(&retries)), (1, true));
    }
}

#[tokio::test]
async fn where_nobody_listens_for_long_the_error_is_the_clients_own() {
    for version in VERSIONS {
        let (dead, layer) = (deaf(), RetryLayer::new(policy()));
        let order = request(dead.local_addr().unwrap(), &Method::POST, "/", text("order"));
        let error = send(&layer.layer(client(version)), order).await.unwrap_err();
        assert!(error.is_connect(), "{error}");
        assert_eq!((layer.handle().retried(), layer.handle().exhausted()), (2, 1));
    }
}

/// After its head was read, if only in part, nobody knows.
#[tokio::test]
async fn what_a_connection_was_lost_with_is_sent_again_only_if_it_may_be_done_twice() {
    for version in VERSIONS {
        for then in [Then::Close, Then::Reset] {
            let breaks = || match version {
                Version::HTTP_2 => Break::Frames(Vec::new(), then),
                _ => Break::After(20, then),
            };
            assert_eq!(sent(version, Method::PUT, breaks()).await, (2, Some(200)), "{version:?}");
            assert_eq!(sent(version, Method::POST, breaks()).await, (1, None), "{version:?}");
        }
    }
}

/// And one that is lost before a byte is read.
#[tokio::test]
async fn a_connection_that_is_closed_at_once_is_tried_again() {
    for version in VERSIONS {
        for then in [Then::Close, Then::Reset] {
            let breaks = [Break::After(0, then), Break::After(0, then)];
            let (upstream, layer) = (Upstream::breaking(breaks), RetryLayer::new(policy()));
            let request = upstream.request(&Method::PUT, "/", streamed(3, 1_000));
            let answer = send(&layer.layer(client(version)), request).await.unwrap();
            assert_eq!(answer.status(), 200);
            assert_eq!(upstream.told.arrived()[0].body, Some(whole(3, 1_000)));
            eventually(|| is_idle(&layer.handle())).await;
        }
    }
}

/// What was read of it is repeated, and the rest is read on: the caller sends nothing twice.
#[tokio::test]
async fn an_upload_that_was_cut_off_is_resumed_and_arrives_whole() {
    for version in VERSIONS {
        for then in [Then::Close, Then::Reset] {
            let breaks = [Break::After(20_000, then), Break::After(40_000, then)];
            let (upstream, layer) = (Upstream::breaking(breaks), RetryLayer::new(policy()));
            let (upload, body) = upload();
            let request = upstream.request(&Method::PUT, "/", body);
            let service = layer.layer(client(version));
            let send_parts = |upload: &Upload, parts: std::ops::Range<usize>| {
                parts.for_each(|part| upload.send(Ok(part_of(part, 10_000))).unwrap());
            };
            let (answer, ()) = tokio::join!(send(&service, request), async {
                send_parts(&upload, 0..3);
                eventually(|| layer.handle().retried() == 1).await;
                send_parts(&upload, 3..5);
                eventually(|| upstream.told.under_way() == 1).await;
                send_parts(&upload, 5..6);
                drop(upload);
            });
            let answer = answer.unwrap();
            assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (200, 3));
            let arrived = upstream.told.arrived();
            assert_eq!((arrived.len(), &arrived[0].body), (1, &Some(whole(6, 10_000))));
            eventually(|| is_idle(&layer.handle())).await;
        }
    }
}

/// Nobody can go on with it then, and nobody may say that it is whole.
#[tokio::test]
async fn an_upload_that_its_caller_breaks_off_is_not_tried_again() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        let (upload, body) = upload();
        upload.send(Ok(part_of(0, 10_000))).unwrap();
        upload.send(Err(std::io::Error::other("the caller is gone"))).unwrap();
        let request = upstream.request(&Method::PUT, "/", body);
        send(&layer.layer(client(version)), request).await.unwrap_err();
        eventually(|| upstream.told.arrived().len() == upstream.told.requests()).await;
        assert!(upstream.told.arrived().iter().all(|one| one.body.is_none()));
        assert!(upstream.told.requests() <= 1);
        assert_eq!(layer.handle().retried(), 0);
        eventually(|| is_idle(&layer.handle())).await;
    }
}

const POSTED_AGAIN: (usize, Option<u16>) = (2, Some(200));
const POSTED_ONCE: (usize, Option<u16>) = (1, None);

/// Whoever says that it did not look at a request is believed, and nobody else.
#[tokio::test]
async fn over_http2_a_post_is_sent_again_if_the_server_did_not_look_at_it() {
    for (frames, then, expected) in [
        (reset(REFUSED_STREAM), Then::Hold, POSTED_AGAIN),
        (reset(INTERNAL_ERROR), Then::Hold, POSTED_ONCE),
        (reset(CANCEL), Then::Hold, POSTED_ONCE),
        (reset(NO_ERROR), Then::Hold, POSTED_ONCE),
        (goaway(0, NO_ERROR), Then::Close, POSTED_AGAIN),
        (goaway(0, NO_ERROR), Then::Hold, POSTED_AGAIN),
        ([goaway(0x7fff_ffff, NO_ERROR), goaway(0, NO_ERROR)].concat(), Then::Close, POSTED_AGAIN),
        // It was looked at.
        (goaway(1, NO_ERROR), Then::Close, POSTED_ONCE),
        (goaway(0x7fff_ffff, NO_ERROR), Then::Close, POSTED_ONCE),
        (goaway(1, INTERNAL_ERROR), Then::Close, POSTED_ONCE),
        (goaway(0, INTERNAL_ERROR), Then::Close, POSTED_ONCE),
        (goaway(0, ENHANCE_YOUR_CALM), Then::Close, POSTED_ONCE),
    ] {
        let breaks = || Break::Frames(frames.clone(), then);
        let got = sent(Version::HTTP_2, Method::POST, breaks()).await;
        assert_eq!(got, expected, "{frames:?} {then:?}");
        // What may be done twice is, in any case.
        let got = sent(Version::HTTP_2, Method::PUT, breaks()).await;
        assert_eq!(got, POSTED_AGAIN, "{frames:?} {then:?}");
    }
}

/// What was begun to be answered is final.
#[tokio::test]
async fn an_answer_that_breaks_off_is_not_asked_for_again() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let frames = [head(), reset(REFUSED_STREAM)].concat();
    let upstream = Upstream::breaking([Break::Frames(frames, Then::Hold)]);
    let layer = RetryLayer::new(policy());
    let service = layer.layer(client(Version::HTTP_2));
    let request = upstream.request(&Method::PUT, "/", text("order"));
    // The reset may come with the head, and then there is none.
    if let Ok(answer) = service.oneshot(request).await {
        assert_eq!(layer.handle().retried() + 1, u64::from(Attempts::of(answer.extensions())));
        let broken = answer.into_body().collect().await.is_err();
        assert_eq!(broken, upstream.told.requests() == 1);
    }
    eventually(|| is_idle(&layer.handle())).await;
}

/// A server that answers and leaves the stream open is still being sent to: there is no body for another
/// attempt, and nobody waits for one. What was kept for it is freed.
#[tokio::test]
async fn an_answer_to_an_upload_that_goes_on_is_final() {
    let upstream = Upstream::breaking([Break::Frames(unavailable(), Then::Hold)]);
    let layer = RetryLayer::new(policy());
    let (upload, body) = upload();
    upload.send(Ok(part_of(0, 10_000))).unwrap();
    let request = upstream.request(&Method::PUT, "/", body);
    let service = layer.layer(client(Version::HTTP_2));
    let answer = send(&service, request).await.unwrap();
    assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (503, 1));
    let retries = layer.handle();
    assert_eq!((retries.no_body(), upstream.told.requests()), (1, 1));
    assert!(is_idle(&retries));
    upload.send(Ok(part_of(1, 10_000))).unwrap();
    assert!(!upload.is_closed() && is_idle(&retries));
    drop(service);
}

/// As ARCHITECTURE.md has a client's layers: each attempt is counted, and the whole has one deadline.
#[tokio::test]
async fn in_a_whole_stack_each_attempt_is_judged_and_the_deadline_is_one() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        let (breaker, limit) = (BreakerLayer::default(), LimitConcurrencyLayer::new(1));
        let (switch, in_flight) = (breaker.handle(), limit.handle());
        let total = TimeoutLayer::client(Duration::from_secs(30)).shared();
        let attempt = TimeoutLayer::client(Duration::from_secs(20));
        let service = ServiceBuilder::new()
            .layer(total)
            .layer(layer)
            .layer(breaker)
            .layer(limit)
            .layer(attempt)
            .service(client(version));
        upstream.told.say([503, 503]);
        let request = upstream.request(&Method::PUT, "/large", streamed(3, 1_000));
        let answer = send(&service, request).await.unwrap();
        assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (200, 3));
        let stats = switch.stats();
        assert_eq!((stats.total_calls, stats.total_failures), (3, 2));
        assert_eq!((in_flight.admitted(), in_flight.rejected(), in_flight.in_flight()), (3, 0, 0));
    }
}

/// One that would begin after the deadline is not waited for.
#[tokio::test]
async fn in_a_whole_stack_what_is_too_late_is_answered_at_once() {
    for version in VERSIONS {
        let long = Backoff::constant(Duration::from_secs(60));
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy().backoff(long)));
        let total = TimeoutLayer::client(Duration::from_secs(30)).shared();
        let service = total.layer(layer.layer(client(version)));
        upstream.told.say([503]);
        let request = upstream.request(&Method::PUT, "/", text("order"));
        assert_eq!(send(&service, request).await.unwrap().status(), 503);
        assert_eq!((layer.handle().too_late(), layer.handle().retried()), (1, 0));
        eventually(|| is_idle(&layer.handle())).await;
    }
}

/// It is no answer, and the header is among those of each attempt.
#[tokio::test]
async fn who_is_told_to_continue_goes_on_in_each_attempt() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        upstream.told.say([503, 503]);
        let mut request = upstream.request(&Method::PUT, "/", streamed(3, 10_000));
        request.headers_mut().insert("expect", "100-continue".parse().unwrap());
        let answer = send(&layer.layer(client(version)), request).await.unwrap();
        assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (200, 3));
        let arrived = upstream.told.arrived();
        assert_eq!(arrived.len(), 3);
        assert!(arrived.iter().all(|one| one.headers["expect"] == "100-continue"));
        assert!(arrived.iter().all(|one| one.body == Some(whole(3, 10_000))));
    }
}
