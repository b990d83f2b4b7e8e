//! Where settings come from, which of them count, and what is said of wrong ones.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use clap::Command;
use toml::Table;

use super::*;

mod wrong;

/// A file of a test's own, gone when the test is over.
struct File(PathBuf);

impl File {
    fn new(content: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("palisade-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, content).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // At worst a small file is left where such files are left.
        let _ = fs::remove_file(&self.0);
    }
}

type Variables<'a> = &'a [(&'a str, &'a str)];

fn try_load(flags: &[&str], variables: Variables<'_>) -> Result<Settings, clap::Error> {
    let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    let asked = load(["server"].iter().chain(flags), variables.iter().map(pair));
    asked.map(|asked| asked.settings)
}

fn loaded(flags: &[&str], variables: Variables<'_>) -> Settings {
    try_load(flags, variables).unwrap()
}

fn from_file(content: &str) -> Settings {
    loaded(&["--config", File::new(content).path()], &[])
}

fn defaults() -> Settings {
    loaded(&[], &[])
}

/// The keys of all values, in order.
fn keys(table: &Table) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(section) => {
                keys.extend(self::keys(section).iter().map(|key| format!("{name}.{key}")));
            }
            _ => keys.push(name.clone()),
        }
    }
    keys
}

const EVERYTHING: &str = r#"
    listen = "[::1]:0"
    grace = "1m30s"
    log.format = "json"
    health = { drain_delay = "6s", heartbeat = "20ms", check_every = "7s" }
    timeout = { limit = "2s", body = "idle:500ms" }
    limit_concurrency = { max = 0 }
    limit_rate = { quota = "5000/h", burst = 7, key = "header:x-tenant", headers = "off", windows = "b=9/d" }
    request_body_timeout.idle = "1s"
    upstream = { listen = "[::1]:1", timeout = "3s", total = "4s", max = 4 }
    retry = { max_attempts = 2, backoff = "5ms", ratio = 0.5, floor = 0, burst = 6 }
    breaker = { rate = 1, min = 2, window = "1m", consecutive = 3, open = "10ms" }
"#;

#[test]
fn the_command_line_is_consistent() {
    load::command(&known::Known::new()).debug_assert();
}

#[test]
fn without_any_setting_it_listens_on_port_3000_of_this_machine_only() {
    let settings = defaults();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(settings.limit_concurrency.max, 100);
    assert_eq!(settings.grace, Period(Duration::from_secs(20)));
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.limit_rate.key, RateKey::Peer);
}

#[test]
fn a_burst_is_the_quotas_unless_it_is_set() {
    let whole = |flags: &[&str]| loaded(flags, &[]).limit_rate.whole().unwrap().to_string();
    assert_eq!(whole(&["--rate", "20/s"]), "20/s");
    assert_eq!(whole(&["--rate", "20/s burst 5"]), "20/s burst 5");
    assert_eq!(whole(&["--rate", "20/s", "--burst", "40"]), "20/s burst 40");
    assert_eq!(whole(&["--rate", "20/s burst 5", "--burst", "40"]), "20/s burst 40");
}

#[test]
fn further_windows_have_names_and_show_as_they_are_written() {
    let shown = |text: &str| loaded(&["--rate-windows", text], &[]).limit_rate.windows.to_string();
    assert_eq!(defaults().limit_rate.windows.to_string(), "none");
    for text in ["none", "daily=5000/d burst 500", "minute=100/min, a day's=1/d", "none=3/250ms"] {
        assert_eq!(shown(text), text);
    }
    assert_eq!(shown(" a = 60 / 60s ,b=1/24h"), "a=60/min, b=1/d");
}

#[test]
fn the_longest_silence_is_shorter_than_the_timeout_and_that_is_shorter_than_the_grace() {
    let Settings { grace, health, timeout, request_body_timeout, upstream, .. } = defaults();
    // After which Kubernetes kills who does not leave.
    assert!(health.drain_delay.0 + grace.0 < Duration::from_secs(30));
    assert_eq!(timeout.limit, Period(Duration::from_secs(10)));
    assert_eq!(timeout.body, BodyTime::Within);
    assert!(request_body_timeout.idle.0 < timeout.limit.0 && timeout.limit.0 < grace.0);
    assert!(upstream.timeout.0 < upstream.total.0 && upstream.total.0 < timeout.limit.0);
}

