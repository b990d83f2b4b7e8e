//! What there is to try: told on stdout at the start, and on the page at `/`.

use std::fmt::Write;

use crate::{
    routes::{CHUNKS, EVERY_MS, MS},
    settings::Settings,
};

/// One thing to try.
struct Stop {
    route: &'static str,
    does: String,
    curl: String,
}

fn stops(host: &str, max_in_flight: usize) -> [Stop; 5] {
    // Some more than are let in, and as many at once, but not more than a shell can start.
    let many = max_in_flight.saturating_add(20);
    let provoke = if many <= 1000 {
        format!(
            "seq {many} | xargs -P {many} -I{{}} curl -s -o /dev/null -w '%{{http_code}}\\n' \
             'http://{host}/work?ms=3000' | sort | uniq -c"
        )
    } else {
        "cargo run -- --max-in-flight 2".into()
    };
    [
        Stop {
            route: "GET /",
            does: "this, as a page".into(),
            curl: format!("curl http://{host}/"),
        },
        Stop {
            route: "GET /work?ms=N",
            does: format!("takes N ms ({})", MS.range()),
            curl: format!("curl 'http://{host}/work?ms=500'"),
        },
        Stop {
            route: "GET /stream?chunks=N&every_ms=M",
            does: format!(
                "sends N lines ({}), one every M ms ({})",
                CHUNKS.range(),
                EVERY_MS.range()
            ),
            curl: format!("curl -N 'http://{host}/stream?chunks=5&every_ms=500'"),
        },
        Stop {
            route: "POST /echo",
            does: "sends the body back as it comes in".into(),
            curl: format!("curl -d hello http://{host}/echo"),
        },
        Stop {
            route: "429 Too Many Requests",
            does: format!("what a request gets while {max_in_flight} others are in flight"),
            curl: provoke,
        },
    ]
}

/// What the process says once it listens.
pub(crate) fn announcement(settings: &Settings) -> String {
    let host = settings.listen.to_string();
    let mut text = format!("listening on http://{host}\n");
    for Stop { route, does, curl } in stops(&host, settings.limit_concurrency.max) {
        write!(text, "\n{route}  {does}\n    {curl}\n").expect("a String takes all");
    }
    text
}

/// The page at `/`, as seen from `host`.
pub(crate) fn page(host: &str, max_in_flight: usize) -> String {
    let mut list = String::new();
    for Stop { route, does, curl } in stops(host, max_in_flight) {
        let [route, does, curl] = [route, &does, &curl].map(escape);
        write!(list, "<h2><code>{route}</code></h2>\n<p>{does}</p>\n<pre>{curl}</pre>\n")
            .expect("a String takes all");
    }
    include_str!("page.html").replace("{list}", &list)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
