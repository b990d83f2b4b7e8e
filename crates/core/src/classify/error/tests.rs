//! Errors that can be made. Those that only a server can cause are in the workshop's
//! `tests/classify.rs`.

use std::{convert::Infallible, fmt, io::ErrorKind};

use http::StatusCode;

use super::*;
use crate::{AutoClassifier, Classify, Reason, Sent};

/// An error that nobody knows, with a cause.
#[derive(Debug)]
struct Wrapped(BoxError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it did not work")
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// The same, and the cause is itself.
#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it did not work because it did not work")
    }
}

impl Error for Endless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

fn wrapped(error: impl Into<BoxError>) -> BoxError {
    Wrapped(error.into()).into()
}

#[allow(clippy::needless_pass_by_value, reason = "errors are made where they are judged")]
fn outcome<E: 'static>(error: E) -> Outcome {
    AutoClassifier.error(&error)
}

#[test]
fn only_a_refused_connection_proves_that_nothing_was_sent() {
    use ErrorKind::{
        AddrInUse, AddrNotAvailable, BrokenPipe, ConnectionAborted, ConnectionRefused,
        ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, NotConnected, NotFound,
        Other, TimedOut, UnexpectedEof,
    };
    for kind in [
        AddrInUse,
        AddrNotAvailable,
        BrokenPipe,
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        HostUnreachable,
        Interrupted,
        NetworkUnreachable,
        NotConnected,
        NotFound,
        Other,
        TimedOut,
        UnexpectedEof,
    ] {
        let refused = kind == ConnectionRefused;
        let expected = if refused { Outcome::NotSent } else { Outcome::Failure };
        let error = || io::Error::from(kind);
        assert_eq!(outcome(error()), expected, "{kind:?}");
        assert_eq!(outcome(BoxError::from(error())), expected, "{kind:?} in a box");
        assert_eq!(outcome(wrapped(wrapped(error()))), expected, "{kind:?} as a cause");
        let within = io::Error::other(wrapped(error()));
        assert_eq!(outcome(within), expected, "{kind:?} within an io::Error");
        let within = io::Error::other(io::Error::other(error()));
        assert_eq!(outcome(within), expected, "{kind:?} within two");
    }
}

#[test]
fn an_error_of_an_unknown_type_is_a_failure_whatever_its_cause() {
    let error = Wrapped(io::Error::from(ErrorKind::ConnectionRefused).into());
    assert_eq!(Outcome::of_error(&error), Outcome::NotSent, "unless it is asked for as an error");
    assert_eq!(outcome(error), Outcome::Failure);
    assert_eq!(outcome("no error at all"), Outcome::Failure);
    assert_eq!(outcome(BoxError::from("words")), Outcome::Failure);
}

#[test]
fn any_error_will_do() {
    fn classifies<E>(_: impl Classify<E>) {}
    classifies::<Infallible>(AutoClassifier);
    classifies::<fmt::Error>(AutoClassifier);
    classifies::<Box<dyn Error>>(AutoClassifier);
}

#[test]
fn an_error_that_is_its_own_cause_comes_to_an_end() {
    assert_eq!(outcome(BoxError::from(Endless)), Outcome::Failure);
}

#[test]
fn a_refusal_made_an_error_says_what_it_said_as_an_answer() {
    const CLOSED: Reason = Reason::new("closed");
    let minute = std::time::Duration::from_secs(60);
    let refused =
        |status, sent| Rejection::new(CLOSED, status).with_retry_after(minute).with_sent(sent);
    let (busy, gone) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE);
    for (rejection, expected) in [
        (refused(busy, Sent::No), Outcome::Ignored),
        (refused(gone, Sent::No), Outcome::Ignored),
        (refused(gone, Sent::Maybe), Outcome::Failure),
        (refused(busy, Sent::Yes), Outcome::Throttled { retry_after: Some(minute) }),
        (refused(gone, Sent::Yes), Outcome::Failure),
        // What led there is another story.
        (
            refused(gone, Sent::No).with_source(io::Error::from(ErrorKind::ConnectionRefused)),
            Outcome::Ignored,
        ),
    ] {
        assert_eq!(outcome(rejection.clone()), expected, "{rejection:?}");
        assert_eq!(outcome(wrapped(rejection)), expected);
    }
}

#[cfg(feature = "h2")]
#[test]
fn an_http2_error_that_no_server_sent_proves_nothing() {
    for reason in [::h2::Reason::REFUSED_STREAM, ::h2::Reason::NO_ERROR, ::h2::Reason::CANCEL] {
        assert_eq!(outcome(::h2::Error::from(reason)), Outcome::Failure);
        assert_eq!(outcome(wrapped(::h2::Error::from(reason))), Outcome::Failure);
    }
}

#[cfg(feature = "tonic")]
mod tonic_errors {
    use tonic_lean::{Code, ConnectError, Status, TimeoutExpired, metadata::MetadataMap};

    use super::*;

    const THROTTLED: Outcome = Outcome::Throttled { retry_after: None };

    #[test]
    fn a_status_is_judged_by_its_code() {
        for number in 0..=16 {
            let status = || Status::new(Code::from(number), "as asked");
            let expected = match number {
                0 => Outcome::Success,
                2 | 4 | 13 | 14 | 15 => Outcome::Failure,
                8 => THROTTLED,
                _ => Outcome::Ignored,
            };
            assert_eq!(outcome(status()), expected, "{:?}", status().code());
            assert_eq!(outcome(wrapped(status())), expected, "{:?}", status().code());
        }
    }

    #[test]
    fn the_pushback_of_a_status_is_read() {
        let mut metadata = MetadataMap::new();
        metadata.insert("grpc-retry-pushback-ms", "250".parse().unwrap());
        let status = Status::with_metadata(Code::ResourceExhausted, "busy", metadata);
        let retry_after = Some(std::time::Duration::from_millis(250));
        assert_eq!(outcome(status), Outcome::Throttled { retry_after });
    }

    #[test]
    fn a_connection_that_was_never_made_is_a_proof_also_below_a_status() {
        let connect = || ConnectError("no route".into());
        assert_eq!(outcome(BoxError::from(connect())), Outcome::NotSent);
        assert_eq!(outcome(wrapped(connect())), Outcome::NotSent);
        let status = Status::from_error(wrapped(connect()));
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(outcome(status), Outcome::NotSent);
    }

    #[test]
    fn cancelled_counts_as_ignored_only_if_the_service_said_so() {
        let said = Status::from_error(wrapped(Status::cancelled("the caller left")));
        assert_eq!((said.code(), outcome(said)), (Code::Cancelled, Outcome::Ignored));
        let expired = Status::from_error(TimeoutExpired(()).into());
        assert_eq!((expired.code(), outcome(expired)), (Code::Cancelled, Outcome::Failure));
    }
}
