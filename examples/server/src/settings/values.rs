//! What a setting may be, as text that a person writes.

use std::{
    fmt::{self, Display},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

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
