//! What etcd's command lines have in common, all of which are made with Go's cobra.

use crate::context::write_out;
use crate::exit::Failure;
use crate::go;
use clap::{Arg, ArgAction};
use std::error::Error;
use std::ffi::OsStr;
use std::path::Path;

/// What cobra does and clap leaves to choose: truth values may be spelled out (`--prefix=false`), flags may be
/// repeated, and values may begin with a hyphen.
pub fn adapt(command: clap::Command) -> clap::Command {
    let subcommands: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let mut command = command
        .args_override_self(true)
        .mut_args(|arg| match arg.get_action() {
            ArgAction::SetTrue => truth(arg),
            ArgAction::Set | ArgAction::Append
                if arg.get_long().is_some() && arg.get_num_args().is_none() =>
            {
                arg.allow_hyphen_values(true)
            }
            _ => arg,
        });
    for name in subcommands {
        command = command.mut_subcommand(name, adapt);
    }
    command
}

fn truth(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value("false")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// A refusal of the grammar in cobra's words; help is shown here.
///
/// `hint` ends the help.
pub fn refusal(error: &clap::Error, name: &str, hint: &str) -> Failure {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let given = context(ContextKind::InvalidArg);
    let message = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let text = format!("{error}{hint}");
            // Help that nobody can see helps nobody.
            _ = write_out(text.as_bytes());
            return Failure::silent(0);
        }
        ErrorKind::InvalidSubcommand => {
            let command = context(ContextKind::InvalidSubcommand);
            format!("unknown command {} for \"{name}\"", go::quote(command.as_bytes()))
        }
        ErrorKind::UnknownArgument if given.starts_with("--") => format!("unknown flag: {given}"),
        ErrorKind::UnknownArgument => {
            let letter = given.trim_start_matches('-').chars().next().unwrap_or('-');
            format!("unknown shorthand flag: '{letter}' in {given}")
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let flag = given.split([' ', '[', '=']).next().unwrap_or_default();
            let value = go::quote(context(ContextKind::InvalidValue).as_bytes());
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            format!("invalid argument {value} for \"{flag}\" flag: {reason}")
        }
        ErrorKind::MissingRequiredArgument => {
            let names: Vec<String> = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(names)) => names.iter().map(|name| flag_name(name)).collect(),
                _ => Vec::new(),
            };
            format!("required flag(s) {} not set", names.join(", "))
        }
        _ => error.kind().to_string(),
    };
    Failure::error(format!("{message}\nRun '{name} --help' for usage."))
}

/// `"data-dir"` of `--data-dir <DATA_DIR>`.
fn flag_name(shown: &str) -> String {
    let name = shown.split(' ').next().unwrap_or(shown);
    go::quote(name.trim_start_matches('-').as_bytes())
}

/// Reads a number as Go's flags do, with Go's words for what is none.
pub fn parse_int(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        let quoted = go::quote(text.as_bytes());
        format!("strconv.ParseInt: parsing {quoted}: invalid syntax")
    })
}

/// `theirs` where the program is installed under that name, else `ours`.
pub fn program_name(theirs: &str, ours: &str) -> String {
    let called = std::env::args_os().next();
    let name = called
        .as_deref()
        .map(Path::new)
        .and_then(Path::file_name)
        .and_then(OsStr::to_str);
    match name {
        Some(name) if name == theirs => theirs.to_owned(),
        _ => ours.to_owned(),
    }
}
