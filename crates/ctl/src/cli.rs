//! The command line's grammar, and the environment that stands in for global flags.

use crate::command::{
    alarm, auth, check, compact, completion, defrag, delete, downgrade, elect, endpoint, get, lease, lock,
    make_mirror, member, move_leader, put, role, snapshot, txn, user, watch,
};
use crate::context::write_out;
use crate::exit::{Failure, Result};
use crate::{go, log};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

const PREFIX: &str = "ETCDCTL_";

/// A parsed command line.
#[derive(Debug)]
pub struct Invocation {
    pub global: Global,
    pub command: Command,
    /// Global flags that were given, by the command line or the environment.
    given: Vec<String>,
}

impl Invocation {
    /// Whether a global flag was given.
    pub fn gives(&self, flag: &str) -> bool {
        self.given.iter().any(|given| given == flag)
    }
}

/// A command line client for Quorate and etcd.
#[derive(Parser, Debug)]
#[command(
    infer_subcommands = true,
    args_override_self = true,
    disable_version_flag = true
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of all commands; `options` lists them.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// addresses of members
    #[arg(long, global = true, value_delimiter = ',', default_value = "127.0.0.1:2379")]
    pub endpoints: Vec<String>,
    /// output format: fields, json, protobuf, simple or table
    #[arg(short, long, global = true, default_value = "simple")]
    pub write_out: String,
    /// show bytes and ids in hexadecimal
    #[arg(long, global = true)]
    pub hex: bool,
    /// time allowed for connecting
    #[arg(long, global = true, default_value = "2s", value_parser = go::parse_duration)]
    pub dial_timeout: Duration,
    /// time allowed for a short command
    #[arg(long, global = true, default_value = "5s", value_parser = go::parse_duration)]
    pub command_timeout: Duration,
    /// silence after which a connection is probed
    #[arg(long, global = true, default_value = "2s", value_parser = go::parse_duration)]
    pub keepalive_time: Duration,
    /// time a probe's answer may take
    #[arg(long, global = true, default_value = "6s", value_parser = go::parse_duration)]
    pub keepalive_timeout: Duration,
    /// largest request in bytes; 0 means 2 MiB
    #[arg(long, global = true, default_value = "0")]
    pub max_request_bytes: usize,
    /// largest response in bytes; 0 means 2 GiB
    #[arg(long, global = true, default_value = "0")]
    pub max_recv_bytes: usize,
    /// do without TLS where nothing asks for it
    #[arg(long, global = true, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub insecure_transport: bool,
    /// accept endpoints without TLS from DNS
    #[arg(long, global = true, default_value = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub insecure_discovery: bool,
    /// accept any server certificate; for tests only
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
    /// our TLS certificate
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub cert: String,
    /// key of our TLS certificate
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub key: String,
    /// authorities that sign servers' certificates
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub cacert: String,
    /// token to authenticate with, instead of user and password
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub auth_jwt_token: String,
    /// user, or user:password
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub user: String,
    /// password, if the user does not hold it
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub password: String,
    /// domain whose SRV records name the endpoints
    #[arg(
        short = 'd',
        long,
        global = true,
        default_value = "",
        hide_default_value = true
    )]
    pub discovery_srv: String,
    /// service name of the SRV records
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub discovery_srv_name: String,
    /// show the effective flags
    #[arg(long, global = true)]
    pub debug: bool,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Read a key or a range of keys
    Get(get::Flags),
    /// Write a key
    Put(put::Flags),
    /// Delete a key or a range of keys
    Del(delete::Flags),
    /// Read a transaction from the standard input and execute it
    Txn(txn::Flags),
    /// Forget the history before a revision
    Compaction(compact::Flags),
    /// Follow the changes of keys
    Watch(watch::Flags),
    /// Leases
    #[command(subcommand, infer_subcommands = true)]
    Lease(lease::Command),
    /// Alarms
    #[command(subcommand, infer_subcommands = true)]
    Alarm(alarm::Command),
    /// Give unused space of members back
    Defrag(defrag::Flags),
    /// State of endpoints
    Endpoint(endpoint::Flags),
    /// Hand leadership over to another member
    MoveLeader(move_leader::Flags),
    /// Members of the cluster
    #[command(subcommand, infer_subcommands = true)]
    Member(member::Command),
    /// Copies of a member's store
    #[command(subcommand, infer_subcommands = true)]
    Snapshot(snapshot::Command),
    /// Downgrade of the cluster
    #[command(subcommand, infer_subcommands = true)]
    Downgrade(downgrade::Command),
    /// Hold a lock, and run a program meanwhile
    Lock(lock::Flags),
    /// Take part in an election, or follow it
    Elect(elect::Flags),
    /// Authentication on or off
    #[command(subcommand, infer_subcommands = true)]
    Auth(auth::Command),
    /// Users
    #[command(subcommand, infer_subcommands = true)]
    User(user::Command),
    /// Roles
    #[command(subcommand, infer_subcommands = true)]
    Role(role::Command),
    /// Copy keys to another cluster, and go on with their changes
    MakeMirror(make_mirror::Flags),
    /// Measure the cluster
    #[command(subcommand, infer_subcommands = true)]
    Check(check::Command),
    /// Versions of this program
    Version,
    /// A completion script for a shell
    Completion(completion::Flags),
    /// The flags that all commands have
    Options,
}

