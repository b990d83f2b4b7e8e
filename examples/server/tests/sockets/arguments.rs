//! What can be set from the command line, and what is said of what cannot.

use std::{net::TcpListener, process::Output};

use crate::process::{Server, command, soon};

async fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = soon("its end", command().args(arguments).output()).await;
    let Output { status, stdout, stderr } = output.unwrap();
    assert!(stdout.is_empty(), "it said it would listen");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[tokio::test]
async fn it_says_where_it_listens_and_what_to_try() {
    let mut server = Server::start(&["--max-in-flight", "3"]).await;
    let said = server.says("uniq -c").await;
    for route in [
        "GET /",
        "GET /work",
        "GET /stream",
        "POST /echo",
        "GET /limits",
        "GET /upstream",
        "PUT /upstream/mode",
        "GET /breakers",
        "POST /breakers/upstream",
        "after 1h",
        "seq 23",
    ] {
        assert!(said.contains(route), "{said}");
    }
    assert!(said.contains(&format!("curl http://{}/\n", server.address)));
    let said = server.says("kill -TERM ").await;
    for route in ["/livez", "/readyz", "/startupz", "/grpc.health.v1.Health/Check", "/demo/hang"] {
        assert!(said.contains(route), "{said}");
    }
}

#[tokio::test]
async fn a_wrong_value_is_answered_by_the_flag_the_value_and_what_is_accepted() {
    let number = "expected a whole number from 0 to 4294967295";
    let address = "expected an address such as 127.0.0.1:3000";
    let duration = "expected a duration such as 500ms, 20s or 1m 30s";
    for (flag, value, accepted) in [
        ("--listen", "3000", address),
        ("--listen", "localhost:3000", address),
        ("--listen", "127.0.0.1:65536", address),
        ("--max-in-flight", "many", number),
        ("--max-in-flight", "-1", number),
        ("--max-in-flight", "-1x", number),
        ("--max-in-flight", "1.5", number),
        ("--max-in-flight", "4294967296", number),
        ("--grace", "20", duration),
        ("--grace", "-1", duration),
        ("--grace", "-1s", duration),
        ("--drain-delay", "5", duration),
        ("--heartbeat", "1ms", "expected a duration from 10ms to 1day, such as 3s"),
        ("--check-every", "0s", "expected a duration from 1ms to 1day, such as 2s"),
        ("--timeout", "10", duration),
        ("--timeout-body", "idle", "expected within, excluded, or idle with a duration"),
        ("--rate", "20", "is no quota: write a number, a slash and an interval"),
        ("--rate", "1/1us", "is no interval for a quota: it is between a millisecond and 366 days"),
        ("--rate", "-1/s", "is no quota: write a number"),
        ("--burst", "0", "expected quota, or a whole number from 1 to 4294967295"),
        ("--rate-windows", "minute", "expected none, or names with a quota each, such as minute="),
        ("--rate-windows", "a=1/s,a=1/d", "expected each name once, and a is there twice"),
        ("--rate-key", "ip", "expected peer, header with a name, such as header:x-api-key, or"),
        ("--rate-headers", "on", "[possible values: draft, off]"),
        ("--request-idle", "-1s", duration),
        ("--upstream-listen", "3001", address),
        ("--upstream-timeout", "2", duration),
        ("--upstream-max-in-flight", "-1", number),
        ("--breaker-rate", "0", "expected a share of calls, above 0 and at most 1, such as 0.5"),
        ("--breaker-min", "0", "expected a whole number from 1 to 16777216"),
        ("--breaker-window", "10", "expected a duration from 100ms to 1day, such as 10s"),
        ("--breaker-consecutive", "0", "expected a whole number from 1 to 4294967295"),
        ("--breaker-open", "0s", "expected a duration from 1ms to 1day, such as 5s"),
    ] {
        let (code, said) = refused(&[flag, value]).await;
        assert_eq!(code, Some(2), "{said}");
        for part in [flag, value, accepted] {
            assert!(said.contains(part), "{part} is missing in {said}");
        }
    }
    let (code, said) = refused(&["--rate", "1/366d", "--burst", "37"]).await;
    assert_eq!(code, Some(2));
    let together = "error: limit_rate.burst (--burst): 37 is no burst for this quota: the bucket \
                    would take more than 36 years to fill\n";
    assert_eq!(said, together);

    let (code, said) = refused(&["--max-inflight", "1"]).await;
    assert_eq!(code, Some(2));
    assert!(said.contains("'--max-inflight'") && said.contains("'--max-in-flight'"));
}

#[tokio::test]
async fn an_address_in_use_is_one_line_that_names_it_and_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--listen", "--grace=1s"), ("--upstream-listen", "--listen=127.0.0.1:0")]
    {
        let (code, said) = refused(&[other, flag, &address]).await;
        assert_eq!(code, Some(1));
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with(&format!("error: cannot listen on {address}: ")), "{said}");
        assert!(said.ends_with(&format!(" {flag}\n")), "{said}");
    }
}

#[tokio::test]
async fn with_room_for_none_all_are_refused() {
    let server = Server::start(&["--max-in-flight", "0"]).await;
    assert_eq!(server.http1().get("/").await.status(), 429);
}