#[test]
fn everything_can_be_set_in_each_of_the_three_ways() {
    let flags = "--listen [::1]:0 --max-in-flight 0 --grace 1m30s --log-format json \
                 --drain-delay 6s --heartbeat 20ms --check-every 7s \
                 --timeout 2s --timeout-body idle:500ms --request-idle 1s --rate 5000/h --burst 7 \
                 --rate-key header:x-tenant --rate-headers off --rate-windows b=9/d \
                 --upstream-listen [::1]:1 --upstream-timeout 3s --upstream-max-in-flight 4 \
                 --upstream-total 4s --retry-max-attempts 2 --retry-backoff 5ms --retry-ratio 0.5 \
                 --retry-floor 0 --retry-burst 6 \
                 --breaker-rate 1 --breaker-min 2 --breaker-window 1m --breaker-consecutive 3 \
                 --breaker-open 10ms";
    let variables = [
        ("PALISADE_LISTEN", "[::1]:0"),
        ("PALISADE_MAX_IN_FLIGHT", "0"),
        ("PALISADE_GRACE", "1m30s"),
        ("PALISADE_LOG_FORMAT", "json"),
        ("PALISADE_DRAIN_DELAY", "6s"),
        ("PALISADE_HEARTBEAT", "20ms"),
        ("PALISADE_CHECK_EVERY", "7s"),
        ("PALISADE_TIMEOUT", "2s"),
        ("PALISADE_TIMEOUT_BODY", "idle:500ms"),
        ("PALISADE_REQUEST_IDLE", "1s"),
        ("PALISADE_RATE", "5000/h"),
        ("PALISADE_BURST", "7"),
        ("PALISADE_RATE_KEY", "header:x-tenant"),
        ("PALISADE_RATE_HEADERS", "off"),
        ("PALISADE_RATE_WINDOWS", "b=9/d"),
        ("PALISADE_UPSTREAM_LISTEN", "[::1]:1"),
        ("PALISADE_UPSTREAM_TIMEOUT", "3s"),
        ("PALISADE_UPSTREAM_TOTAL", "4s"),
        ("PALISADE_RETRY_MAX_ATTEMPTS", "2"),
        ("PALISADE_RETRY_BACKOFF", "5ms"),
        ("PALISADE_RETRY_RATIO", "0.5"),
        ("PALISADE_RETRY_FLOOR", "0"),
        ("PALISADE_RETRY_BURST", "6"),
        ("PALISADE_UPSTREAM_MAX_IN_FLIGHT", "4"),
        ("PALISADE_BREAKER_RATE", "1"),
        ("PALISADE_BREAKER_MIN", "2"),
        ("PALISADE_BREAKER_WINDOW", "1m"),
        ("PALISADE_BREAKER_CONSECUTIVE", "3"),
        ("PALISADE_BREAKER_OPEN", "10ms"),
    ];
    let settings = from_file(EVERYTHING);
    assert_eq!(settings.listen.to_string(), "[::1]:0");
    assert_eq!(settings.limit_concurrency.max, 0);
    assert_eq!(settings.grace, Period(Duration::from_secs(90)));
    assert_eq!(settings.log.format, LogFormat::Json);
    let Health { drain_delay, heartbeat, check_every } = &settings.health;
    assert_eq!(
        [drain_delay, heartbeat, check_every].map(ToString::to_string),
        ["6s", "20ms", "7s"]
    );
    assert_eq!(settings.timeout.limit, Period(Duration::from_secs(2)));
    assert_eq!(settings.timeout.body, BodyTime::Idle(Period(Duration::from_millis(500))));
    assert_eq!(settings.request_body_timeout.idle, Period(Duration::from_secs(1)));
    assert_eq!(settings.limit_rate.whole().unwrap().to_string(), "5000/h burst 7");
    assert_eq!(settings.limit_rate.key, RateKey::Header("x-tenant".parse().unwrap()));
    assert_eq!(settings.limit_rate.headers, RateHeaders::Off);
    assert_eq!(settings.limit_rate.windows.to_string(), "b=9/d");
    let Upstream { listen, timeout, total, max } = &settings.upstream;
    assert_eq!((listen.to_string(), *max), ("[::1]:1".into(), 4));
    assert_eq!([timeout, total].map(ToString::to_string), ["3s", "4s"]);
    let Retry { max_attempts, backoff, ratio, floor, burst } = &settings.retry;
    assert_eq!((max_attempts.get(), backoff.to_string()), (2, "5ms".into()));
    assert_eq!((ratio.to_string(), *floor, *burst), ("0.5".into(), 0, 6));
    let Breaker { rate, min, window, consecutive, open } = &settings.breaker;
    assert_eq!((rate.to_string(), *min, consecutive.get()), ("1".into(), 2, 3));
    assert_eq!([window, open].map(ToString::to_string), ["1m", "10ms"]);
    assert_eq!(loaded(&flags.split(' ').collect::<Vec<_>>(), &[]), settings);
    assert_eq!(loaded(&[], &variables), settings);
}

