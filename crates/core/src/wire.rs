//! How a rejection looks on the wire.

use std::{
    fmt::{self, Write},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::{Protocol, Reason, Rejection, details, hint::PUSHBACK};

pub(crate) fn response(rejection: &Rejection, protocol: Protocol) -> Response<Bytes> {
    match protocol {
        Protocol::Http => problem(rejection),
        Protocol::HttpHead => {
            let mut response = problem(rejection);
            // RFC 9110 §8.6: what the length would have been, since a server that sees the empty
            // body would say 0.
            let length = HeaderValue::from(response.body().len());
            response.headers_mut().insert(CONTENT_LENGTH, length);
            response.map(|_| Bytes::new())
        }
        Protocol::Grpc => trailers_only(rejection, "application/grpc"),
        Protocol::GrpcWeb => trailers_only(rejection, "application/grpc-web+proto"),
        Protocol::GrpcWebText => trailers_only(rejection, "application/grpc-web-text+proto"),
    }
}

/// `at-capacity` as `At capacity`: RFC 9457's title, the same for every problem of a type.
pub(crate) fn title(reason: Reason, f: &mut dyn Write) -> fmt::Result {
    let mut letters = reason.as_str().chars();
    if let Some(first) = letters.next() {
        f.write_char(first.to_ascii_uppercase())?;
    }
    letters.try_for_each(|letter| f.write_char(if letter == '-' { ' ' } else { letter }))
}

fn problem(rejection: &Rejection) -> Response<Bytes> {
    let mut json = String::with_capacity(256);
    write_problem(rejection, &mut json).expect("a String takes all that is written to it");
    let mut response = Response::new(Bytes::from(json));
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(wait) = rejection.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    response
}

fn write_problem(rejection: &Rejection, json: &mut String) -> fmt::Result {
    let reason = rejection.reason();
    write!(json, r#"{{"type":"urn:palisade:{reason}","title":""#)?;
    title(reason, json)?;
    write!(json, r#"","status":{},"detail":""#, rejection.status().as_u16())?;
    write!(Escaped(json), "{rejection}")?;
    write!(json, r#"","instance":"urn:uuid:{}""#, rejection.id())?;
    for (name, words) in rejection.members() {
        json.push_str(",\"");
        write!(Escaped(json), "{name}")?;
        json.push_str("\":[");
        for (nth, word) in words.iter().enumerate() {
            json.push_str(if nth == 0 { "\"" } else { ",\"" });
            write!(Escaped(json), "{word}")?;
            json.push('"');
        }
        json.push(']');
    }
    json.push('}');
    Ok(())
}

/// Writes what may stand between the quotes of a JSON string (RFC 8259 §7).
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '"' | '\\' => {
                    self.0.push('\\');
                    self.0.push(letter);
                }
                '\0'..='\x1f' => write!(self.0, "\\u{:04x}", u32::from(letter))?,
                _ => self.0.push(letter),
            }
        }
        Ok(())
    }
}

fn trailers_only(rejection: &Rejection, content_type: &'static str) -> Response<Bytes> {
    const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
    const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
    /// What may not stand bare in `grpc-message`: all but the printable ASCII, and `%` itself.
    const NOT_BARE: &AsciiSet = &CONTROLS.add(b'%');

    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    rejection.grpc_code().insert(headers);
    let message = utf8_percent_encode(&message(rejection), NOT_BARE).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    if let Some(details) = details::header(rejection) {
        headers.insert(GRPC_DETAILS, details);
    }
    if let Some(wait) = rejection.retry_after() {
        let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        headers.insert(PUSHBACK, HeaderValue::from(millis));
    }
    response
}

/// The friendly line, cut at [`LONGEST_MESSAGE`].
pub(crate) fn message(rejection: &Rejection) -> String {
    let mut message = rejection.to_string();
    let end = (0..=message.len().min(LONGEST_MESSAGE)).rfind(|&at| message.is_char_boundary(at));
    message.truncate(end.unwrap_or_default());
    message
}

/// In bytes. Peers reset streams, or close connections, whose headers are longer than 8 to 16 KiB in
/// all; this may grow threefold by percent-encoding, and stands in the details once more.
const LONGEST_MESSAGE: usize = 1024;

