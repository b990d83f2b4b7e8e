//! Settings from environment variables.

use std::{collections::BTreeMap, ffi::OsString};

use super::known::{Finding, Known, PREFIX, flag, variable};

const PLACE: &str = "environment";

/// The variables that are meant for this program, by name.
pub(super) fn ours(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, OsString> {
    environment
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

pub(super) fn read(known: &Known, variables: &BTreeMap<String, OsString>) -> Vec<Finding> {
    let read = |(name, value): (&String, &OsString)| match known
        .settings()
        .find(|setting| variable(flag(setting)) == *name)
    {
        Some(setting) => known.check(setting, value, PLACE, name),
        None => Err(unknown(known, name)),
    };
    variables.iter().map(read).collect()
}

fn unknown(known: &Known, name: &str) -> String {
    let hint = match known.variable_like(&name[PREFIX.len()..]) {
        Some(variable) => format!("did you mean '{variable}'?"),
        None => "--help names those there are".to_owned(),
    };
    format!("{PLACE}: unknown variable '{}'; {hint}", name.escape_debug())
}
