#![allow(clippy::unwrap_used, reason = "a test")]

use std::{io, time::Duration};

use http::{Request, Response};
use palisade_core::BoxError;

use super::*;

const JUDGE: &TransientClassifier = &TransientClassifier;

fn head(
    content_type: &str,
    status: u16,
    headers: &[(&'static str, &str)],
) -> Verdict<TransientEnd> {
    let request = Request::post("/").header("content-type", content_type).body(()).unwrap();
    let mut response = Response::builder().status(status);
    for &(name, value) in headers {
        response = response.header(name, value);
    }
    let (parts, ()) = response.body(()).unwrap().into_parts();
    let call = Classify::<BoxError>::request(JUDGE, Head::of(&request));
    Classify::<BoxError>::response(JUDGE, call, &parts)
}

#[test]
fn over_http_four_statuses_are_worth_another_attempt() {
    for status in 100..=599 {
        let expected = match status {
            502..=504 => Outcome::Failure,
            429 => Outcome::Throttled { retry_after: None },
            100..=399 => Outcome::Success,
            _ => Outcome::Ignored,
        };
        assert_eq!(head("application/json", status, &[]), Verdict::Now(expected), "{status}");
    }
}

#[test]
fn over_grpc_unavailable_is_and_resource_exhausted_where_the_service_says_when() {
    let pushed = Outcome::Throttled { retry_after: Some(Duration::from_millis(20)) };
    for code in 0..=16 {
        let expected = match code {
            0 => Outcome::Success,
            14 => Outcome::Failure,
            _ => Outcome::Ignored,
        };
        let code_text = code.to_string();
        let told = head("application/grpc", 200, &[("grpc-status", &code_text)]);
        assert_eq!(told, Verdict::Now(expected), "{code}");
        for (pushback, then) in
            [("20", pushed), ("-1", Outcome::Failure), ("soon", Outcome::Failure)]
        {
            let expected = if code == 8 { then } else { expected };
            let headers = [("grpc-status", &*code_text), ("grpc-retry-pushback-ms", pushback)];
            let told = head("application/grpc", 200, &headers);
            assert_eq!(told, Verdict::Now(expected), "{code} {pushback}");
        }
    }
}

#[test]
fn a_proxy_that_speaks_no_grpc_is_understood() {
    for (status, expected) in [
        (429, Outcome::Failure),
        (503, Outcome::Failure),
        (500, Outcome::Ignored),
        (404, Outcome::Ignored),
    ] {
        assert_eq!(head("application/grpc", status, &[]), Verdict::Now(expected), "{status}");
    }
}

#[test]
fn a_status_in_the_trailers_decides() {
    let Verdict::AtEnd(end) = head("application/grpc", 200, &[]) else { panic!("it is not over") };
    for (code, expected) in
        [("0", Outcome::Success), ("14", Outcome::Failure), ("13", Outcome::Ignored)]
    {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.parse().unwrap());
        assert_eq!(end.end(End::Complete { trailers: Some(&trailers) }), expected, "{code}");
    }
    assert_eq!(end.end(End::Complete { trailers: Some(&HeaderMap::new()) }), Outcome::Ignored);
    assert_eq!(end.end(End::Complete { trailers: None }), Outcome::Ignored);
    assert_eq!(end.end(End::Failed), Outcome::Failure);
    assert_eq!(end.end(End::Dropped), Outcome::Ignored);
}

#[test]
fn errors_are_proof_or_failures() {
    let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    assert_eq!(JUDGE.error(&refused()), Outcome::NotSent);
    assert_eq!(JUDGE.error(&BoxError::from(refused())), Outcome::NotSent);
    assert_eq!(JUDGE.error(&reset()), Outcome::Failure);
    let sent = TransientClassifier::new().with_sent(|_: &io::Error| Sent::No);
    assert_eq!(sent.error(&reset()), Outcome::NotSent);
}

/// As a layer makes it that turns refusals into errors.
#[test]
fn a_refusal_that_was_made_an_error_is_what_it_was() {
    for (sent, status, expected) in [
        (Sent::No, StatusCode::SERVICE_UNAVAILABLE, Outcome::NotSent),
        (Sent::No, StatusCode::BAD_REQUEST, Outcome::Ignored),
        (Sent::Maybe, StatusCode::GATEWAY_TIMEOUT, Outcome::Failure),
    ] {
        let rejection =
            || Rejection::new(palisade_core::Reason::new("test"), status).with_sent(sent);
        assert_eq!(JUDGE.error(&rejection()), expected, "{sent:?}");
        assert_eq!(JUDGE.error(&BoxError::from(rejection())), expected, "{sent:?}");
    }
}
