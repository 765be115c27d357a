//! The commands, one file each.

pub mod alarm;
pub mod auth;
pub mod check;
pub mod check_datascale;
pub mod check_perf;
pub mod compact;
pub mod completion;
pub mod defrag;
pub mod delete;
pub mod downgrade;
pub mod elect;
pub mod endpoint;
pub mod get;
pub mod lease;
pub mod lock;
pub mod make_mirror;
pub mod member;
pub mod move_leader;
pub mod put;
pub mod role;
pub mod snapshot;
pub mod txn;
pub mod user;
pub mod watch;
pub mod watch_args;

use crate::ETCD_VERSION;
use crate::cli::{Command, Invocation, grammar};
use crate::context::{Context, say, write_out};
use crate::exit::{Failure, Result};
use bytes::Bytes;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Carries a command out.
pub async fn run(invocation: Invocation) -> Result {
    match &invocation.command {
        Command::Version => return version(),
        Command::Completion(flags) => return completion::run(flags),
        Command::Options => return options(),
        _ => {}
    }
    let (context, command) = Context::new(invocation).await?;
    match command {
        Command::Get(flags) => get::run(&context, flags).await,
        Command::Put(flags) => put::run(&context, flags).await,
        Command::Del(flags) => delete::run(&context, flags).await,
        Command::Txn(flags) => txn::run(&context, flags).await,
        Command::Compaction(flags) => compact::run(&context, flags).await,
        Command::Watch(flags) => watch::run(&context, flags).await,
        Command::Lease(command) => lease::run(&context, command).await,
        Command::Alarm(command) => alarm::run(&context, command).await,
        Command::Defrag(flags) => defrag::run(&context, flags).await,
        Command::Endpoint(flags) => endpoint::run(&context, flags).await,
        Command::MoveLeader(flags) => move_leader::run(&context, flags).await,
        Command::Member(command) => member::run(&context, command).await,
        Command::Snapshot(command) => snapshot::run(&context, command).await,
        Command::Downgrade(command) => downgrade::run(&context, command).await,
        Command::Lock(flags) => lock::run(&context, flags).await,
        Command::Elect(flags) => elect::run(&context, flags).await,
        Command::Auth(command) => auth::run(&context, command).await,
        Command::User(command) => user::run(&context, command).await,
        Command::Role(command) => role::run(&context, command).await,
        Command::MakeMirror(flags) => make_mirror::run(&context, flags).await,
        Command::Check(command) => check::run(&context, command).await,
        Command::Version | Command::Completion(_) | Command::Options => Ok(()),
    }
}

fn version() -> Result {
    let (api, _) = ETCD_VERSION.rsplit_once('.').unwrap_or((ETCD_VERSION, ""));
    say(format!("etcdctl version: {ETCD_VERSION}"))?;
    say(format!("API version: {api}"))?;
    say(format!("quoratectl version: {}", env!("CARGO_PKG_VERSION")))
}

fn options() -> Result {
    say("The following options can be passed to any command:\n")?;
    let grammar = grammar();
    let flags = grammar.get_arguments().filter_map(|arg| {
        let short = arg
            .get_short()
            .map_or("    ".to_owned(), |short| format!("-{short}, "));
        let defaults: Vec<_> = arg
            .get_default_values()
            .iter()
            .map(|value| value.to_string_lossy())
            .collect();
        let default = match defaults.join(",") {
            none if none.is_empty() || none == "false" => String::new(),
            default => format!(" (default {default})"),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        Some(format!("  {short}--{:<28}{help}{default}\n", arg.get_long()?))
    });
    write_out(flags.collect::<String>().as_bytes())
}

/// An argument's bytes: keys and values need not be text.
pub(crate) fn to_bytes(argument: &OsStr) -> Bytes {
    Bytes::copy_from_slice(argument.as_bytes())
}

/// The only argument, or the usage error.
pub(crate) fn single<'a, T>(args: &'a [T], usage: &str) -> Result<&'a T> {
    match args {
        [one] => Ok(one),
        _ => Err(Failure::arguments(usage)),
    }
}

/// Refuses arguments.
pub(crate) fn none<T>(args: &[T], usage: &str) -> Result {
    match args {
        [] => Ok(()),
        _ => Err(Failure::arguments(usage)),
    }
}

/// Reads a member id.
pub(crate) fn member_id(text: &str) -> Result<u64> {
    u64::from_str_radix(text, 16).map_err(|error| {
        let reason = number_error("ParseUint", text, error.kind());
        Failure::arguments(format!("bad member ID arg ({reason}), expecting ID in Hex"))
    })
}

/// Go's text for a number that is none.
pub(crate) fn number_error(function: &str, text: &str, kind: &std::num::IntErrorKind) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let reason = match kind {
        PosOverflow | NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!(
        "strconv.{function}: parsing {}: {reason}",
        crate::go::quote(text.as_bytes())
    )
}

/// `l` or `s`: whether a read may be answered from the endpoint's own state.
pub(crate) fn is_serializable(consistency: &str) -> Result<bool> {
    match consistency {
        "l" => Ok(false),
        "s" => Ok(true),
        _ => Err(Failure::feature(format!(
            "unknown consistency flag {}",
            crate::go::quote(consistency.as_bytes())
        ))),
    }
}

/// Key and end of the range that a command names: one key, `[key, end)`, a prefix, or everything from a key on.
pub(crate) fn key_range(
    key: &OsStr,
    end: Option<&OsString>,
    prefix: bool,
    from_key: bool,
) -> Result<(Bytes, Bytes)> {
    let everything = Bytes::from_static(&[0]);
    let key = to_bytes(key);
    match end {
        Some(_) if prefix || from_key => Err(Failure::arguments(
            "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
        )),
        Some(end) => Ok((key, to_bytes(end))),
        None if (prefix || from_key) && key.is_empty() => Ok((everything.clone(), everything)),
        None if prefix => {
            let end = client::kv::prefix_end(&key);
            Ok((key, end))
        }
        None if from_key => Ok((key, everything)),
        None => Ok((key, Bytes::new())),
    }
}