/// Rounded up, because a client that comes back early is refused again, and at least 1, because
/// clients take 0 as "now".
fn whole_seconds(wait: Duration) -> u64 {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0));
    seconds.max(1)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body::Body as _;
    use http_body_util::{BodyExt, Full};
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;
    use crate::{GrpcCode, Head};

    const FULL: Reason = Reason::new("at-capacity");

    fn rejection() -> Rejection {
        let request =
            Request::get("/").header("x-request-id", "00000000-0000-4000-8000-00000000002a");
        Rejection::new(FULL, StatusCode::TOO_MANY_REQUESTS)
            .for_request(Head::of(&request.body(()).unwrap()))
            .with_detail("Please try again.")
            .with_retry_after(Duration::from_millis(1001))
    }

    fn text(response: Response<Full<Bytes>>) -> String {
        let body = tokio_test::block_on(response.into_body().collect()).unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }

    #[test]
    fn over_http_it_is_a_problem_document() {
        let response = rejection().respond(Protocol::Http);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(Rejection::of(&response).unwrap().reason(), FULL);
        assert_eq!(
            text(response),
            concat!(
                r#"{"type":"urn:palisade:at-capacity","title":"At capacity","status":429,"#,
                r#""detail":"Please try again.","#,
                r#""instance":"urn:uuid:00000000-0000-4000-8000-00000000002a"}"#
            )
        );
    }

    #[test]
    fn for_head_it_has_the_headers_and_no_body() {
        let get = rejection().respond(Protocol::Http);
        let head = rejection().respond(Protocol::HttpHead);
        assert!(head.body().is_end_stream());
        let length: u64 = head.headers()["content-length"].to_str().unwrap().parse().unwrap();
        assert_eq!(Some(length), get.body().size_hint().exact());
        assert_eq!(head.headers()["content-type"], get.headers()["content-type"]);
    }

    #[test]
    fn over_grpc_it_is_a_trailers_only_status() {
        for (protocol, content_type) in [
            (Protocol::Grpc, "application/grpc"),
            (Protocol::GrpcWeb, "application/grpc-web+proto"),
            (Protocol::GrpcWebText, "application/grpc-web-text+proto"),
        ] {
            let response = rejection().with_detail("100 % – full\n").respond(protocol);
            assert_eq!(response.status(), 200);
            assert!(response.body().is_end_stream());
            assert_eq!(response.headers()["content-type"], content_type);
            assert_eq!(response.headers()["grpc-status"], "8");
            assert_eq!(response.headers()["grpc-message"], "100 %25 %E2%80%93 full%0A");
            assert_eq!(response.headers()["grpc-retry-pushback-ms"], "1001");
            assert_eq!(Rejection::of(&response).unwrap().grpc_code(), GrpcCode::ResourceExhausted);
        }
    }

    #[test]
    fn without_a_hint_nothing_says_when_to_come_back() {
        let rejection = Rejection::new(FULL, StatusCode::TOO_MANY_REQUESTS);
        let http = rejection.clone().respond(Protocol::Http);
        assert!(!http.headers().contains_key("retry-after"));
        let grpc = rejection.respond(Protocol::Grpc);
        assert!(!grpc.headers().contains_key("grpc-retry-pushback-ms"));
    }

    #[test]
    fn seconds_are_rounded_up_and_never_zero() {
        for (wait, seconds) in [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_secs(1), 1),
            (Duration::new(1, 1), 2),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(whole_seconds(wait), seconds, "{wait:?}");
        }
        let response = rejection().with_retry_after(Duration::MAX).respond(Protocol::Grpc);
        assert_eq!(response.headers()["grpc-retry-pushback-ms"], u64::MAX.to_string().as_str());
    }

    #[test]
    fn a_long_detail_is_cut_between_two_letters_where_it_is_a_header() {
        for (letter, kept) in [("x", 1024), ("é", 1024), ("…", 1023), ("🦀", 1024)] {
            let detail = letter.repeat(30_000);
            let rejection = rejection().with_detail(detail.clone());
            let message = message(&rejection);
            assert_eq!(message.len(), kept);
            assert!(detail.starts_with(&message));
            let headers = rejection.clone().respond(Protocol::Grpc).into_parts().0.headers;
            let size: usize = headers.values().map(HeaderValue::len).sum();
            assert!(size < 6 * 1024, "{size} bytes of headers");
            assert!(text(rejection.respond(Protocol::Http)).contains(&detail));
        }
    }

    #[test]
    fn a_member_takes_no_name_that_a_problem_has() {
        let plain = text(rejection().respond(Protocol::Http));
        for name in ["type", "title", "status", "detail", "instance"] {
            let rejection = rejection().with_member(name, ["teapot".to_owned()]);
            let json = text(rejection.respond(Protocol::Http));
            assert_eq!(json, plain);
        }
    }

    proptest! {
        #[test]
        fn any_word_of_a_member_arrives_as_it_was(words: Vec<String>) {
            let rejection = rejection().with_member("words", words.clone()).with_member("no", []);
            let json = text(rejection.respond(Protocol::Http));
            let problem: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&problem["words"], &serde_json::json!(words));
            prop_assert_eq!(&problem["no"], &serde_json::json!([]));
        }

        #[test]
        fn any_detail_arrives_as_it_was(detail: String) {
            let rejection = rejection().with_detail(detail.clone());
            let json = text(rejection.clone().respond(Protocol::Http));
            let problem: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(problem["detail"].as_str(), Some(detail.as_str()));
            let response = rejection.respond(Protocol::Grpc);
            let message = response.headers()["grpc-message"].to_str().unwrap();
            let message = percent_decode_str(message).decode_utf8().unwrap();
            prop_assert_eq!(message, detail);
        }
    }
}
