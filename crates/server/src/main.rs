//! The member's process: parse, build, wait, drain.

use server::command_line::{self, Request};
use server::{gateway_command, logging, run, signal};
use std::process::ExitCode;
use tracing::{error, warn};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    failpoint::start();
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|word| word == "gateway").is_some() {
        return gateway_command::run(args);
    }
    let config = match command_line::parse(args, std::env::vars()) {
        Ok(Request::Run(config)) => *config,
        Ok(Request::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(refusal) => return refusal.report(),
    };
    if let Err(refusal) = logging::init(&config.log) {
        eprintln!("{refusal}");
        return ExitCode::FAILURE;
    }
    for warning in &config.warnings {
        warn!("{warning}");
    }
    // The allocator asks for huge pages. With many small objects of different ages they cost some 40 MB and gain nothing
    // that could be measured.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        warn!(%error, "huge pages stay enabled; memory use may be higher");
    }
    match run::run(config) {
        Ok(Some(signal)) => signal::die_by(signal),
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "the member stopped");
            ExitCode::FAILURE
        }
    }
}
