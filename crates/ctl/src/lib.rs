//! The command line: etcdctl's commands, flags, environment, exit codes and output, on top of the client crate.
//!
//! Knows nothing of the server. What goes to the standard output is made by pure functions of the responses
//! ([`print`]), so that its form can be tested without one.

mod cli;
mod command;
mod context;
mod exit;
pub mod go;
pub mod grammar;
mod log;
pub mod print;

pub use command::{txn, watch_args};
pub use context::write_out;
pub use exit::Failure;
use log::log;

use std::ffi::OsString;
use std::process::ExitCode;

/// Version of etcd whose command line this is.
pub const ETCD_VERSION: &str = "3.7.1";

/// Runs one command line, the program's name first.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let invocation = match cli::parse(args) {
        Ok(invocation) => invocation,
        Err(failure) => return failure.report(),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::io(error).report(),
    };
    let result = runtime.block_on(command::run(invocation));
    // A read of the standard input cannot be interrupted: nobody waits for it.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
