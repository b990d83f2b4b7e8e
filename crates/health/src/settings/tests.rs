#![allow(clippy::unwrap_used, reason = "a test")]

use http::Request;

use super::*;

fn ask(method: &str, path: &str, content_type: &str) -> Option<Ask> {
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    Settings::default().ask(Head::of(&request.body(()).unwrap()))
}

#[test]
fn what_is_no_probe_falls_through() {
    for (method, path, expected) in [
        ("GET", "/livez", Some(Ask::Http(Probe::Liveness))),
        ("HEAD", "/readyz", Some(Ask::Http(Probe::Readiness))),
        ("GET", "/startupz?verbose", Some(Ask::Http(Probe::Startup))),
        ("POST", "/livez", None),
        ("DELETE", "/readyz", None),
        ("OPTIONS", "/readyz", None),
        ("GET", "/livez/", None),
        ("GET", "/", None),
        ("GET", "/LIVEZ", None),
        ("GET", "/api/livez", None),
    ] {
        assert_eq!(ask(method, path, "text/plain"), expected, "{method} {path}");
    }
}

#[test]
fn grpc_health_is_known_by_path_method_and_content_type() {
    for (method, path, content_type, expected) in [
        ("POST", "/grpc.health.v1.Health/Check", "application/grpc", Some(Ask::Grpc(Call::Check))),
        (
            "POST",
            "/grpc.health.v1.Health/Watch",
            "application/grpc+proto",
            Some(Ask::Grpc(Call::Watch)),
        ),
        ("POST", "/grpc.health.v1.Health/List", "application/grpc", Some(Ask::Grpc(Call::List))),
        ("POST", "/grpc.health.v1.Health/Stop", "application/grpc", Some(Ask::NoMethod)),
        ("GET", "/grpc.health.v1.Health/Check", "application/grpc", None),
        ("POST", "/grpc.health.v1.Health/Check", "application/json", None),
        ("POST", "/grpc.health.v1.Health/Check", "application/grpc-web", None),
        ("POST", "/grpc.health.v2.Health/Check", "application/grpc", None),
        ("POST", "/grpc.health.v1.Health", "application/grpc", None),
    ] {
        assert_eq!(ask(method, path, content_type), expected, "{method} {path}");
    }
}

#[test]
fn details_are_for_those_who_ask_and_may_see_them() {
    let details = Details::some(|head| head.header("x-operator").is_some());
    for (query, operator, expected) in [
        ("verbose", true, true),
        ("verbose=1", true, true),
        ("a=b&verbose=true", true, true),
        ("verbose", false, false),
        ("verbose=0", true, false),
        ("verbose=false", true, false),
        ("verbosely", true, false),
        ("", true, false),
    ] {
        let mut request = Request::get(format!("/readyz?{query}"));
        if operator {
            request = request.header("x-operator", "yes");
        }
        let request = request.body(()).unwrap();
        assert_eq!(details.are_for(Head::of(&request)), expected, "{query} {operator}");
        assert!(!Details::default().are_for(Head::of(&request)));
    }
}
