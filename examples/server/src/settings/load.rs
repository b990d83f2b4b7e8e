//! Brings together what the file, the environment and the flags say.

use std::{ffi::OsString, path::PathBuf};

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, error::ErrorKind};

use super::{
    Settings, environment, file,
    known::{Known, flag, key, variable},
};

/// A small HTTP service behind Palisade's layers.
///
/// Logs go to stderr; `RUST_LOG=debug` shows every request. SIGTERM or Ctrl-C finishes the requests
/// in flight. The process ends with 0 when all of them were finished, with 1 when some were cut off
/// or it could not start, and with 2 when a setting is wrong.
///
/// Flags beat environment variables, [env], which beat the keys of a file, [key], which beat the
/// defaults. Unknown variables that begin with PALISADE_ are errors, as unknown keys are.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct CommandLine {
    /// A TOML file to take settings from.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,

    /// Prints all settings, as a file for --config, and ends.
    #[arg(long)]
    pub(crate) print_config: bool,

    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// What is to be done, and with which settings: a flag beats a variable, which beats the file, which
/// beats the default.
///
/// # Errors
///
/// A wrong flag, or whatever is wrong in the file and the environment, overridden or not: a typo that
/// does no harm today is one all the same. `--help` and `--version` come as errors, too.
pub(crate) fn load(
    arguments: impl IntoIterator<Item = impl Into<OsString>>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<CommandLine, clap::Error> {
    let known = Known::new();
    let mut command = command(&known);
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let flags = command.clone().try_get_matches_from(&arguments)?;

    let mut variables = environment::ours(environment);
    let from_variable = variables.remove(&variable("config")).map(PathBuf::from);
    let mut found = match config(&flags, from_variable) {
        Some((path, named_by)) => file::read(&known, &path, &named_by),
        None => Vec::new(),
    };
    found.extend(environment::read(&known, &variables));

    // The later ones replace the earlier ones, and a flag replaces any default.
    let mut wrong = Vec::new();
    for finding in found {
        match finding {
            Ok((key, value)) => command = command.mut_arg(key, |arg| arg.default_value(value)),
            Err(line) => wrong.push(line),
        }
    }
    if !wrong.is_empty() {
        return Err(refusal(&wrong));
    }
    let asked = CommandLine::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
    match asked.settings.limit_rate.whole() {
        Ok(_) => Ok(asked),
        Err(error) => Err(refusal(&[format!("limit_rate.burst (--burst): {error}")])),
    }
}

/// The command line, of which `--help` also says what else each setting is called.
pub(super) fn command(known: &Known) -> Command {
    let names = known.settings().map(|setting| {
        (key(setting), format!("[env: {}] [key: {}]", variable(flag(setting)), key(setting)))
    });
    let names = names.chain([("config", format!("[env: {}]", variable("config")))]);
    names.fold(CommandLine::command(), |command, (id, names)| {
        command.mut_arg(id, |arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.long_help(format!("{help}.\n\n{names}"))
        })
    })
}

/// The file to read, and who names it.
fn config(flags: &ArgMatches, from_variable: Option<PathBuf>) -> Option<(PathBuf, String)> {
    match flags.get_one::<PathBuf>("config") {
        Some(path) => Some((path.clone(), "--config".to_owned())),
        None => from_variable.map(|path| (path, variable("config"))),
    }
}

fn refusal(wrong: &[String]) -> clap::Error {
    let message = match wrong {
        [line] => format!("{line}\n"),
        lines => format!("{} settings are wrong\n  {}\n", lines.len(), lines.join("\n  ")),
    };
    clap::Error::raw(ErrorKind::ValueValidation, message)
}
