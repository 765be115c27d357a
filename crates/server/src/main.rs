//! The member's process: parse, build, wait, drain.

use server::command_line::{self, Request};
use server::{gateway_command, logging, run, signal};
use std::process::ExitCode;
use tracing::{error, warn};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc reads before `main`. Two arenas, since memory that is freed in one is no use to another; free pages go
/// back to the system within half a second.
// SAFETY: jemalloc looks for a C string under this name, a pointer to bytes that never change and end with a zero; no
// other item of the program has the name.
#[unsafe(export_name = "malloc_conf")]
static ALLOCATOR_SETTINGS: AllocatorSettings =
    AllocatorSettings(c"background_thread:true,narenas:2,dirty_decay_ms:500,muzzy_decay_ms:0".as_ptr());

#[repr(transparent)]
struct AllocatorSettings(*const std::ffi::c_char);

// SAFETY: the pointer is to a constant, which every thread may read.
unsafe impl Sync for AllocatorSettings {}

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    failpoint::start();
    let args = match command_line::arguments(std::env::args_os().skip(1)) {
        Ok(args) => args,
        Err(refusal) => return refusal.report(),
    };
    if let Some(("gateway", args)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return gateway_command::run(args.iter().cloned());
    }
    let parsed = command_line::environment(std::env::vars_os())
        .and_then(|environment| command_line::parse(args, environment));
    let config = match parsed {
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
