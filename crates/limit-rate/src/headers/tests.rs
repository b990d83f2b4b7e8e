use std::{num::NonZeroU32, time::Instant};

use proptest::prelude::*;

use super::*;
use crate::{Bucket, model::quotas};

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

#[allow(clippy::disallowed_methods, reason = "buckets are given their times")]
fn start() -> Instant {
    Instant::now()
}

fn policy(quota: &str) -> HeaderValue {
    RateLimitHeaders::policy([("default", quota.parse().expect("a quota"))])
}

#[test]
fn a_policy_is_told_in_whole_seconds_at_the_same_rate() {
    for (quota, told) in [
        ("100/min", "q=100;w=60"),
        ("5000/h burst 200", "q=5000;w=3600"),
        ("1/366d", "q=1;w=31622400"),
        ("3/250ms", "q=12;w=1"),
        ("3/1500ms", "q=4;w=2"),
        ("1/1001ms", "q=1;w=2"),
        ("4294967295/ms", "q=4294967295000;w=1"),
    ] {
        assert_eq!(policy(quota), format!("\"default\";{told}"), "{quota}");
    }
}

#[test]
fn names_are_quoted_and_what_no_field_can_hold_is_left_out() {
    let told = RateLimitHeaders::policy([("a \"b\" \\ ü\r\n", Quota::per_second(n(5)))]);
    assert_eq!(told, r#""a \"b\" \\ ";q=5;w=1"#);
    assert_eq!(RateLimitHeaders::policy([]), "");
}

#[test]
fn what_is_left_is_told_with_when_there_is_more() {
    let (quota, now, mut bucket) = ("4/min".parse().unwrap(), start(), Bucket::full());
    let told = |decision| RateLimitHeaders::limit([("default", decision)]);
    assert_eq!(told(bucket.get(quota, now)), r#""default";r=4"#);
    assert_eq!(told(bucket.take(quota, n(2), now)), r#""default";r=2;t=15"#);
    assert_eq!(told(bucket.take(quota, n(5), now)), r#""default";r=2"#);
    assert_eq!(told(bucket.take(quota, n(4), now)), r#""default";r=2;t=30"#);
    assert_eq!(told(bucket.take(quota, n(2), now)), r#""default";r=0;t=15"#);
    let later = now + Duration::from_millis(14_001);
    assert_eq!(told(bucket.take(quota, n(1), later)), r#""default";r=0;t=1"#);
}

#[test]
fn windows_are_a_list() {
    let mut bucket = Bucket::full();
    let decision = bucket.take(Quota::per_second(n(2)), n(1), start());
    let told = RateLimitHeaders::limit([("a", decision), ("b", decision)]);
    assert_eq!(told, r#""a";r=1;t=1, "b";r=1;t=1"#);
}

proptest! {
    #[test]
    fn whoever_waits_as_told_is_allowed(quota in quotas(), cost in 1..5_u32) {
        let (now, cost, mut bucket) = (start(), n(cost), Bucket::full());
        while bucket.take(quota, quota.burst(), now).allowed() {}
        let refused = bucket.take(quota, cost, now);
        prop_assume!(!refused.is_never());
        let told = RateLimitHeaders::limit([("", refused)]);
        let (_, seconds) = told.to_str().unwrap().split_once(";t=").unwrap();
        prop_assert!(seconds.len() <= 15);
        let later = now + Duration::from_secs(seconds.parse().unwrap());
        prop_assert!(bucket.take(quota, cost, later).allowed());
    }
}
