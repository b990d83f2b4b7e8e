//! Further windows of the rate limit, as text that a person writes.

use std::{
    fmt::{self, Display},
    str::FromStr,
};

use palisade::limit_rate::Quota;

/// Names and quotas, each name once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RateWindows(Vec<(String, Quota)>);

/// What the layer has room for, besides the one that it always has.
pub(crate) const MOST: usize = 7;

/// What the layer calls the window that it always has.
const FIRST: &str = "default";

impl RateWindows {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, Quota)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromStr for RateWindows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut windows: Vec<(String, Quota)> = Vec::new();
        if text == "none" {
            return Ok(Self(windows));
        }
        for text in text.split(',') {
            let (name, quota) = window(text)?;
            if name == FIRST {
                return Err(format!("{FIRST} is the name of the window that the quota makes"));
            }
            if windows.iter().any(|(known, _)| *known == name) {
                return Err(format!("expected each name once, and {name} is there twice"));
            }
            windows.push((name, quota));
        }
        if windows.len() > MOST {
            return Err(format!(
                "expected at most {MOST} windows, and {} are there",
                windows.len()
            ));
        }
        Ok(Self(windows))
    }
}

fn window(text: &str) -> Result<(String, Quota), String> {
    let (name, quota) = text.split_once('=').ok_or_else(|| {
        format!(
            "expected none, or names with a quota each, such as \
             minute=100/min, daily=5000/d burst 500, and found {:?}",
            text.trim()
        )
    })?;
    let name = name.trim();
    // What a header can hold as it is.
    let plain = |letter| matches!(letter, ' '..='~') && !matches!(letter, '"' | '\\');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("{name:?} is no name: write printable ASCII, without \" and \\"));
    }
    let quota = quota.trim().parse().map_err(|error| format!("of {name}: {error}"))?;
    Ok((name.to_owned(), quota))
}

impl Display for RateWindows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (nth, (name, quota)) in self.0.iter().enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={quota}")?;
        }
        Ok(())
    }
}
