//! Settings from a file and from the environment, as the process sees them.

use std::{env, fs, process::Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::process::{Server, command, soon};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/palisade.toml");

/// Runs it to its end; returns its exit code, what it printed and what it complained of.
async fn run(
    arguments: &[&str],
    variables: &[(&str, &str)],
    stdin: &str,
) -> (Option<i32>, String, String) {
    let mut command = command();
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).await.unwrap();
    let output = soon("its end", child.wait_with_output()).await.unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|s| String::from_utf8(s).unwrap());
    (output.status.code(), stdout, stderr)
}

#[tokio::test]
async fn it_prints_what_the_file_the_environment_and_the_flags_come_to() {
    let arguments = [
        "--config",
        FILE,
        "--print-config",
        "--grace",
        "90s",
        "--timeout=2s",
        "--breaker-rate=.25",
    ];
    let variables =
        [("PALISADE_MAX_IN_FLIGHT", "7"), ("PALISADE_GRACE", "1h"), ("PALISADE_BURST", "9")];
    let (code, printed, said) = run(&arguments, &variables, "").await;
    assert_eq!((code, &*said), (Some(0), ""));
    let expected = "listen = \"127.0.0.1:3000\"\ngrace = \"1m 30s\"\n\n\
                    [log]\nformat = \"text\"\n\n\
                    [timeout]\nlimit = \"2s\"\nbody = \"within\"\n\n\
                    [limit_concurrency]\nmax = 7\n\n\
                    [limit_rate]\nquota = \"1000/s\"\nburst = 9\nwindows = \"none\"\n\
                    key = \"peer\"\n\
                    headers = \"draft\"\n\n\
                    [request_body_timeout]\nidle = \"5s\"\n\n\
                    [upstream]\nlisten = \"127.0.0.1:0\"\ntimeout = \"2s\"\ntotal = \"5s\"\n\
                    max = 50\n\n\
                    [retry]\nmax_attempts = 3\nbackoff = \"50ms\"\nratio = 0.1\nfloor = 0\nburst = 10\n\n\
                    [breaker]\nrate = 0.25\nmin = 20\nwindow = \"10s\"\nconsecutive = 5\n\
                    open = \"5s\"\n";
    assert_eq!(printed, expected);
}

#[cfg(unix)]
#[tokio::test]
async fn what_it_prints_can_be_piped_into_another() {
    let (_, printed, _) = run(&["--print-config", "--max-in-flight", "7"], &[], "").await;
    let again = run(&["--config", "/dev/stdin", "--print-config"], &[], &printed).await;
    assert_eq!(again, (Some(0), printed, String::new()));
}

#[tokio::test]
async fn a_server_takes_its_limit_from_the_environment() {
    let server = Server::start_with(&[], &[("PALISADE_MAX_IN_FLIGHT", "0")]).await;
    assert_eq!(server.http1().get("/").await.status(), 429);
}

#[tokio::test]
async fn a_server_takes_its_limit_from_a_file() {
    let path = env::temp_dir().join(format!("palisade-process-{}.toml", std::process::id()));
    fs::write(&path, "[limit_concurrency]\nmax = 0\n").unwrap();
    let server = Server::start(&["--config", path.to_str().unwrap()]).await;
    // It reads the file once, before it listens.
    fs::remove_file(&path).unwrap();
    assert_eq!(server.http1().get("/").await.status(), 429);
}

#[tokio::test]
async fn what_is_wrong_ends_it_with_2_before_it_listens() {
    let (code, printed, said) = run(
        &["--config", "no/such.toml"],
        &[("PALISADE_GRACE", "20"), ("PALISADE_LISTN", "[::]:0")],
        "",
    )
    .await;
    assert_eq!((code, &*printed), (Some(2), ""));
    assert_eq!(said.lines().count(), 4, "{said}");
    assert!(said.starts_with("error: 3 settings are wrong\n"), "{said}");
    for part in ["'no/such.toml' (--config)", "'20' for 'PALISADE_GRACE'", "'PALISADE_LISTEN'?"] {
        assert!(said.contains(part), "{said}");
    }
    // Nor is what is wrong printed.
    let (code, printed, _) = run(&["--print-config"], &[("PALISADE_GRACE", "20")], "").await;
    assert_eq!((code, &*printed), (Some(2), ""));
}

#[cfg(unix)]
#[tokio::test]
async fn a_json_log_is_a_json_object_a_line() {
    let variables = [("RUST_LOG", "debug"), ("PALISADE_LOG_FORMAT", "json")];
    let server = Server::start_with(&["--max-in-flight", "0"], &variables).await;
    assert_eq!(server.http1().get("/work").await.status(), 429);
    server.signal("TERM").await;
    let (code, log) = server.ended().await;
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["level"] == "DEBUG" && line["span"]["uri"] == "/work"));
    let stopping = lines.iter().find(|line| line["signal"] == "SIGTERM").unwrap();
    assert_eq!(stopping["level"], "INFO");
    assert_eq!(stopping["message"], "Finishing the requests in flight");
    assert_eq!(stopping["in_flight"], 0);
}
