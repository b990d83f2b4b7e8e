//! What there is to try: told on stdout at the start, and on the page at `/`.

use std::{fmt::Write, iter, process, time::Duration};

use palisade::limit_rate::Quota;

use crate::{
    routes::{CHUNKS, EVERY_MS, MS},
    settings::{BodyTime, LimitRate, RateKey, Settings},
    upstream::LATENCY_MS,
};

/// One thing to try.
pub(crate) struct Stop {
    pub(crate) route: &'static str,
    pub(crate) does: String,
    pub(crate) curl: String,
}

pub(crate) fn stops(host: &str, settings: &Settings) -> [Stop; 22] {
    [
        Stop {
            route: "GET /",
            does: "this as a page, with buttons that try it, and how each layer stands".into(),
            curl: format!("curl http://{host}/"),
        },
        Stop {
            route: "GET /status",
            does: "how each layer stands and what it has counted, for callers on this machine"
                .into(),
            curl: format!("curl http://{host}/status"),
        },
        Stop {
            route: "PUT /demo/limits",
            does: "changes limits while it serves, for callers on this machine; what is left out is as at \
                   the start"
                .into(),
            curl: format!(
                "curl -X PUT --json '{{\"max_in_flight\":2,\"rate\":\"5/s\",\
                 \"upstream_max_in_flight\":1}}' http://{host}/demo/limits"
            ),
        },
        Stop {
            route: "GET /work?ms=N",
            does: format!("takes N ms ({})", MS.range()),
            curl: format!("curl 'http://{host}/work?ms=500'"),
        },
        Stop {
            route: "GET /stream?chunks=N&every_ms=M",
            does: format!(
                "sends N lines ({}), one every M ms ({}){}",
                CHUNKS.range(),
                EVERY_MS.range(),
                cut_off(settings)
            ),
            curl: format!("curl -N 'http://{host}/stream?chunks=5&every_ms=500'"),
        },
        Stop {
            route: "POST /echo",
            does: "sends the body back as it comes in".into(),
            curl: format!("curl -d hello http://{host}/echo"),
        },
        Stop {
            route: "GET /limits",
            does: "how you stand with the rate limit; asking is free".into(),
            curl: format!("curl {}http://{host}/limits", said(&settings.limit_rate.key)),
        },
        Stop {
            route: "GET /upstream",
            does: format!(
                "what http://{} answers, which is called up to {} times and through a breaker",
                settings.upstream.listen, settings.retry.max_attempts
            ),
            curl: format!("curl -i http://{host}/upstream"),
        },
        Stop {
            route: "POST /upstream",
            does: "the same of what is sent once only, unless it has an Idempotency-Key".into(),
            curl: format!("curl -i -d soup http://{host}/upstream"),
        },
        Stop {
            route: "PUT /upstream/mode",
            does: format!(
                "has it fail, as a share of calls from 0 to 1, with 500, 502, 503 or 504, default 503, and \
                 take its time, in ms ({})",
                LATENCY_MS.range()
            ),
            curl: format!(
                "curl -X PUT --json '{{\"fail\":0.4,\"latency_ms\":100}}' http://{host}/upstream/mode"
            ),
        },
        Stop {
            route: "GET /retries",
            does: "what came of trying again, and how much more of it there may be".into(),
            curl: format!("curl http://{host}/retries"),
        },
        Stop {
            route: "GET /breakers",
            does: "how the breaker stands".into(),
            curl: format!("curl http://{host}/breakers"),
        },
        Stop {
            route: "POST /breakers/upstream",
            does: "forces it open or closed, has it only observe, leaves it to itself, auto, or has it begin anew, \
                   reset"
                .into(),
            curl: format!("curl --json '{{\"force\":\"open\"}}' http://{host}/breakers/upstream"),
        },
        too_long(host, settings),
        stalled(host, settings),
        one_too_many(host, settings.limit_concurrency.max),
        too_often(host, &settings.limit_rate),
        not_well(host, settings),
        probes(host),
        grpc_probe(host),
        hang(host, settings),
        sigterm(settings),
    ]
}

/// Who is asking, as an argument of curl's.
fn said(key: &RateKey) -> String {
    match key {
        // A name may have a quote in it.
        RateKey::Header(name) => format!("-H '{}: me' ", name.as_str().replace('\'', r"'\''")),
        RateKey::Peer | RateKey::Forwarded(_) => String::new(),
    }
}

fn cut_off(settings: &Settings) -> String {
    match settings.timeout.body {
        BodyTime::Within => format!(", and is cut off after {}", settings.timeout.limit),
        BodyTime::Idle(longest) => format!(", and is cut off when none comes for {longest}"),
        BodyTime::Excluded => String::new(),
    }
}

fn too_long(host: &str, settings: &Settings) -> Stop {
    let limit = settings.timeout.limit;
    let ms = limit.0.as_millis().saturating_add(1000);
    Stop {
        route: "503 Service Unavailable",
        does: format!("what a request gets that is not answered after {limit}"),
        curl: if ms <= MS.most.into() {
            format!("curl -i 'http://{host}/work?ms={ms}'")
        } else {
            "cargo run -- --timeout 2s".into()
        },
    }
}

