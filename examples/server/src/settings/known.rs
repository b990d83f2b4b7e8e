//! The settings there are, under their names.

use std::{
    error::Error,
    ffi::{OsStr, OsString},
};

use clap::{Arg, Args, Command, builder::PossibleValue, error::ErrorKind};

use super::Settings;

/// What every environment variable begins with.
pub(super) const PREFIX: &str = "PALISADE_";

/// A setting's key and its value as text; or a line that says what is wrong, and where.
pub(super) type Finding = Result<(String, OsString), String>;

/// What clap knows of the settings, and of nothing else.
pub(super) struct Known(Command);

impl Known {
    pub(super) fn new() -> Self {
        Self(Settings::augment_args(Command::new("settings").no_binary_name(true)))
    }

    pub(super) fn settings(&self) -> impl Iterator<Item = &Arg> {
        self.0.get_arguments()
    }

    pub(super) fn by_key(&self, path: &str) -> Option<&Arg> {
        self.settings().find(|setting| key(setting) == path)
    }

    /// The keys and sections right in the section at `path`, or at the top for "".
    pub(super) fn names_in(&self, path: &str) -> Vec<&str> {
        let name = |key| Some(within(key, path)?.split('.').next().unwrap_or(key));
        let mut names: Vec<_> = self.settings().map(key).filter_map(name).collect();
        // The settings of a section follow each other.
        names.dedup();
        names
    }

    /// Tries `value` as the flag's, so that it means the same wherever it stands.
    pub(super) fn check(&self, setting: &Arg, value: &OsStr, place: &str, name: &str) -> Finding {
        let mut argument = OsString::from(format!("--{}=", flag(setting)));
        argument.push(value);
        match self.0.clone().try_get_matches_from([argument]) {
            Ok(_) => Ok((key(setting).to_owned(), value.to_owned())),
            Err(error) => {
                let value = value.to_string_lossy();
                Err(invalid(place, name, &value, &accepted(setting, &error)))
            }
        }
    }

    /// The variable that somebody may have meant by `name`, which lacks the prefix.
    pub(super) fn variable_like(&self, name: &str) -> Option<String> {
        let names = self.settings().flat_map(|setting| {
            [flag(setting), key(setting)].map(|spelling| (spelling, variable(flag(setting))))
        });
        nearest(name, names.chain([("config", variable("config"))]))
    }

    /// The key or section that somebody may have meant by `name` in the section at `path`.
    pub(super) fn key_like(&self, name: &str, path: &str) -> Option<String> {
        let names = self.settings().flat_map(|setting| {
            let key = key(setting);
            let section = key.split_once('.').map_or(key, |(section, _)| section);
            let spelling = within(key, path).unwrap_or(key);
            [(spelling, key), (flag(setting), key), (section, section)]
                .map(|(spelling, shown)| (spelling, shown.to_owned()))
        });
        nearest(name, names)
    }
}

/// Where the setting stands in the file.
pub(super) fn key(setting: &Arg) -> &str {
    setting.get_id().as_str()
}

/// The setting's flag, without the dashes.
pub(super) fn flag(setting: &Arg) -> &str {
    setting.get_long().expect("every setting has a flag")
}

/// The environment variable of a flag.
pub(super) fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_uppercase().replace('-', "_"))
}

/// One line; quotes and line ends in the value are escaped.
pub(super) fn invalid(place: &str, name: &str, value: &str, accepted: &str) -> String {
    format!("{place}: invalid value '{}' for '{name}': {accepted}", value.escape_debug())
}

/// What is left of the key in the section, if it is in there.
fn within<'a>(key: &'a str, section: &str) -> Option<&'a str> {
    if section.is_empty() { Some(key) } else { key.strip_prefix(section)?.strip_prefix('.') }
}

fn accepted(setting: &Arg, error: &clap::Error) -> String {
    let possible = setting.get_possible_values();
    let possible: Vec<_> = possible.iter().map(PossibleValue::get_name).collect();
    match error.source() {
        _ if !possible.is_empty() => format!("expected {}", possible.join(" or ")),
        Some(source) => source.to_string(),
        None if error.kind() == ErrorKind::InvalidUtf8 => "expected UTF-8".to_owned(),
        None => error.kind().to_string(),
    }
}

/// What is shown for the spelling nearest to `name`, if no more than every third letter differs.
fn nearest<'a>(name: &str, names: impl Iterator<Item = (&'a str, String)>) -> Option<String> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '.'], "_");
    let name = plain(name);
    names
        .map(|(spelling, shown)| (strsim::damerau_levenshtein(&name, &plain(spelling)), shown))
        .filter(|(distance, _)| distance * 3 <= name.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, shown)| shown)
}
