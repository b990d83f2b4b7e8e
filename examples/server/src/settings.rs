//! What can be set, and what is accepted.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;

/// A small HTTP service behind Palisade's layers.
///
/// Logs go to stderr; `RUST_LOG=debug` shows every request. SIGTERM or Ctrl-C finishes the requests
/// in flight. The process ends with 0 when all of them were finished, with 1 when some were cut off
/// or it could not start, and with 2 when an argument is wrong.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Settings {
    /// Where to listen. Port 0 takes any free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    #[arg(value_parser = address)]
    pub(crate) listen: SocketAddr,

    /// How many requests may be in flight at once; the next one is answered 429. 0 refuses all.
    // By Little's law 100 in flight are 1,000 a second for requests that take 100 ms, as /work does
    // unless asked otherwise, and few enough that one line of shell goes over the limit.
    #[arg(long, value_name = "N", default_value = "100")]
    #[arg(value_parser = count, allow_negative_numbers = true)]
    pub(crate) max_in_flight: usize,

    /// How long requests in flight may go on after SIGTERM or Ctrl-C. A second one ends it.
    // Below the 30 s after which Kubernetes kills a container that was told to stop.
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    #[arg(value_parser = duration, allow_negative_numbers = true)]
    pub(crate) grace: Duration,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an address such as 127.0.0.1:3000 or [::1]:3000")
}

fn count(text: &str) -> Result<usize, String> {
    text.parse::<u32>()
        .ok()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| format!("expected a whole number from 0 to {}", u32::MAX))
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text)
        .map_err(|_| "expected a duration such as 500ms, 20s or 1m 30s, with its unit")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn without_arguments_it_listens_on_port_3000_of_this_machine_only() {
        let settings = Settings::parse_from(["server"]);
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(settings.max_in_flight, 100);
        assert_eq!(settings.grace, Duration::from_secs(20));
    }

    #[test]
    fn everything_can_be_set() {
        let arguments = "server --listen [::1]:0 --max-in-flight 0 --grace 1m30s";
        let settings = Settings::parse_from(arguments.split(' '));
        assert_eq!(settings.listen.to_string(), "[::1]:0");
        assert_eq!(settings.max_in_flight, 0);
        assert_eq!(settings.grace, Duration::from_secs(90));
    }
}
