//! How much a client is allowed, and who is one, as text that a person writes.

use std::{
    fmt::{self, Display},
    net::IpAddr,
    num::NonZeroU32,
    str::FromStr,
};

use axum::http::HeaderName;
use clap::ValueEnum;
use palisade::{key::IpNet, limit_rate::RateLimitHeaders};
use serde::{Serialize, Serializer};

/// A value as it is shown, which is how it is read.
pub(super) fn shown<S: Serializer>(value: &impl Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// How much is allowed at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Burst {
    /// What the quota says of it.
    OfQuota,
    Of(NonZeroU32),
}

impl FromStr for Burst {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "quota" => Ok(Self::OfQuota),
            number => number.parse().map(Self::Of).map_err(|_| {
                format!("expected quota, or a whole number from 1 to {}", NonZeroU32::MAX)
            }),
        }
    }
}

impl Serialize for Burst {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::OfQuota => serializer.serialize_str("quota"),
            Self::Of(number) => number.serialize(serializer),
        }
    }
}

/// By what clients are told apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RateKey {
    Peer,
    Header(HeaderName),
    Forwarded(Vec<IpNet>),
}

impl FromStr for RateKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "peer" => Some(Self::Peer),
            Some(("header", name)) => name.parse().ok().map(Self::Header),
            Some(("forwarded", proxies)) => networks(proxies).map(Self::Forwarded),
            _ => None,
        }
        .ok_or(
            "expected peer, header with a name, such as header:x-api-key, or forwarded with the \
             networks of your proxies, such as forwarded:10.0.0.0/8,2001:db8::/32",
        )
    }
}

fn networks(text: &str) -> Option<Vec<IpNet>> {
    let network = |text: &str| {
        let single = |_| text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(single).ok()
    };
    text.split(',').map(|text| network(text.trim())).collect()
}

impl Display for RateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer => f.write_str("peer"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Forwarded(proxies) => {
                let proxies: Vec<_> = proxies.iter().map(ToString::to_string).collect();
                write!(f, "forwarded:{}", proxies.join(","))
            }
        }
    }
}

/// Which headers tell a client how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub(crate) enum RateHeaders {
    Draft,
    Off,
}

impl From<RateHeaders> for RateLimitHeaders {
    fn from(headers: RateHeaders) -> Self {
        match headers {
            RateHeaders::Draft => Self::Draft,
            RateHeaders::Off => Self::Off,
        }
    }
}
