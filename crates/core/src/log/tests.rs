use std::{
    io,
    sync::{Arc, Mutex},
};

use http::StatusCode;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::Reason;

const SECOND: Duration = Duration::from_secs(1);

#[allow(clippy::disallowed_methods, reason = "the summary is given its times")]
fn start() -> Instant {
    Instant::now()
}

#[test]
fn the_first_refusal_is_told_at_once_and_then_one_summary_a_period() {
    let mut summary = Summary { since: None, refused: 0 };
    let start = start();
    assert_eq!(summary.count(start), Some(Due { refused: 1, over: Duration::ZERO }));
    for tenths in 1..100 {
        assert_eq!(summary.count(start + SECOND * tenths / 10), None);
    }
    assert_eq!(summary.count(start + 10 * SECOND), Some(Due { refused: 100, over: 10 * SECOND }));
    assert_eq!(summary.count(start + 11 * SECOND), None);
    assert_eq!(summary.count(start + 71 * SECOND), Some(Due { refused: 2, over: 61 * SECOND }));
}

#[test]
fn a_clock_that_steps_back_tells_nothing_twice() {
    let mut summary = Summary { since: None, refused: 0 };
    let start = start() + SECOND;
    assert!(summary.count(start).is_some());
    assert_eq!(summary.count(start.checked_sub(SECOND).unwrap()), None);
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// What is written at this level while `refusals` refusals happen, 100 in a second.
fn written(level: Level, refusals: u32) -> String {
    const CLOSED: Reason = Reason::new("closed");
    let written = Written::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(written.clone())
        .without_time()
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let (log, start) = (RefusalLog::new("gatekeeper"), start());
        for refusal in 0..refusals {
            let cause = io::Error::other("no kitchen");
            let rejection = Rejection::new(CLOSED, StatusCode::SERVICE_UNAVAILABLE);
            log.refused(&rejection.with_source(cause), start + SECOND * refusal / 100);
            admitted("gatekeeper");
        }
    });
    let bytes = written.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_flood_is_a_few_lines() {
    let lines = written(Level::WARN, 3_001);
    assert_eq!(lines.lines().count(), 4, "{lines}");
    let last = lines.lines().last().unwrap();
    for part in [
        "WARN palisade: ",
        "layer=\"gatekeeper\"",
        "last_reason=closed",
        "refused=1000 over=10s",
        "last_id=",
    ] {
        assert!(last.contains(part), "{part} is not in {last}");
    }
}

#[test]
fn at_debug_each_refusal_is_told_with_its_causes() {
    let lines = written(Level::DEBUG, 2);
    assert_eq!(lines.lines().filter(|line| line.contains("DEBUG palisade: ")).count(), 2);
    for part in ["id=", "status=503", "grpc_code=UNAVAILABLE", "sent=No", "cause=no kitchen"] {
        assert!(lines.contains(part), "{part} is not in {lines}");
    }
    assert!(!lines.contains("TRACE"));
}

/// As an error may be by mistake, that hands out itself where it means what it wraps.
#[derive(Debug)]
struct Ouroboros;

impl fmt::Display for Ouroboros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it bites")
    }
}

impl Error for Ouroboros {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[test]
fn an_error_that_is_its_own_cause_does_not_fill_the_log() {
    const CLOSED: Reason = Reason::new("closed");
    let rejection = Rejection::new(CLOSED, StatusCode::SERVICE_UNAVAILABLE).with_source(Ouroboros);
    assert_eq!(Causes(&rejection).to_string(), ["it bites"; 32].join(": "));
}

#[test]
fn at_trace_what_passes_is_told_too() {
    assert!(
        written(Level::TRACE, 1).contains("TRACE palisade: Request admitted layer=\"gatekeeper\"")
    );
}

#[test]
fn at_error_nothing_is_told() {
    assert_eq!(written(Level::ERROR, 10), "");
}
