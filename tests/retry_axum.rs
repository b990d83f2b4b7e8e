//! A retry around hyper's client, and a real axum server that fails for a while.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod retries;

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use axum::{Router, body::Body, extract::Request, response::IntoResponse, routing::any};
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, Method};
use http_body_util::BodyExt;
use palisade::retry::{Attempts, Retries, Retry, RetryBody, RetryLayer, TransientClassifier};
use palisade_testkit::sockets::{Server, eventually};
use retries::{Upstream, VERSIONS, client, part_of, policy, send, streamed, text, upload, whole};
use tower::{Layer, ServiceExt};

/// What is kept of bodies, unless a test says otherwise.
const BOUND: usize = 64 << 10;

fn is_idle(retries: &Retries) -> bool {
    (retries.buffered(), retries.budget().in_use()) == (0, 0)
}

#[tokio::test]
async fn what_fails_twice_is_sent_again_whole() {
    let bodies: [(fn() -> Body, bytes::Bytes); 5] = [
        (Body::empty, whole(0, 0)),
        (|| Body::from("soup"), "soup".into()),
        (|| streamed(3, 5), whole(3, 5)),
        (|| streamed(8, BOUND / 8), whole(8, BOUND / 8)),
        (|| Body::from(whole(1, BOUND)), whole(1, BOUND)),
    ];
    for version in VERSIONS {
        for (body, expected) in &bodies {
            for path in ["/", "/large"] {
                let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
                upstream.told.say([503, 502]);
                let request = upstream.request(&Method::PUT, path, body());
                let answer = send(&layer.layer(client(version)), request).await.unwrap();
                assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (200, 3));
                let arrived = upstream.told.arrived();
                assert_eq!(arrived.len(), 3, "{version:?}");
                assert!(arrived.iter().all(|one| one.body.as_ref() == Some(expected)));
                let retries = layer.handle();
                assert_eq!((retries.retried(), retries.recovered()), (2, 1));
                assert!(is_idle(&retries));
            }
        }
    }
}

/// As when the service inside takes one type only.
#[tokio::test]
async fn a_body_can_keep_its_type() {
    type Client = hyper_util::client::legacy::Client<
        hyper_util::client::legacy::connect::HttpConnector,
        Body,
    >;
    type Retried = Retry<Client, TransientClassifier, fn(RetryBody<Body>) -> Body>;
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()).with_body(Body::new));
        let service: Retried = layer.layer(client(version));
        for (method, attempts) in [(Method::PUT, 2), (Method::POST, 1), (Method::DELETE, 2)] {
            upstream.told.say([503]);
            let answer =
                send(&service, upstream.request(&method, "/", streamed(3, 5))).await.unwrap();
            assert_eq!(Attempts::of(answer.extensions()), attempts, "{version:?} {method}");
        }
        assert!(upstream.told.arrived().iter().all(|one| one.body == Some(whole(3, 5))));
        assert!(is_idle(&layer.handle()));
    }
}

/// Over HTTP/1.1 there are none behind a length, which such a body does not come to know by being read.
#[tokio::test]
async fn trailers_are_sent_again_too() {
    let trailers: HeaderMap =
        [("x-sum".parse().unwrap(), "9".parse().unwrap())].into_iter().collect();
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        upstream.told.say([503, 503]);
        let sum = trailers.clone();
        let body = streamed(3, 5).with_trailers(async move { Some(Ok(sum)) });
        let mut request = upstream.request(&Method::PUT, "/", Body::new(body));
        request.headers_mut().insert("trailer", "x-sum".parse().unwrap());
        let answer = send(&layer.layer(client(version)), request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let arrived = upstream.told.arrived();
        assert_eq!(arrived.len(), 3);
        for one in arrived {
            assert!(!one.headers.contains_key("content-length"), "{version:?} {:?}", one.headers);
            assert_eq!((one.body, one.trailers.as_ref()), (Some(whole(3, 5)), Some(&trailers)));
        }
    }
}

#[tokio::test]
async fn a_body_over_the_bound_is_sent_once_and_whole() {
    for version in VERSIONS {
        // The second does not say how long it is, and is found to be too long.
        for (body, found) in [(Body::from(whole(9, 8 << 10)), 0), (streamed(9, 8 << 10), 1)] {
            let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
            upstream.told.say([503]);
            let request = upstream.request(&Method::PUT, "/", body);
            let answer = send(&layer.layer(client(version)), request).await.unwrap();
            assert_eq!((answer.status().as_u16(), Attempts::of(answer.extensions())), (503, 1));
            let arrived = upstream.told.arrived();
            assert_eq!((arrived.len(), &arrived[0].body), (1, &Some(whole(9, 8 << 10))));
            assert_eq!((layer.handle().no_body(), layer.handle().retried()), (found, 0));
            assert!(is_idle(&layer.handle()));
        }
    }
}

