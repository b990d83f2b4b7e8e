//! What is said of what is wrong.

use super::*;

fn refused(flags: &[&str], variables: Variables<'_>) -> String {
    let error = try_load(flags, variables).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

/// What is said of a file, in which it is called `FILE`.
fn refused_file(content: &str) -> String {
    let file = File::new(content);
    refused(&["--config", file.path()], &[]).replace(file.path(), "FILE")
}

#[test]
fn a_wrong_value_in_a_file_is_answered_by_its_place_its_key_itself_and_what_is_accepted() {
    let number = "expected a whole number from 0 to 4294967295";
    let address = "expected an address such as 127.0.0.1:3000 or [::1]:3000";
    let duration = "expected a duration such as 500ms, 20s or 1m 30s, with its unit";
    let rule = "expected within, excluded, or idle with a duration, such as idle:5s";
    let burst = "expected quota, or a whole number from 1 to 4294967295";
    let key = "expected peer, header with a name, such as header:x-api-key, or forwarded with the \
               networks of your proxies, such as forwarded:10.0.0.0/8,2001:db8::/32";
    let share = "expected a share of calls, above 0 and at most 1, such as 0.5";
    let least = "expected a whole number from 1 to 16777216";
    let successes = "expected a share of successes, above 0 and at most 1, such as 0.1";
    let backoff = "expected a duration from 0s to 1m, such as 50ms";
    let many = "expected a whole number from 1 to 4294967295";
    let heartbeat = "expected a duration from 10ms to 1day, such as 3s";
    let check_every = "expected a duration from 1ms to 1day, such as 2s";
    let window = "expected a duration from 100ms to 1day, such as 10s";
    let found = |window: &str| {
        format!(
            "expected none, or names with a quota each, such as minute=100/min, daily=5000/d burst \
             500, and found {window:?}"
        )
    };
    for (content, place, value, key, accepted) in [
        ("listen = 3000", "1:10", "3000", "listen", address),
        ("listen = 'localhost:3000'", "1:10", "localhost:3000", "listen", address),
        ("\ngrace = 20", "2:9", "20", "grace", duration),
        ("grace = '-1s'", "1:9", "-1s", "grace", duration),
        ("grace = ['1s']", "1:9", "[\\'1s\\']", "grace", duration),
        ("grace = \"a\\nb\"", "1:9", "a\\nb", "grace", duration),
        ("[timeout]\nlimit = 2", "2:9", "2", "timeout.limit", duration),
        ("health.drain_delay = 5", "1:22", "5", "health.drain_delay", duration),
        ("health.heartbeat = '9ms'", "1:20", "9ms", "health.heartbeat", heartbeat),
        ("health.heartbeat = '25h'", "1:20", "25h", "health.heartbeat", heartbeat),
        ("health.check_every = '0s'", "1:22", "0s", "health.check_every", check_every),
        ("timeout.body = 'idle'", "1:16", "idle", "timeout.body", rule),
        ("timeout.body = 'idle:5'", "1:16", "idle:5", "timeout.body", rule),
        ("timeout.body = '5s'", "1:16", "5s", "timeout.body", rule),
        ("timeout.body = 'Within'", "1:16", "Within", "timeout.body", rule),
        ("timeout.body = false", "1:16", "false", "timeout.body", rule),
        ("limit_rate.burst = 0", "1:20", "0", "limit_rate.burst", burst),
        ("limit_rate.burst = '-1'", "1:20", "-1", "limit_rate.burst", burst),
        ("limit_rate.key = 'Peer'", "1:18", "Peer", "limit_rate.key", key),
        ("limit_rate.key = 'peer:'", "1:18", "peer:", "limit_rate.key", key),
        ("limit_rate.key = 'header'", "1:18", "header", "limit_rate.key", key),
        ("limit_rate.key = 'header:a b'", "1:18", "header:a b", "limit_rate.key", key),
        ("limit_rate.key = 'forwarded:'", "1:18", "forwarded:", "limit_rate.key", key),
        (
            "limit_rate.key = 'forwarded:::1,10.0.0.0/33'",
            "1:18",
            "forwarded:::1,10.0.0.0/33",
            "limit_rate.key",
            key,
        ),
        ("limit_rate.headers = 'on'", "1:22", "on", "limit_rate.headers", "expected draft or off"),
        (
            "[limit_rate]\nquota = 20",
            "2:9",
            "20",
            "limit_rate.quota",
            "\"20\" is no quota: write a number, a slash and an interval (ns, us, ms, s, min, h or d), \
             and perhaps a burst, as in 100/s, 20/min, 3/250ms, 1/d or 5000/h burst 200",
        ),
        ("limit_rate.windows = 7", "1:22", "7", "limit_rate.windows", &found("7")),
        ("limit_rate.windows = ''", "1:22", "", "limit_rate.windows", &found("")),
        ("limit_rate.windows = 'a=1/s,'", "1:22", "a=1/s,", "limit_rate.windows", &found("")),
        ("retry.ratio = 0", "1:15", "0", "retry.ratio", successes),
        ("retry.ratio = 20.0", "1:15", "20.0", "retry.ratio", successes),
        ("retry.max_attempts = 0", "1:22", "0", "retry.max_attempts", many),
        ("retry.backoff = '61s'", "1:17", "61s", "retry.backoff", backoff),
        ("retry.floor = -1", "1:15", "-1", "retry.floor", number),
        ("retry.burst = 1.5", "1:15", "1.5", "retry.burst", number),
        ("breaker.rate = 0.0", "1:16", "0.0", "breaker.rate", share),
        ("breaker.rate = 1.01", "1:16", "1.01", "breaker.rate", share),
        ("breaker.rate = nan", "1:16", "nan", "breaker.rate", share),
        ("breaker.rate = 'half'", "1:16", "half", "breaker.rate", share),
        ("breaker.min = 16777217", "1:15", "16777217", "breaker.min", least),
        ("breaker.window = '99ms'", "1:18", "99ms", "breaker.window", window),
        ("breaker.window = '25h'", "1:18", "25h", "breaker.window", window),
        ("log.format = 'xml'", "1:14", "xml", "log.format", "expected text or json"),
        ("log.format = true", "1:14", "true", "log.format", "expected text or json"),
        ("log = 'json'", "1:7", "\\'json\\'", "log", "expected a section, [log]"),
        ("[[log]]", "1:1", "[[log]]", "log", "expected a section, [log]"),
        (
            "[limit_concurrency]\nmax = 4294967296",
            "2:7",
            "4294967296",
            "limit_concurrency.max",
            number,
        ),
        ("limit_concurrency = {\t'max'= 1.5}", "1:30", "1.5", "limit_concurrency.max", number),
        ("# \u{e9}\nlimit_concurrency.max = -1", "2:25", "-1", "limit_concurrency.max", number),
    ] {
        let line =
            format!("error: FILE:{place}: invalid value '{value}' for '{key}': {accepted}\n");
        assert_eq!(refused_file(content), line);
    }
}

#[test]
fn an_unknown_key_is_answered_by_the_nearest_or_by_those_there_are() {
    let top = "expected listen, grace, log, health, timeout, limit_concurrency, limit_rate, \
               request_body_timeout, upstream, retry, breaker";
    for (content, place, key, hint) in [
        ("lisen = 1", "1:1", "lisen", "did you mean 'listen'?"),
        ("Grace = '1s'", "1:1", "Grace", "did you mean 'grace'?"),
        ("port = 1", "1:1", "port", top),
        ("max_in_flight = 1", "1:1", "max_in_flight", "did you mean 'limit_concurrency.max'?"),
        ("[log]\nfromat = 1", "2:1", "log.fromat", "did you mean 'log.format'?"),
        ("[log]\nlevel = 1", "2:1", "log.level", "expected format"),
        ("[limit-concurrency]", "1:2", "limit-concurrency", "did you mean 'limit_concurrency'?"),
        ("timeout = { limits = 1 }", "1:13", "timeout.limits", "did you mean 'timeout.limit'?"),
        ("timeout.idle = 1", "1:9", "timeout.idle", "expected limit, body"),
        ("request_idle = 1", "1:1", "request_idle", "did you mean 'request_body_timeout.idle'?"),
        ("log.max = 1", "1:5", "log.max", "expected format"),
        ("'log.format' = 1", "1:1", "\"log.format\"", "did you mean 'log.format'?"),
        ("'' = 1", "1:1", "\"\"", top),
        ("config = 1", "1:1", "config", top),
    ] {
        let line = format!("error: FILE:{place}: unknown key '{key}'; {hint}\n");
        assert_eq!(refused_file(content), line, "{content}");
    }
}

#[test]
fn of_wrong_windows_the_first_is_answered_by_what_is_wrong_with_it() {
    let eight: Vec<_> = ('a'..='h').map(|name| format!("{name}=1/s")).collect();
    let no_name =
        |name: &str| format!("{name:?} is no name: write printable ASCII, without \" and \\");
    for (windows, said) in [
        ("=1/s", no_name("")),
        (" =1/s", no_name("")),
        ("t\u{e4}glich=1/d", no_name("t\u{e4}glich")),
        ("a\"b=1/d", no_name("a\"b")),
        ("a\\b=1/d", no_name("a\\b")),
        ("a\tb=1/d", no_name("a\tb")),
        ("a=1/s, b=2/s, a=3/s", "expected each name once, and a is there twice".to_owned()),
        ("default=1/d", "default is the name of the window that the quota makes".to_owned()),
        ("a=1/s, b=fast", "of b: \"fast\" is no quota: write a number, a slash and".to_owned()),
        ("a=b=1/s", "of a: \"b=1/s\" is no quota: write".to_owned()),
        ("a=1/d burst", "of a: \"1/d burst\" is no quota: write".to_owned()),
        ("a=1/1us", "of a: 1µs is no interval for a quota: it is between".to_owned()),
        ("a=1/366d burst 37", "of a: 37 is no burst for this quota: the bucket".to_owned()),
        (&eight.join(","), "expected at most 7 windows, and 8 are there".to_owned()),
    ] {
        let line = refused(&[], &[("PALISADE_RATE_WINDOWS", windows)]);
        let value = windows.escape_debug();
        let start = "error: environment: invalid value '";
        let start = format!("{start}{value}' for 'PALISADE_RATE_WINDOWS': {said}");
        assert!(line.starts_with(&start), "{line} for {start}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn what_is_no_toml_is_answered_by_its_place() {
    for (content, place) in [
        ("grace = ", "1:9"),
        ("grace = '\u{e9}' 1", "1:13"),
        ("a = 1\ngrace 1", "2:7"),
        ("grace = '1s'\ngrace = '2s'", "2:1"),
    ] {
        let said = refused_file(content);
        assert!(said.starts_with(&format!("error: FILE:{place}: ")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_so_is_who_named_it() {
    let said = refused(&["--config", "no/such.toml"], &[]);
    assert!(said.starts_with("error: cannot read 'no/such.toml' (--config): "), "{said}");
    for path in ["no/such.toml", "/", ""] {
        let said = refused(&[], &[("PALISADE_CONFIG", path)]);
        let start = format!("error: cannot read '{path}' (PALISADE_CONFIG): ");
        assert!(said.starts_with(&start), "{said}");
    }
}

#[test]
fn a_wrong_variable_is_answered_by_its_name_its_value_and_what_is_accepted() {
    for (name, value, accepted) in [
        ("PALISADE_LISTEN", "", "an address such as 127.0.0.1:3000 or [::1]:3000"),
        ("PALISADE_MAX_IN_FLIGHT", "--help", "a whole number from 0 to 4294967295"),
        ("PALISADE_LOG_FORMAT", "JSON", "text or json"),
        (
            "PALISADE_TIMEOUT_BODY",
            "idle 5s",
            "within, excluded, or idle with a duration, such as idle:5s",
        ),
    ] {
        let line = format!(
            "error: environment: invalid value '{value}' for '{name}': expected {accepted}\n"
        );
        assert_eq!(refused(&[], &[(name, value)]), line);
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error_in_its_own_words() {
    use std::os::unix::ffi::OsStringExt;

    let variable = ("PALISADE_GRACE".into(), OsString::from_vec(b"1\xff".to_vec()));
    let said = load(["server"], [variable]).unwrap_err().to_string();
    let value = "1\u{fffd}";
    let line = format!("invalid value '{value}' for 'PALISADE_GRACE': expected UTF-8\n");
    assert_eq!(said, format!("error: environment: {line}"));
}

#[test]
fn an_unknown_variable_is_answered_by_the_nearest() {
    let none = "--help names those there are";
    for (name, hint) in [
        ("PALISADE_LISTN", "did you mean 'PALISADE_LISTEN'?"),
        ("PALISADE_CONFG", "did you mean 'PALISADE_CONFIG'?"),
        ("PALISADE_LIMIT_RATE_QUOTA", "did you mean 'PALISADE_RATE'?"),
        ("PALISADE_LIMIT_CONCURRENCY_MAX", "did you mean 'PALISADE_MAX_IN_FLIGHT'?"),
        ("PALISADE_TIMEOUT_LIMIT", "did you mean 'PALISADE_TIMEOUT'?"),
        ("PALISADE_PRINT_CONFIG", none),
        ("PALISADE_max_in_flight", "did you mean 'PALISADE_MAX_IN_FLIGHT'?"),
        ("PALISADE_", none),
    ] {
        let line = format!("error: environment: unknown variable '{name}'; {hint}\n");
        assert_eq!(refused(&[], &[(name, "1")]), line);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_from_top_to_bottom_even_if_it_would_not_count() {
    let file = File::new("limit_concurrency.max = -1\ngrace = 1\n[tls]\n");
    let flags = ["--config", file.path(), "--max-in-flight", "1"];
    let variables = [("PALISADE_X", "1"), ("PALISADE_GRACE", "x"), ("PALISADE_LISTEN", "[::]:0")];
    let said = refused(&flags, &variables).replace(file.path(), "FILE");
    let starts = [
        "error: 5 settings are wrong",
        "  FILE:1:25: invalid value '-1'",
        "  FILE:2:9: invalid value '1'",
        "  FILE:3:2: unknown key 'tls'",
        "  environment: invalid value 'x' for 'PALISADE_GRACE'",
        "  environment: unknown variable 'PALISADE_X'",
    ];
    assert_eq!(said.lines().count(), starts.len(), "{said}");
    for (line, start) in said.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_wrong_flag_is_told_before_the_rest_is_looked_at_and_help_needs_none_of_it() {
    let variables = [("PALISADE_X", "1"), ("PALISADE_CONFIG", "no/such.toml")];
    assert!(refused(&["--grace", "1"], &variables).contains("'1' for '--grace <DURATION>'"));
    let help = try_load(&["--help"], &variables).unwrap_err();
    assert_eq!(help.exit_code(), 0);
    for name in [
        "[env: PALISADE_CONFIG]",
        "[env: PALISADE_GRACE] [key: grace]",
        "[env: PALISADE_TIMEOUT_BODY] [key: timeout.body]",
    ] {
        assert!(help.to_string().contains(name), "{help}");
    }
}
