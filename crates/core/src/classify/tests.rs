//! What is made of every answer. What real servers answer is in the workshop's `tests/classify.rs`.

use std::{io, time::Duration};

use http::{HeaderMap, Request, Response, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::{GrpcCode, Protocol, Reason, Rejection};

const TURNED_AWAY: Reason = Reason::new("turned-away");
const THROTTLED: Outcome = Outcome::Throttled { retry_after: None };

/// What `classifier` makes of an answer to a request of this content type, whose body then ends so.
fn outcome_of<C: Classify<io::Error>>(
    classifier: &C,
    content_type: &str,
    answer: Response<()>,
    end: End<'_>,
) -> Outcome {
    let request = Request::post("/").header("content-type", content_type).body(()).unwrap();
    let call = classifier.request(Head::of(&request));
    match classifier.response(call, &answer.into_parts().0) {
        Verdict::Now(outcome) => outcome,
        Verdict::AtEnd(eos) => eos.end(end),
    }
}

fn answer(status: u16, headers: &[(&'static str, &str)]) -> Response<()> {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer.headers_mut().extend(fields(headers));
    answer
}

fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

const COMPLETE: End<'_> = End::Complete { trailers: None };

/// How a body may end, with trailers that say the opposite.
fn every_end(trailers: &HeaderMap) -> [End<'_>; 4] {
    [COMPLETE, End::Complete { trailers: Some(trailers) }, End::Failed, End::Dropped]
}

#[test]
fn every_http_status_has_its_outcome_at_the_head() {
    let trailers = fields(&[("grpc-status", "14")]);
    for status in 100..1000 {
        let expected = match status {
            100..=399 => Outcome::Success,
            429 => THROTTLED,
            400..=499 | 501 | 505 => Outcome::Ignored,
            _ => Outcome::Failure,
        };
        for end in every_end(&trailers) {
            let http = outcome_of(&HttpClassifier, "text/plain", answer(status, &[]), end);
            let auto = outcome_of(&AutoClassifier, "text/plain", answer(status, &[]), end);
            assert_eq!((http, auto), (expected, expected), "{status} {end:?}");
        }
    }
}

#[test]
fn who_throttles_may_say_for_how_long() {
    let minute = Outcome::Throttled { retry_after: Some(Duration::from_secs(60)) };
    for (status, value, expected) in [
        (429, "60", minute),
        (429, "soon", THROTTLED),
        (503, "60", Outcome::Failure),
        (404, "60", Outcome::Ignored),
        (200, "60", Outcome::Success),
    ] {
        let answer = answer(status, &[("retry-after", value)]);
        let got = outcome_of(&HttpClassifier, "text/plain", answer, COMPLETE);
        assert_eq!(got, expected, "{status} {value}");
    }
}

/// The number in `grpc-status`, and what it says.
const STATUSES: [(&str, Outcome); 26] = [
    ("0", Outcome::Success),
    ("1", Outcome::Ignored),
    ("2", Outcome::Failure),
    ("3", Outcome::Ignored),
    ("4", Outcome::Failure),
    ("5", Outcome::Ignored),
    ("6", Outcome::Ignored),
    ("7", Outcome::Ignored),
    ("8", THROTTLED),
    ("9", Outcome::Ignored),
    ("10", Outcome::Ignored),
    ("11", Outcome::Ignored),
    ("12", Outcome::Ignored),
    ("13", Outcome::Failure),
    ("14", Outcome::Failure),
    ("15", Outcome::Failure),
    ("16", Outcome::Ignored),
    // No codes, which is `UNKNOWN`.
    ("17", Outcome::Failure),
    ("00", Outcome::Failure),
    ("01", Outcome::Failure),
    ("-1", Outcome::Failure),
    ("+1", Outcome::Failure),
    ("256", Outcome::Failure),
    ("OK", Outcome::Failure),
    ("", Outcome::Failure),
    ("0, 0", Outcome::Failure),
];

#[test]
fn every_grpc_status_has_its_outcome_in_the_head_and_in_the_trailers() {
    for (status, expected) in STATUSES {
        let status = [("grpc-status", status)];
        let opposite =
            fields(&[("grpc-status", if expected == Outcome::Success { "14" } else { "0" })]);
        for kind in ["application/grpc", "application/grpc+json", "application/grpc-web"] {
            for end in every_end(&opposite) {
                for http in [200, 503] {
                    let got = outcome_of(&AutoClassifier, kind, answer(http, &status), end);
                    assert_eq!(got, expected, "{status:?} in the head, {http}, {kind}, {end:?}");
                }
            }
            let trailers = fields(&status);
            let end = End::Complete { trailers: Some(&trailers) };
            let got = outcome_of(&AutoClassifier, kind, answer(200, &[]), end);
            assert_eq!(got, expected, "{status:?} in the trailers, {kind}");
        }
        // It is no gRPC request, or nobody asked what it is.
        let got = outcome_of(&AutoClassifier, "text/plain", answer(200, &status), COMPLETE);
        assert_eq!(got, Outcome::Success);
        let got = outcome_of(&GrpcClassifier, "text/plain", answer(200, &status), COMPLETE);
        assert_eq!(got, expected);
    }
}

#[test]
fn without_a_grpc_status_the_end_of_the_body_decides() {
    let empty = HeaderMap::new();
    for (kind, end, expected) in [
        ("application/grpc", COMPLETE, Outcome::Failure),
        ("application/grpc", End::Complete { trailers: Some(&empty) }, Outcome::Failure),
        ("application/grpc", End::Failed, Outcome::Failure),
        ("application/grpc", End::Dropped, Outcome::Ignored),
        // The status is inside the body.
        ("application/grpc-web", COMPLETE, Outcome::Success),
        ("application/grpc-web-text", COMPLETE, Outcome::Success),
        ("application/grpc-web", End::Complete { trailers: Some(&empty) }, Outcome::Success),
        ("application/grpc-web", End::Failed, Outcome::Failure),
        ("application/grpc-web", End::Dropped, Outcome::Ignored),
    ] {
        for got in [
            outcome_of(&GrpcClassifier, kind, answer(200, &[]), end),
            outcome_of(&AutoClassifier, kind, answer(200, &[]), end),
        ] {
            assert_eq!(got, expected, "{kind} {end:?}");
        }
    }
}

/// <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>
#[test]
fn what_a_proxy_answers_to_a_grpc_call_is_what_grpc_says_it_is() {
    for status in 100..1000 {
        let code = match status {
            200 => None,
            400 | 431 => Some(GrpcCode::Internal),
            401 => Some(GrpcCode::Unauthenticated),
            403 => Some(GrpcCode::PermissionDenied),
            404 => Some(GrpcCode::Unimplemented),
            429 | 502 | 503 | 504 => Some(GrpcCode::Unavailable),
            _ => Some(GrpcCode::Unknown),
        };
        assert_eq!(GrpcCode::from_answer(StatusCode::from_u16(status).unwrap()), code);
        let expected = match status {
            200 | 401 | 403 | 404 => Outcome::Ignored,
            _ => Outcome::Failure,
        };
        let got =
            outcome_of(&GrpcClassifier, "application/grpc", answer(status, &[]), End::Dropped);
        assert_eq!(got, expected, "{status}");
    }
}

#[test]
fn pushback_is_read_where_the_status_is() {
    let second = Outcome::Throttled { retry_after: Some(Duration::from_secs(1)) };
    let pushed = [("grpc-status", "8"), ("grpc-retry-pushback-ms", "1000")];
    let never = [("grpc-status", "8"), ("grpc-retry-pushback-ms", "-1")];
    for (fields_of, expected) in [(pushed, second), (never, THROTTLED)] {
        let trailers = fields(&fields_of);
        let end = End::Complete { trailers: Some(&trailers) };
        for got in [
            outcome_of(&GrpcClassifier, "application/grpc", answer(200, &fields_of), COMPLETE),
            outcome_of(&GrpcClassifier, "application/grpc", answer(200, &[]), end),
        ] {
            assert_eq!(got, expected);
        }
    }
}

fn refusal(protocol: Protocol, status: StatusCode, sent: Sent) -> Response<()> {
    Rejection::new(TURNED_AWAY, status).with_sent(sent).respond(protocol).map(drop)
}

#[test]
fn a_refusal_of_ours_comes_before_everything_else() {
    fn check<C: Classify<io::Error>>(classifier: &C, kind: &str, protocol: Protocol) {
        let busy = StatusCode::TOO_MANY_REQUESTS;
        for (status, sent, expected) in [
            (StatusCode::BAD_GATEWAY, Sent::No, Outcome::Ignored),
            (busy, Sent::No, Outcome::Ignored),
            (StatusCode::GATEWAY_TIMEOUT, Sent::Maybe, Outcome::Failure),
            (busy, Sent::Maybe, Outcome::Failure),
            (StatusCode::SERVICE_UNAVAILABLE, Sent::Yes, Outcome::Failure),
            (busy, Sent::Yes, THROTTLED),
            (StatusCode::NOT_FOUND, Sent::Yes, Outcome::Ignored),
        ] {
            let got = outcome_of(classifier, kind, refusal(protocol, status, sent), COMPLETE);
            assert_eq!(got, expected, "{kind} {status} {sent:?}");
        }
    }
    check(&HttpClassifier, "text/plain", Protocol::Http);
    check(&AutoClassifier, "text/plain", Protocol::Http);
    check(&GrpcClassifier, "application/grpc", Protocol::Grpc);
    check(&AutoClassifier, "application/grpc", Protocol::Grpc);
    check(&AutoClassifier, "application/grpc-web", Protocol::GrpcWeb);
}

/// As layers take their classifier.
struct Layer<C = AutoClassifier> {
    classifier: C,
}

impl Layer {
    fn new() -> Self {
        Self { classifier: AutoClassifier }
    }
}

impl<C> Layer<C> {
    fn with_classifier<D>(self, classifier: D) -> Layer<D> {
        let Self { .. } = self;
        Layer { classifier }
    }
}

#[test]
fn a_closure_written_where_it_is_given_is_a_classifier() {
    let layer = Layer::new().with_classifier(|result: Result<&Parts, &io::Error>| match result {
        Ok(parts) if parts.status == StatusCode::IM_A_TEAPOT => Outcome::Failure,
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::Ignored,
    });
    let of = |answer| outcome_of(&layer.classifier, "text/plain", answer, End::Failed);
    assert_eq!(of(answer(418, &[])), Outcome::Failure);
    assert_eq!(of(answer(500, &[])), Outcome::Success);
    assert_eq!(layer.classifier.error(&io::ErrorKind::Other.into()), Outcome::Ignored);
    // It does not get to see what our own layers refused.
    let refused = |sent| of(refusal(Protocol::Http, StatusCode::BAD_GATEWAY, sent));
    assert_eq!(refused(Sent::No), Outcome::Ignored);
    assert_eq!(refused(Sent::Maybe), Outcome::Failure);
    assert_eq!(refused(Sent::Yes), Outcome::Success);
}

#[test]
fn a_function_and_a_type_of_ones_own_are_classifiers() {
    fn all_well(_: Result<&Parts, &io::Error>) -> Outcome {
        Outcome::Success
    }
    struct Grumpy;
    impl<E> Classify<E> for Grumpy {
        type Call = ();
        type Eos = Infallible;
        fn request(&self, _: Head<'_>) {}
        fn response(&self, (): (), _: &Parts) -> Verdict<Infallible> {
            Verdict::Now(Outcome::Failure)
        }
        fn error(&self, _: &E) -> Outcome {
            Outcome::Failure
        }
    }
    let layer: Layer<fn(Result<&Parts, &io::Error>) -> Outcome> =
        Layer::new().with_classifier(all_well);
    let got = outcome_of(&layer.classifier, "text/plain", answer(500, &[]), COMPLETE);
    assert_eq!(got, Outcome::Success);
    let got = outcome_of(&Grumpy, "text/plain", answer(200, &[]), COMPLETE);
    assert_eq!(got, Outcome::Failure);
}

#[test]
fn with_sent_overrides_what_is_thought_of_errors() {
    struct Homemade {
        sent: Sent,
    }
    let classifier = AutoClassifier::new().with_sent(|error: &Homemade| error.sent);
    let error = |sent| classifier.error(&Homemade { sent });
    assert_eq!(error(Sent::No), Outcome::NotSent);
    assert_eq!(error(Sent::Maybe), Outcome::Failure);
    assert_eq!(error(Sent::Yes), Outcome::Failure);

    let doubtful: WithSent<HttpClassifier, fn(&io::Error) -> Sent> =
        HttpClassifier::new().with_sent(|_| Sent::Maybe);
    assert_eq!(doubtful.error(&io::ErrorKind::ConnectionRefused.into()), Outcome::Failure);
    let got = outcome_of(&doubtful, "text/plain", answer(404, &[]), COMPLETE);
    assert_eq!(got, Outcome::Ignored, "it still judges answers");
}

proptest! {
    #[test]
    fn no_answer_makes_a_classifier_panic(
        status in 100..1000_u16,
        grpc_status in proptest::collection::vec(32..127_u8, 0..4),
        hint in proptest::collection::vec(32..127_u8, 0..40),
    ) {
        let mut answer = answer(status, &[]);
        for (name, value) in
            [("grpc-status", &grpc_status), ("retry-after", &hint), ("grpc-retry-pushback-ms", &hint)]
        {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            answer.headers_mut().insert(name, value);
        }
        let trailers = answer.headers().clone();
        for kind in ["text/plain", "application/grpc"] {
            for end in every_end(&trailers) {
                outcome_of(&AutoClassifier, kind, answer.clone(), end);
                let mut head = Response::new(());
                *head.status_mut() = answer.status();
                outcome_of(&AutoClassifier, kind, head, end);
            }
        }
    }
}