/// Parses a command line, the program's name first. Help is shown here and ends the program with success.
pub fn parse(args: Vec<OsString>) -> Result<Invocation> {
    let mut args = args;
    let matches = matches(&args)?;
    let from_environment = environment(&matches)?;
    let matches = if from_environment.is_empty() {
        matches
    } else {
        let at = args.len().min(1);
        args.splice(at..at, from_environment);
        self::matches(&args)?
    };
    let given = grammar()
        .get_arguments()
        .filter(|arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine))
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
    let cli = Cli::from_arg_matches(&matches).map_err(Failure::error)?;
    Ok(Invocation {
        global: cli.global,
        command: cli.command,
        given,
    })
}

fn matches(args: &[OsString]) -> Result<ArgMatches> {
    let hidden = grammar().mut_args(|arg| arg.hide(true));
    hidden.try_get_matches_from(args).map_err(refusal)
}

/// A refusal of the grammar in cobra's words; help is shown here.
fn refusal(error: clap::Error) -> Failure {
    use clap::error::{ContextKind, ErrorKind};
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let name = program_name();
    let given = context(ContextKind::InvalidArg);
    let message = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let text = format!("{error}\nUse \"{name} options\" for the flags that all commands have.\n");
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
        _ => error.kind().to_string(),
    };
    Failure::error(format!("{message}\nRun '{name} --help' for usage."))
}

/// The grammar, with what cobra does and clap leaves to choose: truth values may be spelled out (`--prefix=false`),
/// flags may be repeated, and values may begin with a hyphen.
pub fn grammar() -> clap::Command {
    let name = program_name();
    adapt(Cli::command()).name(name.clone()).bin_name(name)
}

pub(crate) fn adapt(command: clap::Command) -> clap::Command {
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

/// `etcdctl` where it is installed under that name.
pub fn program_name() -> String {
    let called = std::env::args_os().next();
    let name = called
        .as_deref()
        .map(Path::new)
        .and_then(Path::file_name)
        .and_then(OsStr::to_str);
    match name {
        Some("etcdctl") => "etcdctl".to_owned(),
        _ => "quoratectl".to_owned(),
    }
}

/// The environment's part of the command line: global flags that it sets.
fn environment(matches: &ArgMatches) -> Result<Vec<OsString>> {
    let mut args = Vec::new();
    let mut known = vec![
        "ETCDCTL_WATCH_KEY".to_owned(),
        "ETCDCTL_WATCH_RANGE_END".to_owned(),
    ];
    for arg in grammar().get_arguments() {
        let Some(long) = arg.get_long() else {
            continue;
        };
        let variable = variable(long);
        known.push(variable.clone());
        let Some(value) = std::env::var_os(&variable).filter(|value| !value.is_empty()) else {
            continue;
        };
        if matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine) {
            let message = "conflicting environment variable is shadowed by corresponding command-line flag \
                           (either unset environment variable or disable flag))";
            log("fatal", message, &[("environment-variable", &variable)]);
            return Err(Failure::silent(1));
        }
        let mut flag = OsString::from(format!("--{long}="));
        flag.push(value);
        args.push(flag);
    }
    for (name, value) in std::env::vars_os() {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if name.starts_with(PREFIX) && !known.iter().any(|known| *known == name) {
            let setting = format!("{name}={value}");
            log(
                "warn",
                "unrecognized environment variable",
                &[("environment-variable", &setting)],
            );
        }
    }
    Ok(args)
}

/// Name of the environment variable for a flag.
pub fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_uppercase().replace('-', "_"))
}
