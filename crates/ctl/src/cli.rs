//! The command line's grammar, and the environment that stands in for global flags.

use crate::command::{
    alarm, auth, check, compact, completion, defrag, delete, downgrade, elect, endpoint, get, lease, lock,
    make_mirror, member, move_leader, put, role, snapshot, txn, user, watch,
};
use crate::exit::{Failure, Result};
use crate::{go, grammar, log};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
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
    hidden.try_get_matches_from(args).map_err(|error| {
        let name = program_name();
        let hint = format!("\nUse \"{name} options\" for the flags that all commands have.\n");
        grammar::refusal(&error, &name, &hint)
    })
}

/// The grammar.
pub fn grammar() -> clap::Command {
    let name = program_name();
    grammar::adapt(Cli::command()).name(name.clone()).bin_name(name)
}

/// `etcdctl` where it is installed under that name.
pub fn program_name() -> String {
    grammar::program_name("etcdctl", "quoratectl")
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