/// Of all requests together, too: who comes when others have taken the room is sent once.
#[tokio::test]
async fn who_comes_when_there_is_no_room_is_sent_once() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy().max_buffered(100_000)));
        let service = layer.layer(client(version));
        let put = |path| upstream.request(&Method::PUT, path, streamed(6, 10_000));
        let held = tokio::spawn(service.clone().oneshot(put("/held")));
        eventually(|| upstream.told.arrived().len() == 1).await;
        let taken = layer.handle().buffered();
        assert!((60_000..64_000).contains(&taken), "{taken}");

        upstream.told.say([503]);
        assert_eq!(send(&service, put("/")).await.unwrap().status(), 503);
        assert_eq!((layer.handle().no_body(), layer.handle().buffered()), (1, taken));

        upstream.told.gate().open();
        assert_eq!(held.await.unwrap().unwrap().status(), 200);
        assert!(is_idle(&layer.handle()));
        upstream.told.say([503]);
        assert_eq!(send(&service, put("/")).await.unwrap().status(), 200);
        assert_eq!(upstream.told.arrived().len(), 4);
    }
}

#[tokio::test]
async fn a_post_is_sent_once_to_a_server_that_answers_503() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        for status in [429, 502, 503, 504] {
            upstream.told.say([status]);
            let request = upstream.request(&Method::POST, "/", text("order"));
            let answer = send(&layer.layer(client(version)), request).await.unwrap();
            assert_eq!(answer.status(), status);
        }
        assert_eq!((upstream.told.requests(), layer.handle().retried()), (4, 0));

        // Unless it says that it may be.
        upstream.told.say([503, 503]);
        let mut request = upstream.request(&Method::POST, "/", text("order"));
        request.headers_mut().insert("idempotency-key", "7".parse().unwrap());
        let answer = send(&layer.layer(client(version)), request).await.unwrap();
        assert_eq!((answer.status().as_u16(), upstream.told.requests()), (200, 7));
    }
}

#[tokio::test]
async fn a_server_is_told_which_attempt_it_sees() {
    let stamp = HeaderName::from_static("x-attempt");
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy().stamp(stamp.clone())));
        upstream.told.say([503, 503]);
        send(&layer.layer(client(version)), upstream.request(&Method::GET, "/", Body::empty()))
            .await
            .unwrap();
        let arrived = upstream.told.arrived();
        let said: Vec<_> = arrived.iter().map(|one| one.headers.get(&stamp)).collect();
        assert_eq!(said, [None, Some(&1.into()), Some(&2.into())]);
    }
}

/// A gateway's requests have bodies that come from a socket themselves.
#[tokio::test]
async fn a_gateway_sends_again_what_its_own_client_has_sent_once() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        let (to, service) = (upstream.address(), layer.layer(client(version)));
        let gateway = Server::axum(Router::new().fallback(any(async move |request: Request| {
            let (parts, body) = request.into_parts();
            let request = retries::request(to, &parts.method, "/", body);
            let answer = service.oneshot(request).await.unwrap();
            answer.map(Body::new).into_response()
        })));
        upstream.told.say([503, 503]);
        let (upload, body) = upload();
        let asked = retries::request(gateway.address(), &Method::PUT, "/", body);
        let asked = tokio::spawn(client(version).request(asked));
        for part in 0..5 {
            upload.send(Ok(part_of(part, 1_000))).unwrap();
        }
        drop(upload);
        assert_eq!(asked.await.unwrap().unwrap().status(), 200);
        let arrived = upstream.told.arrived();
        assert_eq!(arrived.len(), 3);
        assert!(arrived.iter().all(|one| one.body == Some(whole(5, 1_000))));
        eventually(|| is_idle(&layer.handle())).await;
    }
}

/// Over HTTP/2 a server may answer while the upload goes on. There is another attempt only if the transport
/// has let go of the body by then; in no case does anything hang, panic, or stay behind.
#[tokio::test]
async fn an_answer_that_comes_before_the_upload_is_through_hangs_nobody() {
    for version in VERSIONS {
        for failing in [1, 3] {
            let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
            upstream.told.say(vec![503; failing]);
            let (upload, body) = upload();
            for part in 0..5 {
                upload.send(Ok(part_of(part, 10_000))).unwrap();
            }
            let request = upstream.request(&Method::PUT, "/early", body);
            let answer = send(&layer.layer(client(version)), request).await.unwrap();
            let (attempts, retries) = (Attempts::of(answer.extensions()), layer.handle());
            let said = if attempts > u32::try_from(failing).unwrap() { 200 } else { 503 };
            assert_eq!(answer.status(), said, "{version:?}");
            // In its time: or why it ended before.
            assert_eq!(retries.retried() + 1, u64::from(attempts));
            let why = retries.recovered() + retries.exhausted() + retries.no_body();
            assert_eq!((why, upstream.told.requests()), (1, usize::try_from(attempts).unwrap()));
            // Nobody reads on.
            upload.closed().await;
            eventually(|| is_idle(&retries)).await;
        }
    }
}

