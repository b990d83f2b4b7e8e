//! What is written to the log. Time is paused.
#![cfg(not(palisade_loom))]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use palisade_health::{Check, Health, Probe, Status};
use tokio::time::sleep;
use tracing_subscriber::fmt::MakeWriter;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_logged_once_with_its_reason() {
    let written = Written::default();
    let log = tracing_subscriber::fmt().without_time().with_ansi(false);
    let _guard = tracing::subscriber::set_default(log.with_writer(written.clone()).finish());
    let health = Health::new();
    let refused = || std::future::ready(Err::<(), _>("connection refused"));
    health.readiness().check(Check::new("db", refused).failures(2).critical());
    sleep(60 * SECOND).await;
    for _ in 0..100 {
        assert_eq!(health.status(Probe::Readiness), Status::Fail);
    }
    let lines = written.take();
    let layer = " INFO palisade: ";
    let expected = [
        r#"Health changed layer="health" probe=readiness from=pass to=unknown"#,
        r#"Check changed layer="health" check=db probe=readiness from=unknown to=fail detail="connection refused""#,
        r#"Health changed layer="health" probe=readiness from=unknown to=fail"#,
    ];
    assert_eq!(lines, expected.map(|line| format!("{layer}{line}")));
    health.drain(SECOND);
    health.drain(SECOND);
    sleep(60 * SECOND).await;
    assert_eq!(written.take(), [format!(r#"{layer}Draining layer="health" delay=1s"#)]);
    health.resume();
    health.resume();
    assert_eq!(written.take(), [format!(r#"{layer}Drain taken back layer="health""#)]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_flaps_does_not_fill_the_log() {
    let written = Written::default();
    let log = tracing_subscriber::fmt().without_time().with_ansi(false);
    let _guard = tracing::subscriber::set_default(log.with_writer(written.clone()).finish());
    let (health, mut looks) = (Health::new(), 0);
    let flaps = move || {
        looks += 1;
        std::future::ready(if looks < 5000 && looks % 2 == 0 { Status::Fail } else { Status::Pass })
    };
    let check = Check::new("db", flaps).every(Duration::from_millis(10)).failures(1).critical();
    health.readiness().check(check);
    sleep(45 * SECOND).await;
    assert!(health.report().transitions() > 4000);
    let lines = written.take();
    assert_eq!(lines.len(), 10, "{lines:?}");
    assert!(lines.iter().skip(4).all(|line| line.contains("changes=")), "{lines:?}");
    sleep(60 * SECOND).await;
    // What it has come to is told, though nothing changes any more.
    let lines = written.take();
    assert!(lines.last().unwrap().contains("to=pass"), "{lines:?}");
    sleep(60 * SECOND).await;
    assert_eq!(written.take(), [""; 0]);
}