pub(crate) fn stalled(host: &str, settings: &Settings) -> Stop {
    let idle = settings.request_body_timeout.idle;
    Stop {
        route: "408 Request Timeout",
        does: format!("what a client gets that promises a body and is silent for {idle}"),
        // Else the timeout speaks first.
        curl: if idle.0 < settings.timeout.limit.0 {
            format!("curl -i -X POST -H 'Content-Length: 5' http://{host}/echo")
        } else {
            "cargo run -- --timeout 2s --request-idle 1s".into()
        },
    }
}

fn one_too_many(host: &str, max_in_flight: usize) -> Stop {
    // Some more than are let in, and as many at once, but not more than a shell can start.
    let many = max_in_flight.saturating_add(20);
    Stop {
        route: "429 Too Many Requests",
        does: format!("what a request gets while {max_in_flight} others are in flight"),
        curl: if many <= 1000 {
            format!(
                "seq {many} | xargs -P {many} -I{{}} curl -s -o /dev/null \
                 -w '%{{http_code}}\\n' 'http://{host}/work?ms=3000' | sort | uniq -c"
            )
        } else {
            "cargo run -- --max-in-flight 2".into()
        },
    }
}

fn too_often(host: &str, limit: &LimitRate) -> Stop {
    let quota = limit.whole().unwrap_or(limit.quota);
    let all = || iter::once(quota).chain(limit.windows.iter().map(|(_, quota)| *quota));
    let said_of_all: Vec<_> = all().map(|quota| quota.to_string()).collect();
    let slow = |quota: &Quota| quota.interval() / quota.limit().get() >= Duration::from_millis(20);
    // One curl sends some more than are let in at once, before many more are.
    let many = all().filter(slow).map(|quota| quota.burst().get().saturating_add(5)).min();
    Stop {
        route: "429 Too Many Requests",
        does: format!("what a client gets that asks more often than {}", said_of_all.join(" or ")),
        curl: if let Some(many) = many.filter(|many| *many <= 1000) {
            format!(
                "curl -s {}-o /dev/null -w '%{{http_code}}\\n' 'http://{host}/?[1-{many}]' \
                 | sort | uniq -c",
                said(&limit.key)
            )
        } else {
            "cargo run -- --rate 20/s".into()
        },
    }
}

fn not_well(host: &str, settings: &Settings) -> Stop {
    let breaker = &settings.breaker;
    let many = breaker.consecutive.get().saturating_add(3);
    Stop {
        route: "503 Service Unavailable",
        does: format!(
            "what a call to the upstream gets after {} failures in a row, or of {} of {} or more calls \
             within {}",
            breaker.consecutive, breaker.rate, breaker.min, breaker.window
        ),
        curl: if many <= 1000 {
            format!(
                "curl -s -X PUT --json '{{\"fail\":1,\"status\":500}}' http://{host}/upstream/mode; \
                 curl -s {}-o /dev/null -w '%{{http_code}}\\n' 'http://{host}/upstream?[1-{many}]'",
                said(&settings.limit_rate.key)
            )
        } else {
            "cargo run -- --breaker-consecutive 5".into()
        },
    }
}

fn probes(host: &str) -> Stop {
    Stop {
        route: "GET /livez, /readyz, /startupz",
        does: "whether it is alive, ready, and has started; with ?verbose why, for callers on this machine"
            .into(),
        curl: format!("curl http://{host}/livez http://{host}/startupz 'http://{host}/readyz?verbose'"),
    }
}

fn grpc_probe(host: &str) -> Stop {
    Stop {
        route: "POST /grpc.health.v1.Health/Check",
        does:
            "the same over gRPC, with Watch and List: the last byte is 1 while it is ready, else 2"
                .into(),
        curl: format!(
            "printf '\\0\\0\\0\\0\\0' | curl -s --http2-prior-knowledge -H 'content-type: application/grpc' \
             --data-binary @- http://{host}/grpc.health.v1.Health/Check | od -An -tx1"
        ),
    }
}

fn hang(host: &str, settings: &Settings) -> Stop {
    Stop {
        route: "POST /demo/hang",
        does: format!(
            "stops the heart of a background task; {} later /readyz fails, until POST /demo/resume",
            settings.health.heartbeat
        ),
        curl: format!("curl -X POST http://{host}/demo/hang"),
    }
}

pub(crate) fn sigterm(settings: &Settings) -> Stop {
    Stop {
        route: "SIGTERM",
        does: format!(
            "makes it not ready, after {} refuse what is new, and end when nothing is in flight, after {} \
             at most; Ctrl-C does so without the delay, and a second signal ends it at once",
            settings.health.drain_delay, settings.grace
        ),
        curl: format!("kill -TERM {}", process::id()),
    }
}

/// What the process says once it listens.
pub(crate) fn announcement(settings: &Settings) -> String {
    let host = settings.listen.to_string();
    let mut text = format!("listening on http://{host}\n");
    for Stop { route, does, curl } in stops(&host, settings) {
        write!(text, "\n{route}  {does}\n    {curl}\n").expect("a String takes all");
    }
    text
}