/// The future it is about, polled so often at most.
struct Patient<F>(Pin<Box<F>>, u32);

impl<F: Future> Future for Patient<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.1.checked_sub(1) else { return Poll::Ready(None) };
        self.1 = left;
        match self.0.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Its next poll would be too many.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Dropped after each poll that there is: before the first, in the first attempt, as it waits, in the next.
#[tokio::test]
async fn a_request_that_is_given_up_leaves_nothing_behind() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        let service = layer.layer(client(version));
        let (mut patience, mut began) = (0, 0);
        loop {
            upstream.told.say([503, 503]);
            let before = (upstream.told.requests(), layer.handle().retried());
            let request = upstream.request(&Method::PUT, "/", streamed(3, 1_000));
            let future = Box::pin(service.clone().oneshot(request));
            let answer = pin!(Patient(future, patience)).await;
            let status = answer.map(|answer| answer.unwrap().status().as_u16());
            eventually(|| is_idle(&layer.handle()) && upstream.told.under_way() == 0).await;
            let retried = layer.handle().retried() - before.1;
            let requests = upstream.told.requests() - before.0;
            assert!(requests as u64 <= retried + 1, "{requests} of {retried} retries");
            began = began.max(retried);
            if let Some(status) = status {
                assert_eq!((status, requests), (200, 3));
                break;
            }
            patience += 1;
        }
        assert!(patience > 5 && began == 2, "given up after {patience} polls at most");
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_in_its_second_attempt_gives_its_place_back() {
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        let service = layer.layer(client(version));
        upstream.told.say([503]);
        let mut request = upstream.request(&Method::PUT, "/held", streamed(3, 1_000));
        let asked = tokio::spawn(service.clone().oneshot(std::mem::take(&mut request)));
        // The first attempt is held too.
        eventually(|| upstream.told.arrived().len() == 1).await;
        assert_eq!(layer.handle().budget().in_use(), 0);
        upstream.told.gate().let_pass(1);
        eventually(|| upstream.told.arrived().len() == 2).await;
        assert_eq!(layer.handle().budget().in_use(), 1);
        assert!(layer.handle().buffered() > 3_000);
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        eventually(|| is_idle(&layer.handle()) && upstream.told.under_way() == 0).await;
        assert_eq!(layer.handle().budget().taken(), 1);
    }
}

/// Every second answer is 503, whoever gets it.
#[tokio::test]
async fn under_load_all_that_is_counted_adds_up() {
    const CLIENTS: usize = 8;
    const EACH: usize = 40;
    for version in VERSIONS {
        let (upstream, layer) = (Upstream::new(), RetryLayer::new(policy()));
        let service = layer.layer(client(version));
        upstream.told.say([503, 200].repeat(3 * CLIENTS * EACH));
        let answers = join_all((0..CLIENTS).map(async |_| {
            let mut answers = Vec::new();
            for _ in 0..EACH {
                let request = upstream.request(&Method::PUT, "/", streamed(3, 100));
                answers.push(send(&service, request).await.unwrap());
            }
            answers
        }));
        let answers: Vec<_> = answers.await.into_iter().flatten().collect();
        let (retries, asked) = (layer.handle(), CLIENTS * EACH);
        let well = answers.iter().filter(|answer| answer.status() == 200);
        let first = well.clone().filter(|answer| Attempts::of(answer.extensions()) == 1).count();
        let attempts: u32 = answers.iter().map(|answer| Attempts::of(answer.extensions())).sum();
        let count = |count: u64| usize::try_from(count).unwrap();
        let (more, exhausted) = (count(retries.retried()), count(retries.exhausted()));
        assert_eq!(upstream.told.requests(), asked + more);
        assert_eq!(upstream.told.requests(), usize::try_from(attempts).unwrap());
        assert_eq!(well.count(), first + count(retries.recovered()));
        assert_eq!(asked, first + count(retries.recovered()) + exhausted);
        assert_eq!(upstream.told.requests().div_ceil(2), more + exhausted, "failures");
        assert_eq!(count(retries.budget().taken()), more);
        assert!(is_idle(&retries) && more > 0);
        let sent = upstream.told.arrived();
        assert!(sent.iter().all(|one| one.body == Some(whole(3, 100))));
    }
}
