use proptest::prelude::*;

use super::*;
use crate::model::{Level, quotas};

#[allow(clippy::disallowed_methods, reason = "the machine is given its times")]
fn start() -> Instant {
    Instant::now()
}

fn n(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_full_bucket_gives_its_burst_and_then_one_for_each_that_flows_in() {
    let (quota, now) = (Quota::per_second(n(10)).with_burst(n(3)), start());
    let mut bucket = Bucket::full();
    for left in [2, 1, 0] {
        let decision = bucket.take(quota, n(1), now);
        assert!(decision.allowed());
        assert_eq!((decision.remaining(), decision.retry_after()), (left, None));
    }
    let refused = bucket.take(quota, n(1), now);
    assert!(!refused.allowed() && !refused.is_never());
    assert_eq!(refused.retry_after(), Some(SECOND / 10));
    assert_eq!(refused.reset_after(), 3 * SECOND / 10);
    for tenth in 1..50 {
        let now = now + tenth * SECOND / 10;
        assert!(bucket.take(quota, n(1), now).allowed());
        assert!(!bucket.take(quota, n(1), now).allowed());
    }
}

#[test]
fn with_a_burst_of_one_requests_keep_their_distance() {
    let (quota, now) = (Quota::per_second(n(4)).with_burst(n(1)), start());
    let mut bucket = Bucket::full();
    for quarter in 0..20 {
        let now = now + quarter * SECOND / 4;
        assert!(bucket.take(quota, n(1), now).allowed());
        let refused = bucket.take(quota, n(1), now + Duration::from_nanos(249_999_999));
        assert_eq!(refused.retry_after(), Some(Duration::from_nanos(1)));
    }
}

#[test]
fn a_cost_over_the_burst_is_never_allowed_and_takes_nothing() {
    let (quota, now) = (Quota::per_second(n(10)), start());
    let mut bucket = Bucket::full();
    for now in [now, now + 1000 * SECOND] {
        let refused = bucket.take(quota, n(11), now);
        assert!(refused.is_never() && !refused.allowed());
        assert_eq!((refused.retry_after(), refused.remaining()), (None, 10));
    }
    assert!(bucket.take(quota, n(10), now).allowed());
}

#[test]
fn a_clock_that_stands_still_gives_the_burst_once() {
    let (quota, now) = (Quota::per_second(n(1000)), start());
    let mut bucket = Bucket::full();
    assert_eq!((0..5000).filter(|_| bucket.take(quota, n(1), now).allowed()).count(), 1000);
}

#[test]
fn what_is_given_back_never_exceeds_the_burst() {
    let (quota, now) = (Quota::per_second(n(10)), start());
    let mut bucket = Bucket::full();
    bucket.refund(quota, n(5), now);
    assert_eq!(bucket.get(quota, now).remaining(), 10);
    assert!(bucket.take(quota, n(7), now).allowed());
    bucket.refund(quota, n(2), now);
    assert_eq!(bucket.get(quota, now).remaining(), 5);
    bucket.refund(quota, NonZeroU32::MAX, now);
    assert_eq!(bucket.get(quota, now).remaining(), 10);
    assert_eq!(bucket.get(quota, now).reset_after(), Duration::ZERO);
}

#[test]
fn another_quota_keeps_the_debt_in_time() {
    let now = start();
    let mut bucket = Bucket::full();
    assert!(bucket.take(Quota::per_second(n(10)), n(10), now).allowed());
    // A second of debt is two tokens of two a second, and one of sixty a minute.
    assert_eq!(bucket.get(Quota::per_second(n(2)).with_burst(n(8)), now).remaining(), 6);
    assert_eq!(bucket.get(Quota::per_minute(n(60)), now).remaining(), 59);
    let refused = bucket.take(Quota::per_second(n(10)).with_burst(n(1)), n(1), now);
    assert_eq!((refused.remaining(), refused.retry_after()), (0, Some(SECOND)));
    assert_eq!(refused.more_after(), SECOND);
}

#[test]
fn the_longest_quotas_do_not_overflow() {
    let year = Duration::from_secs(366 * 86_400);
    let mut now = start();
    for quota in [
        Quota::new(n(1), year).with_burst(n(36)),
        Quota::new(NonZeroU32::MAX, year),
        Quota::per_second(NonZeroU32::MAX),
    ] {
        let mut bucket = Bucket::full();
        assert!(bucket.take(quota, quota.burst(), now).allowed());
        let wait = bucket.take(quota, quota.burst(), now).retry_after().unwrap();
        assert_eq!(wait, bucket.get(quota, now).reset_after());
        now += wait;
        assert!(bucket.take(quota, quota.burst(), now).allowed());
    }
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Take(NonZeroU32),
    Charge(NonZeroU32),
    Refund(NonZeroU32),
}

proptest! {
    /// The model counts tokens instead of time.
    #[test]
    fn decides_and_tells_exactly_like_a_bucket_of_tokens(
        (quota, events) in quotas().prop_flat_map(|quota| {
            let token = quota.token_nanos();
            let cost = 1..=quota.burst().get().saturating_add(2).min(50);
            let event = prop_oneof![
                2 => (0..=3 * token).prop_map(Event::Pass),
                1 => (0..=2_u64).prop_map(move |tokens| Event::Pass(tokens * token)),
                1 => Just(Event::Pass(0)),
                5 => cost.clone().prop_map(|cost| Event::Take(n(cost))),
                1 => Just(Event::Take(quota.burst())),
                1 => cost.clone().prop_map(|cost| Event::Charge(n(cost))),
                1 => cost.prop_map(|cost| Event::Refund(n(cost))),
            ];
            (Just(quota), proptest::collection::vec(event, 0..100))
        }),
    ) {
        let (mut now, mut bucket, mut level) = (start(), Bucket::full(), Level::full(quota));
        for event in events {
            match event {
                Event::Pass(nanos) => {
                    now += Duration::from_nanos(nanos);
                    level.pass(nanos);
                }
                Event::Take(cost) => {
                    let decision = bucket.take(quota, cost, now);
                    level.take(cost, &decision)?;
                }
                Event::Charge(cost) => {
                    let decision = bucket.charge(quota, cost, now);
                    level.charge_anyway(cost, &decision)?;
                }
                Event::Refund(cost) => {
                    bucket.refund(quota, cost, now);
                    level.refund(cost);
                }
            }
            level.is_told_by(&bucket.get(quota, now))?;
        }
    }

    /// Over whatever time the clock wandered through, once or often, tokens flow in once.
    #[test]
    fn a_clock_that_jumps_never_gives_more(
        quota in quotas(),
        steps in proptest::collection::vec((-5_i64..=5, any::<bool>()), 0..100),
    ) {
        let (mut bucket, base) = (Bucket::full(), start() + Duration::from_nanos(LONGEST_FILL));
        let token = i64::try_from(quota.token_nanos()).unwrap();
        let (mut at, mut earliest, mut latest, mut given) = (0, i64::MAX, i64::MIN, 0);
        for (step, half) in steps {
            at += step * token / if half { 2 } else { 1 };
            (earliest, latest) = (earliest.min(at), latest.max(at));
            let away = Duration::from_nanos(at.unsigned_abs());
            let now = if at < 0 { base.checked_sub(away) } else { base.checked_add(away) };
            let now = now.expect("not that far");
            given += i64::from(bucket.take(quota, NonZeroU32::MIN, now).allowed());
            let flowed_in = (latest - earliest) / token;
            prop_assert!(given <= i64::from(quota.burst().get()) + flowed_in);
        }
    }
}