#[test]
fn a_flag_beats_a_variable_which_beats_the_file_which_beats_the_default() {
    let file = File::new("[limit_concurrency]\nmax = 1");
    let (config, flag) = (["--config", file.path()], ["--max-in-flight", "3"]);
    let variables = [("PALISADE_MAX_IN_FLIGHT", "2")];
    for (flags, variables, max) in [
        (vec![], &[] as Variables<'_>, 100),
        (config.to_vec(), &[], 1),
        (config.to_vec(), &variables, 2),
        (vec![], &variables, 2),
        ([config, flag].concat(), &variables, 3),
        ([config, flag].concat(), &[], 3),
        (flag.to_vec(), &variables, 3),
    ] {
        let settings = loaded(&flags, variables);
        assert_eq!(settings.limit_concurrency.max, max, "{flags:?} {variables:?}");
        // Nothing else has changed.
        let limit_concurrency = LimitConcurrency { max: 100 };
        assert_eq!(Settings { limit_concurrency, ..settings }, defaults());
    }
}

#[test]
fn settings_from_three_places_come_together() {
    let file = File::new(
        "log.format = 'json'\ntimeout.body = 'idle:500ms'\n\
         health.drain_delay = '6s'\n\
         limit_rate = { quota = '5000/h burst 6', key = 'header:x-tenant' }\n\
         upstream = { listen = '[::1]:1', max = 4 }\n\
         retry = { max_attempts = 2, ratio = 0.5, floor = 0, burst = 7 }\n\
         breaker = { rate = 1.0, min = 2, consecutive = 7 }",
    );
    let variables = [
        ("PALISADE_CONFIG", file.path()),
        ("PALISADE_GRACE", "90s"),
        ("PALISADE_HEARTBEAT", "20ms"),
        ("PALISADE_REQUEST_IDLE", "1s"),
        ("PALISADE_RATE", "5000/h"),
        ("PALISADE_RATE_HEADERS", "off"),
        ("PALISADE_RATE_WINDOWS", "b=9/d"),
        ("PALISADE_UPSTREAM_TIMEOUT", "3s"),
        ("PALISADE_RETRY_BURST", "6"),
        ("PALISADE_BREAKER_CONSECUTIVE", "3"),
    ];
    let flags = ["--max-in-flight", "0", "--listen=[::1]:0", "--timeout", "2s", "--burst", "7"];
    let more = ["--upstream-total", "4s", "--retry-backoff", "5ms", "--check-every", "7s"];
    let flags =
        [&flags[..], &["--breaker-window", "60s", "--breaker-open", "10ms"], &more].concat();
    let settings = loaded(&flags, &variables);
    assert_eq!(settings, from_file(EVERYTHING));
}

#[test]
fn the_flag_names_another_file_than_the_variable() {
    let (first, second) = (File::new("grace = '1s'"), File::new("grace = '2s'"));
    let variables = [("PALISADE_CONFIG", first.path())];
    assert_eq!(loaded(&["--config", second.path()], &variables).grace.to_string(), "2s");
}

#[test]
fn an_empty_file_and_empty_sections_change_nothing() {
    for content in
        ["", "# nothing\n", "[log]\n[timeout]\n[limit_concurrency]", "log = {}", "\u{feff}\r\n"]
    {
        assert_eq!(from_file(content), defaults(), "{content:?}");
    }
}

#[test]
fn numbers_of_a_file_may_be_written_as_toml_has_them() {
    for number in ["255", "0xff", "0b1111_1111", "+255", "2_5_5", "'255'"] {
        let settings = from_file(&format!("limit_concurrency.max = {number}"));
        assert_eq!(settings.limit_concurrency.max, 255, "{number}");
    }
}

#[test]
fn variables_of_others_are_none_of_ours() {
    let variables = [("PALISADES_GRACE", "x"), ("palisade_grace", "x"), ("MY_PALISADE_X", "x")];
    assert_eq!(loaded(&[], &variables), defaults());
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    for settings in [
        defaults(),
        from_file(EVERYTHING),
        from_file("grace = '1year 2months 3days 4h 5m 6s 7ms 8us 9ns'"),
        from_file("grace = '0s'"),
        from_file("timeout = { limit = '0s', body = 'excluded' }"),
        from_file("timeout.body = 'idle:1m 30s'"),
        from_file("limit_concurrency.max = 4294967295"),
        from_file("limit_rate.quota = '30/250ms burst 40'"),
        from_file("limit_rate.burst = 4294967295"),
        from_file("limit_rate.key = 'forwarded: 10.1.0.0/16, 2001:db8::1'"),
        from_file("limit_rate.windows = \"minute=100/min, a day's=5000/d burst 500\""),
        from_file("grace = '500000000000years'"),
        from_file("breaker = { rate = 1e-6, window = '100ms', open = '1day' }"),
    ] {
        let printed = settings.to_toml();
        assert_eq!(from_file(&printed), settings, "{printed}");
    }
}

#[test]
fn every_setting_is_printed_under_its_key() {
    let printed: Table = defaults().to_toml().parse().unwrap();
    let mut expected: Vec<_> = Settings::augment_args(Command::new("settings"))
        .get_arguments()
        .map(|setting| setting.get_id().to_string())
        .collect();
    let mut printed = keys(&printed);
    printed.sort();
    expected.sort();
    assert_eq!(printed, expected);
}

#[test]
fn the_file_that_shows_every_setting_has_each_at_its_default_and_under_a_comment() {
    let text = include_str!("../../palisade.toml");
    assert_eq!(text.parse::<Table>().unwrap(), defaults().to_toml().parse().unwrap());
    assert_eq!(from_file(text), defaults());

    for setting in Settings::augment_args(Command::new("settings")).get_arguments() {
        let name = setting.get_id().as_str().rsplit('.').next().unwrap();
        let flag = setting.get_long().unwrap();
        let names = format!("# [--{flag}, {}]\n{name} = ", known::variable(flag));
        assert!(text.contains(&names), "{names} is missing");
    }
}
