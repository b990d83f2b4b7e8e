use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use http::{Request, Version};
use http_body_util::Empty;
use palisade_testkit::sockets::{Raw, exchange};
use tokio::time::{Instant, sleep};

use super::{Fields, PATHS, Served, hello, is_refusal, let_in, quota, read};

/// All of which are asked at once.
pub(crate) async fn one_quota_is_for_all_routes_and_connections(served: Served) {
    let clients = join_all((0..4).map(|_| served.client())).await;
    let calls = (0..20).map(|call| clients[call % 4].read(PATHS[call / 4 % 3]));
    let answers = join_all(calls).await;
    let (admitted, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().map(Result::unwrap).partition(|answer| answer.status() == 200);
    assert_eq!((admitted.len(), refused.len()), (5, 15));
    for answer in &refused {
        let fields = is_refusal(answer);
        assert_eq!((fields.quota, fields.window), (5, 3600));
        assert!(matches!(fields.retry_after, Some(600..=720)), "{fields:?}");
    }
    // Those who were let in are told nothing, unless that was asked for.
    for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
        assert!(admitted.iter().all(|answer| !answer.headers().contains_key(name)));
    }
    assert_eq!((served.buckets.refused(), served.buckets.len()), (15, 1));
}

/// Two a second, one at a time.
pub(crate) async fn who_waits_as_told_is_let_in(served: Served) {
    let client = served.client().await;
    for _ in 0..2 {
        let begun = Instant::now();
        let refused = loop {
            let answer = client.read("/hello").await.unwrap();
            if answer.status() != 200 {
                break answer;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody is refused");
        };
        let told = is_refusal(&refused);
        assert_eq!((told.more_in, told.retry_after), (Some(1), Some(1)));
        sleep(Duration::from_secs(told.retry_after.unwrap().unsigned_abs())).await;
        assert_eq!(let_in(&client, 1, &[]).await, 1);
    }
}

pub(crate) async fn answers_tell_how_much_is_left(served: Served) {
    let client = served.client().await;
    for left in (0..5).rev() {
        let answer = client.read(PATHS[0]).await.unwrap();
        assert_eq!(answer.status(), 200);
        let told = Fields::of(answer.headers());
        assert_eq!((told.quota, told.window, told.remaining), (5, 3600, left));
        assert!(matches!(told.more_in, Some(600..=720)), "{told:?}");
        assert_eq!(told.retry_after, None);
    }
    is_refusal(&client.read("/hello").await.unwrap());
}

/// Not connections: each stream counts, and the streams are one client.
pub(crate) async fn the_streams_of_a_connection_are_one_client(served: Served) {
    assert_eq!(served.version, Version::HTTP_2);
    let client = served.client().await;
    let answers = join_all((0..100).map(|_| client.read("/hello"))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let (admitted, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status() == 200);
    assert_eq!((admitted.len(), refused.len()), (5, 95));
    for answer in refused {
        is_refusal(answer);
    }
    assert_eq!((served.buckets.refused(), served.buckets.len()), (95, 1));
}

/// All requests are sent before the first is answered.
pub(crate) async fn a_pipeline_is_answered_in_its_order(served: Served) {
    let get = "GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = exchange(&served.server, &(get.repeat(19) + last)).await;
    let answers: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
    assert_eq!(answers.len(), 20, "{answers:?}");
    assert!(answers[..5].iter().all(|answer| answer.starts_with("200 ")), "{answers:?}");
    assert!(answers[5..].iter().all(|answer| answer.starts_with("429 ")), "{answers:?}");
}

pub(crate) async fn a_refusal_to_head_says_the_length_of_the_one_to_get(served: Served) {
    served.buckets.set_quota(quota("1/h"));
    // All on one connection: a length that does not hold would garble the next answer.
    let sent = "HEAD /hello HTTP/1.1\r\nhost: x\r\n\r\n".repeat(2)
        + "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = exchange(&served.server, &sent).await;
    let answers: Vec<_> = answers.split("HTTP/1.1 ").skip(1).collect();
    let [_, head, get] = answers[..] else { panic!("{answers:?}") };
    let (_, body) = get.split_once("\r\n\r\n").unwrap();
    for answer in [head, get] {
        assert!(answer.starts_with("429 "), "{answer}");
        assert!(answer.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
        assert!(answer.contains("\r\nratelimit: \"default\";r=0;t="), "{answer}");
    }
}

/// Nothing is switched for who is refused, and the connection goes on.
pub(crate) async fn an_upgrade_is_refused_like_any_other(served: Served) {
    let client = served.client().await;
    assert_eq!(let_in(&client, 6, &[]).await, 5);
    let sent = "GET /hello HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n\
        GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = Raw::open(&served.server, sent).await.read_to_end().await;
    assert_eq!(answers.matches("HTTP/1.1 429 ").count(), 2, "{answers}");
}

pub(crate) async fn a_shadow_refuses_nobody_and_counts(served: Served) {
    let client = served.client().await;
    assert_eq!(let_in(&client, 8, &[]).await, 8);
    assert_eq!((served.buckets.shadowed(), served.buckets.refused()), (3, 0));
    let told = Fields::of(client.read("/hello").await.unwrap().headers());
    assert_eq!((told.remaining, told.retry_after), (0, None));
}

pub(crate) async fn what_the_handle_does_clients_see(served: Served) {
    let Served { server, buckets, .. } = &served;
    let client = served.client().await;
    let (key, one) = ("127.0.0.1".parse().unwrap(), std::num::NonZeroU32::MIN);
    assert_eq!(let_in(&client, 3, &[]).await, 3);
    assert_eq!((buckets.get(&key).remaining(), buckets.get(&key).limit()), (2, 5));
    assert!(buckets.take(&key, one).allowed());
    assert_eq!(let_in(&client, 3, &[]).await, 1);
    buckets.refund(&key, one.saturating_add(1));
    assert_eq!(let_in(&client, 3, &[]).await, 2);
    buckets.reset(&key);
    assert_eq!(let_in(&client, 6, &[]).await, 5);
    // A quota of its own, in place of what was owed before.
    buckets.reset(&key);
    buckets.set(&key, quota("8/h"), None).unwrap();
    let told = is_refusal(&{
        assert_eq!(let_in(&client, 8, &[]).await, 8);
        client.read("/hello").await.unwrap()
    });
    assert_eq!((told.quota, told.window), (8, 3600));
    // Nobody else's.
    assert_eq!(let_in(&served.client_from(2).await, 6, &[]).await, 5);
    buckets.reset(&key);
    // On a connection that is there, and on a new one.
    buckets.set_quota(quota("2/min"));
    assert_eq!(let_in(&client, 1, &[]).await, 1);
    let other = palisade_testkit::sockets::Client::connect(server, served.version).await;
    assert_eq!(let_in(&other, 2, &[]).await, 1);
    let told = is_refusal(&other.read("/hello").await.unwrap());
    assert_eq!((told.quota, told.window), (2, 60));
    // Closing ends the collector, not the limit.
    buckets.close();
    assert_eq!(let_in(&client, 1, &[]).await, 0);
}

/// Each rejection has an id that leads to it in the log, or its request's own.
pub(crate) async fn each_refusal_has_an_id(served: Served) {
    let client = served.client().await;
    let_in(&client, 5, &[]).await;
    let mut ids = HashSet::new();
    for _ in 0..3 {
        let refused = client.read("/hello").await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(refused.body()).unwrap();
        assert!(ids.insert(problem["instance"].as_str().unwrap().to_owned()));
    }
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let refused = read(&client, hello(&[("traceparent", trace)])).await;
    let problem: serde_json::Value = serde_json::from_slice(refused.body()).unwrap();
    assert_eq!(problem["instance"], "urn:uuid:4bf92f35-77b3-4da6-a3ce-929d0e0e4736");
}

/// Not with a status that a client would take for an answer to another question.
pub(crate) async fn a_cost_that_is_never_allowed_is_another_refusal(served: Served) {
    let client = served.client().await;
    let costly = || Request::post("/upload").body(Empty::new()).unwrap();
    let refused = read(&client, costly()).await;
    super::fields::is_problem(&refused, 400, "cost-over-burst");
    let told = Fields::of(refused.headers());
    assert_eq!((told.remaining, told.more_in, told.retry_after), (5, None, None));
    assert_eq!(let_in(&client, 6, &[]).await, 5);
}
