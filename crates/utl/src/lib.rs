//! Tools for files at rest: etcdutl's commands, flags, exit codes and output.
//!
//! Works on data directories that nobody runs on, ours and etcd's, and on snapshots, which are the same for both. Knows
//! neither servers nor the network.

mod cli;
mod command;
mod directory;
mod log;
mod print;
mod progress;

use ctl::Failure;
use log::log;
use std::ffi::OsString;
use std::process::ExitCode;

/// Version of etcd whose command line this is.
pub const ETCD_VERSION: &str = "3.7.1";

type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Runs one command line, the program's name first.
pub fn run(args: Vec<OsString>) -> ExitCode {
    match cli::parse(args).and_then(command::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
