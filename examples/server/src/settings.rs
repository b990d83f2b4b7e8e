//! What can be set, and what is accepted.
//!
//! A field is a setting, under three names. Its `id` is the key in the file, a section for each
//! layer: `limit_concurrency.max`. Its `long` is the flag, `--max-in-flight`, which says the same
//! out of any section. The variable is the flag's in capitals: `PALISADE_MAX_IN_FLIGHT`. A new
//! setting is a field here and its lines in `palisade.toml`; tests tell when either is missing.
//!
//! A value is one word or number, so that a flag and a variable can hold it as well as a file can.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use palisade::limit_rate::{InvalidQuota, Quota};
use serde::Serialize;

pub(crate) use self::{
    health::Health,
    load::load,
    rate::{Burst, RateHeaders, RateKey},
    retry::Retry,
    upstream::{Breaker, Upstream},
    values::{BodyTime, Period},
    windows::RateWindows,
};
use self::{
    rate::shown,
    values::{address, count},
};

mod environment;
mod file;
mod health;
mod known;
mod load;
mod rate;
mod retry;
mod upstream;
mod values;
mod windows;

/// All that can be set.
#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Settings {
    /// Where to listen. Port 0 takes any free one.
    #[arg(id = "listen", long, value_name = "ADDR", default_value = "127.0.0.1:3000")]
    #[arg(value_parser = address, allow_hyphen_values = true)]
    pub(crate) listen: SocketAddr,

    /// How long requests in flight may go on once new ones are refused. A second signal ends it.
    // With the delay before it below the 30 s after which Kubernetes kills a container.
    #[arg(id = "grace", long, value_name = "DURATION", default_value = "20s")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) grace: Period,

    #[command(flatten)]
    pub(crate) log: Log,

    #[command(flatten)]
    pub(crate) health: Health,

    #[command(flatten)]
    pub(crate) timeout: Timeout,

    #[command(flatten)]
    pub(crate) limit_concurrency: LimitConcurrency,

    #[command(flatten)]
    pub(crate) limit_rate: LimitRate,

    #[command(flatten)]
    pub(crate) request_body_timeout: RequestBodyTimeout,

    #[command(flatten)]
    pub(crate) upstream: Upstream,

    #[command(flatten)]
    pub(crate) retry: Retry,

    #[command(flatten)]
    pub(crate) breaker: Breaker,
}

#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Log {
    /// How each line of the log is written.
    #[arg(id = "log.format", long = "log-format", value_name = "FORMAT", default_value = "text")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Timeout {
    /// How long a request may take; then it is answered 503. 0s refuses all.
    // Below the grace, so that what is in flight at a signal comes to an end by itself.
    #[arg(id = "timeout.limit", long = "timeout", value_name = "DURATION", default_value = "10s")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) limit: Period,

    /// What bounds an answer's body: within that time, idle:5s or another longest silence, excluded.
    #[arg(id = "timeout.body", long = "timeout-body", value_name = "RULE")]
    #[arg(default_value = "within", allow_hyphen_values = true)]
    pub(crate) body: BodyTime,
}

#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LimitConcurrency {
    /// How many requests may be in flight at once; the next one is answered 429. 0 refuses all.
    // By Little's law 100 in flight are 1,000 a second for requests that take 100 ms, as /work does
    // unless asked otherwise, and few enough that one line of shell goes over the limit.
    #[arg(id = "limit_concurrency.max", long = "max-in-flight", value_name = "N")]
    #[arg(default_value = "100", value_parser = count, allow_hyphen_values = true)]
    pub(crate) max: usize,
}

#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LimitRate {
    /// How often a client may ask, as 20/s or 100/min burst 5; what is more is answered 429.
    // What 100 in flight come to in a second, see there: nobody meets it before it is set.
    #[arg(id = "limit_rate.quota", long = "rate", value_name = "QUOTA", default_value = "1000/s")]
    #[arg(allow_hyphen_values = true)]
    #[serde(serialize_with = "shown")]
    pub(crate) quota: Quota,

    /// How many requests a client may send at once: a number, or what the quota says of it.
    #[arg(id = "limit_rate.burst", long = "burst", value_name = "N", default_value = "quota")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) burst: Burst,

    /// Further quotas beside it, by name, as minute=100/min, daily=5000/d; or none.
    // How long a day is for a client, no default can know.
    #[arg(id = "limit_rate.windows", long = "rate-windows", value_name = "WINDOWS")]
    #[arg(default_value = "none", allow_hyphen_values = true)]
    #[serde(serialize_with = "shown")]
    pub(crate) windows: RateWindows,

    /// Who is a client: each peer, header:NAME, or forwarded:CIDR,… behind proxies of these networks.
    // Nobody is behind a proxy unless somebody says so, and who is not can write any header.
    #[arg(id = "limit_rate.key", long = "rate-key", value_name = "KEY", default_value = "peer")]
    #[arg(allow_hyphen_values = true)]
    #[serde(serialize_with = "shown")]
    pub(crate) key: RateKey,

    /// Whether every answer tells its client how it stands, or refusals alone.
    // They cost an allocation, and are what there is to see here.
    #[arg(id = "limit_rate.headers", long = "rate-headers", value_name = "HEADERS")]
    #[arg(default_value = "draft", allow_hyphen_values = true)]
    pub(crate) headers: RateHeaders,
}

impl LimitRate {
    /// The quota and the burst in one.
    ///
    /// # Errors
    ///
    /// When they do not go together.
    pub(crate) fn whole(&self) -> Result<Quota, InvalidQuota> {
        match self.burst {
            Burst::OfQuota => Ok(self.quota),
            Burst::Of(number) => self.quota.try_with_burst(number),
        }
    }
}

#[derive(Args, Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RequestBodyTimeout {
    /// How long a client may be silent in the middle of a request; then it is answered 408.
    // Below the timeout, which would speak first, and long enough to lose a packet twice. It begins
    // with the body. For the head there is no setting, since axum::serve has none: see serve.rs.
    #[arg(id = "request_body_timeout.idle", long = "request-idle", value_name = "DURATION")]
    #[arg(default_value = "5s", allow_hyphen_values = true)]
    pub(crate) idle: Period,
}

impl Settings {
    /// As a file that `--config` reads.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("sections of words and numbers are TOML")
    }
}

#[cfg(test)]
mod tests;
