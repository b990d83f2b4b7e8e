#![allow(clippy::unwrap_used, reason = "a test")]

use http::{Request, request::Builder};

use super::*;

fn of(rule: &Rule, request: Builder) -> Eligible {
    rule.of(Head::of(&request.body(()).unwrap()), None)
}

#[test]
fn over_http_the_method_says_what_may_be_done_twice() {
    for (method, expected) in [
        ("GET", Eligible::Always),
        ("HEAD", Eligible::Always),
        ("OPTIONS", Eligible::Always),
        ("TRACE", Eligible::Always),
        ("PUT", Eligible::Always),
        ("DELETE", Eligible::Always),
        ("QUERY", Eligible::Always),
        ("POST", Eligible::IfNotSent),
        ("PATCH", Eligible::IfNotSent),
        ("get", Eligible::IfNotSent),
        ("PURGE", Eligible::IfNotSent),
        ("CONNECT", Eligible::Never),
    ] {
        assert_eq!(of(&Rule::http(), Request::builder().method(method)), expected, "{method}");
    }
}

#[test]
fn who_sends_a_request_may_say_that_it_can_be_done_twice() {
    let keyed = || Request::post("/orders").header("idempotency-key", "\"8e03978e\"");
    assert_eq!(of(&Rule::http(), keyed()), Eligible::Always);
    let marked = || Request::post("/search").extension(Idempotent);
    assert_eq!(of(&Rule::http(), marked()), Eligible::Always);
    assert_eq!(of(&Rule::grpc(), marked()), Eligible::Always);
}

#[test]
fn a_tunnel_is_never_tried_again_whatever_is_said_of_it() {
    let always = || Rule::http().by(|_| Eligible::Always);
    for rule in [Rule::http(), Rule::grpc(), always()] {
        assert_eq!(of(&rule, Request::connect("example:443")), Eligible::Never);
        let upgrade =
            Request::get("/chat").header("connection", "upgrade").header("upgrade", "websocket");
        assert_eq!(of(&rule, upgrade), Eligible::Never);
    }
}

#[test]
fn a_grpc_call_may_be_done_twice_only_if_its_method_is_named() {
    let named = Rule::grpc().naming(["menu.Menu/Today", "shop.Search"]).unwrap();
    for (path, expected) in [
        ("/menu.Menu/Today", Eligible::Always),
        ("/shop.Search/Find", Eligible::Always),
        ("/menu.Menu/Order", Eligible::IfNotSent),
    ] {
        assert_eq!(of(&named, Request::post(path)), expected, "{path}");
        assert_eq!(of(&Rule::grpc(), Request::post(path)), Eligible::IfNotSent, "{path}");
    }
    // Methods stay named under a rule of one's own, and more can be named.
    let custom = named.by(|_| Eligible::Never).naming(["menu.Menu/Week"]).unwrap();
    assert_eq!(of(&custom, Request::post("/shop.Search/Find")), Eligible::Always);
    assert_eq!(of(&custom, Request::post("/menu.Menu/Week")), Eligible::Always);
    assert_eq!(of(&custom, Request::post("/menu.Menu/Order")), Eligible::Never);
}

#[test]
fn a_retry_of_somebody_else_is_not_tried_again() {
    let mut retry = Request::get("/").body(()).unwrap();
    Attempts::mark(2, retry.extensions_mut());
    assert_eq!(Rule::http().of(Head::of(&retry), None), Eligible::Never);
    let told = Request::get("/").header("grpc-previous-rpc-attempts", "1");
    assert_eq!(of(&Rule::http(), told), Eligible::Never);
    let stamp = HeaderName::from_static("x-attempt");
    let stamped = Request::get("/").header("x-attempt", "1").body(()).unwrap();
    assert_eq!(Rule::http().of(Head::of(&stamped), Some(&stamp)), Eligible::Never);
    assert_eq!(Rule::http().of(Head::of(&stamped), None), Eligible::Always);
}
