//! What a setting may be, as text that a person writes.

use std::{
    fmt::{self, Display},
    net::SocketAddr,
    num::NonZeroU32,
    str::FromStr,
    time::Duration,
};

use palisade::timeout::BodyLimit;
use serde::{Serialize, Serializer};

pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an address such as 127.0.0.1:3000 or [::1]:3000")
}

pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse::<u32>()
        .ok()
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| format!("expected a whole number from 0 to {}", u32::MAX))
}

/// At least one.
pub(super) fn many(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| format!("expected a whole number from 1 to {}", NonZeroU32::MAX))
}

/// A duration, read and written with its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Period(pub(crate) Duration);

impl FromStr for Period {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| "expected a duration such as 500ms, 20s or 1m 30s, with its unit")
    }
}

impl Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How the time of an answer's body is bounded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BodyTime {
    Within,
    Idle(Period),
    Excluded,
}

impl From<BodyTime> for BodyLimit {
    fn from(time: BodyTime) -> Self {
        match time {
            BodyTime::Within => Self::Within,
            BodyTime::Idle(Period(longest)) => Self::Idle(longest),
            BodyTime::Excluded => Self::Excluded,
        }
    }
}

impl FromStr for BodyTime {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "within" => Some(Self::Within),
            "excluded" => Some(Self::Excluded),
            _ => {
                text.strip_prefix("idle:").and_then(|longest| longest.parse().ok()).map(Self::Idle)
            }
        }
        .ok_or("expected within, excluded, or idle with a duration, such as idle:5s")
    }
}

impl Display for BodyTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within => f.write_str("within"),
            Self::Idle(longest) => write!(f, "idle:{longest}"),
            Self::Excluded => f.write_str("excluded"),
        }
    }
}

impl Serialize for BodyTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
