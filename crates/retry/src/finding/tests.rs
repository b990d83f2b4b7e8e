use std::time::Duration;

use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use palisade_core::Reason;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const AFTER_SEVEN: Option<RetryHint> = Some(RetryHint::After(Duration::from_secs(7)));

fn headers() -> HeaderMap {
    HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from(7))])
}

#[test]
fn what_the_service_asks_for_is_read_of_what_may_be_tried_again() {
    let of = |outcome| Finding::new(outcome, &headers(), Protocol::Http).hint;
    assert_eq!(of(Outcome::Failure), AFTER_SEVEN);
    assert_eq!(of(Outcome::Throttled { retry_after: None }), AFTER_SEVEN);
    assert_eq!(of(Outcome::Success), None);
    assert_eq!(of(Outcome::Ignored), None);
}

#[test]
fn of_two_hints_the_later_holds_and_none_at_all_before_either() {
    let throttled = |seconds| Outcome::Throttled { retry_after: Some(seconds * SECOND) };
    let of = |outcome| Finding::new(outcome, &headers(), Protocol::Grpc).hint;
    assert_eq!(of(throttled(2)), AFTER_SEVEN);
    assert_eq!(of(throttled(9)), Some(RetryHint::After(9 * SECOND)));
    let mut never = headers();
    never.insert("grpc-retry-pushback-ms", HeaderValue::from_static("-1"));
    assert_eq!(Finding::new(throttled(9), &never, Protocol::Grpc).hint, Some(RetryHint::Never));
}

#[test]
fn a_refusal_by_a_layer_inside_may_be_tried_again_if_it_can_change() {
    let of = |status, sent| {
        let rejection = Rejection::new(Reason::new("test"), status).with_sent(sent);
        Finding::of_rejection(&rejection.with_retry_after(SECOND)).map(|finding| finding.outcome)
    };
    for status in
        [429, 502, 503, 504].map(|status| StatusCode::from_u16(status).unwrap_or_default())
    {
        assert_eq!(of(status, Sent::No), Some(Outcome::NotSent), "{status}");
    }
    for status in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::REQUEST_TIMEOUT] {
        assert_eq!(of(status, Sent::No), Some(Outcome::Ignored), "{status}");
    }
    assert_eq!(of(StatusCode::GATEWAY_TIMEOUT, Sent::Maybe), Some(Outcome::Failure));
    assert_eq!(of(StatusCode::SERVICE_UNAVAILABLE, Sent::Yes), None);
}
