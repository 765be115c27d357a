//! The command line's grammar.

use crate::Result;
use crate::directory::Engine;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use ctl::{go, grammar};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Tools for files of Quorate and etcd.
#[derive(Parser, Debug)]
#[command(
    infer_subcommands = true,
    args_override_self = true,
    disable_version_flag = true
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of all commands.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// time to wait for a file or directory that another process has; 0 waits for ever
    #[arg(long, global = true, default_value = "10s", value_parser = go::parse_duration)]
    pub timeout: Duration,
    /// output format: fields, json, protobuf, simple or table
    #[arg(short, long, global = true, default_value = "simple")]
    pub write_out: String,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Give unused space of a data directory back that no server runs on
    Defrag(Defrag),
    /// Hash the history of keys, as endpoint hashkv does
    Hashkv(HashKv),
    /// Snapshots
    #[command(subcommand, infer_subcommands = true)]
    Snapshot(Snapshot),
    /// Make a data directory fit for another version of etcd
    Migrate(Migrate),
    /// Versions of this program
    Version,
    /// A completion script for a shell
    Completion(Completion),
}

#[derive(Args, Debug)]
pub struct Defrag {
    /// data directory of Quorate or etcd
    #[arg(long)]
    pub data_dir: PathBuf,
}

#[derive(Args, Debug)]
pub struct HashKv {
    /// a snapshot, a database file of etcd, or a data directory
    pub args: Vec<PathBuf>,
    /// newest revision that is hashed; 0 hashes all
    #[arg(long, default_value = "0", value_parser = grammar::parse_int)]
    pub rev: i64,
}

#[derive(Subcommand, Debug)]
pub enum Snapshot {
    /// Make a member's data directory from a snapshot
    Restore(Restore),
    /// Check a snapshot and say what is in it
    Status(Status),
}

#[derive(Args, Debug)]
pub struct Status {
    /// the snapshot
    pub args: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Restore {
    /// the snapshot
    pub args: Vec<PathBuf>,
    /// the data directory to make [default: NAME.etcd]
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// directory of the raft log, where it is not inside the data directory
    #[arg(long)]
    pub wal_dir: Option<PathBuf>,
    /// the first members, as name=url,name=url
    #[arg(long, default_value = "default=http://localhost:2380")]
    pub initial_cluster: String,
    /// tells clusters apart that have the same URLs
    #[arg(long, default_value = "etcd-cluster")]
    pub initial_cluster_token: String,
    /// where this member's peers reach it
    #[arg(long, default_value = "http://localhost:2380", value_delimiter = ',')]
    pub initial_advertise_peer_urls: Vec<String>,
    /// name of this member
    #[arg(long, default_value = "default")]
    pub name: String,
    /// take a database without a hash, or with a wrong one: a copy from a data directory has none
    #[arg(long)]
    pub skip_hash_check: bool,
    /// has no effect: files are not mapped
    #[arg(long, default_value = "10737418240")]
    pub initial_memory_map_size: u64,
    /// revisions to skip, so that clients see none of them twice
    #[arg(long, default_value = "0")]
    pub bump_revision: u64,
    /// compact all revisions up to the newest; goes with --bump-revision
    #[arg(long)]
    pub mark_compacted: bool,
    /// storage engine of the data directory, as the server's storage.backend
    #[arg(long, value_enum, default_value = "rocksdb")]
    pub storage_backend: Engine,
}

#[derive(Args, Debug)]
pub struct Migrate {
    /// data directory of Quorate or etcd
    #[arg(long)]
    pub data_dir: PathBuf,
    /// version of etcd, as 3.6; 3.5 or newer
    #[arg(long)]
    pub target_version: String,
    /// change the version even if the way there is unknown
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct Completion {
    /// bash, zsh, fish or powershell
    pub args: Vec<String>,
}

/// Parses a command line, the program's name first. Help is shown here and ends the program with success.
pub fn parse(args: Vec<OsString>) -> Result<Cli> {
    let matches = grammar()
        .try_get_matches_from(args)
        .map_err(|error| grammar::refusal(&error, &program_name(), ""))?;
    Cli::from_arg_matches(&matches).map_err(ctl::Failure::error)
}

pub fn grammar() -> clap::Command {
    let name = program_name();
    grammar::adapt(Cli::command()).name(name.clone()).bin_name(name)
}

/// `etcdutl` where it is installed under that name.
pub fn program_name() -> String {
    grammar::program_name("etcdutl", "quorateutl")
}
