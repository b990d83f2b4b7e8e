//! Several windows: five an hour, and six a day.

use bytes::Bytes;
use http::Response;
use palisade::limit_rate::{LimitRateLayer, RateLimitHeaders};
use serde_json::Value;

use super::{
    Served,
    fields::{is_problem, windows},
    quota,
};

/// The layer, whose quota is by the hour, with a day's window besides.
pub(crate) fn two_windows<K>(layer: LimitRateLayer<K>) -> LimitRateLayer<K> {
    let layer = layer.with_name("hour").with_quota("day", quota("6/d"));
    layer.with_headers(RateLimitHeaders::Draft)
}

fn left(answer: &Response<Bytes>) -> Vec<(String, i64)> {
    windows(answer.headers(), "ratelimit", "r")
}

/// By these, and it tells of all.
fn is_refused_by(answer: &Response<Bytes>, by: &[&str]) {
    is_problem(answer, 429, "quota-exceeded");
    let problem: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(problem["violated-policies"], Value::from(by));
    is_told_of_all(answer);
}

fn is_told_of_all(answer: &Response<Bytes>) {
    let told = |parameter| windows(answer.headers(), "ratelimit-policy", parameter);
    assert_eq!(told("q"), [("hour".to_owned(), 5), ("day".to_owned(), 6)]);
    assert_eq!(told("w"), [("hour".to_owned(), 3600), ("day".to_owned(), 86_400)]);
}

fn both(first: (&str, i64), second: (&str, i64)) -> [(String, i64); 2] {
    [first, second].map(|(name, left)| (name.to_owned(), left))
}

pub(crate) async fn each_window_counts_and_the_binding_one_is_told_first(served: Served) {
    let client = served.client().await;
    for asked in 1..=5 {
        let answer = client.read("/hello").await.unwrap();
        assert_eq!(answer.status(), 200);
        is_told_of_all(&answer);
        assert_eq!(left(&answer), both(("hour", 5 - asked), ("day", 6 - asked)));
    }
    let refused = client.read("/hello").await.unwrap();
    is_refused_by(&refused, &["hour"]);
    assert_eq!(left(&refused), both(("hour", 0), ("day", 1)));
    // As if an hour had passed.
    served.buckets.reset(&"127.0.0.1".parse().unwrap());
    let last = client.read("/hello").await.unwrap();
    assert_eq!((last.status().as_u16(), left(&last)), (200, both(("day", 0), ("hour", 4)).into()));
    let refused = client.read("/hello").await.unwrap();
    is_refused_by(&refused, &["day"]);
    assert_eq!(left(&refused), both(("day", 0), ("hour", 4)));
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((4 * 3600 - 60..=4 * 3600).contains(&wait), "{wait}");
}

/// From as many connections as they like, all at once.
pub(crate) async fn who_is_refused_by_one_window_is_charged_by_none(served: Served) {
    let clients = futures_util::future::join_all((0..4).map(|_| served.client())).await;
    let calls = (0..40).map(|call| clients[call % 4].read("/hello"));
    let answers = futures_util::future::join_all(calls).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let (let_in, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status() == 200);
    assert_eq!((let_in.len(), refused.len()), (5, 35));
    for answer in refused {
        is_refused_by(answer, &["hour"]);
    }
    let (key, day) = ("127.0.0.1".parse().unwrap(), served.buckets.window("day").unwrap());
    assert_eq!(day.get(&key).remaining(), 1);
    assert_eq!(served.buckets.refused(), 35);
    assert_eq!(served.buckets.offender(&key).unwrap().id(), served.buckets.offenders()[0].id());
}

pub(crate) async fn the_operator_acts_on_a_window_by_its_name(served: Served) {
    let client = served.client().await;
    let (key, day) = ("127.0.0.1".parse().unwrap(), served.buckets.window("day").unwrap());
    day.set(&key, quota("1/d"), None).unwrap();
    let statuses = async |expected: [u16; 2]| {
        for expected in expected {
            assert_eq!(client.read("/hello").await.unwrap().status(), expected);
        }
    };
    statuses([200, 429]).await;
    day.reset(&key);
    day.set_quota(quota("2/d"));
    statuses([200, 200]).await;
    statuses([429, 429]).await;
    // Of the hour three were taken.
    assert_eq!(served.buckets.get(&key).remaining(), 2);
}
