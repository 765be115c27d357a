//! A load generator for anything that speaks etcd's v3 API, and reports that compare two servers.
//!
//! What it is for: measuring a server, so it must cost less than one. Its requests are bytes appended to a buffer, its
//! HTTP/2 is the part a gRPC client needs, and one thread serves thousands of clients. What it is not for: judging client
//! libraries, TLS, or authentication, none of which it has.
//!
//! Knows the messages of the API and nothing of Quorate's inside.

mod caller;
mod clock;
mod director;
mod error;
mod grpc;
mod http2;
mod keys;
mod options;
mod outcome;
mod pace;
mod progress;
mod report;
mod server;
mod stage;
mod stats;
mod unary;
mod wire;
mod workloads;

use clap::{Parser, Subcommand};
use error::{Error, Result};
use options::Options;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "quorate-bench",
    version,
    about = "Load generator for etcd v3 endpoints"
)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run a workload and print what it found
    Run {
        /// Name of the workload; `list` shows them
        #[arg(value_parser = clap::builder::PossibleValuesParser::new(workloads::ALL.iter().map(|one| one.name)))]
        workload: String,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Show the workloads
    List,
    /// Compare the results of two servers
    Report {
        /// Results as --json writes them, one to a line, labelled NAME.SERVER.ROUND
        file: PathBuf,
        /// The server to speak for
        #[arg(long, default_value = "quorate")]
        ours: String,
        /// The one to compare it with
        #[arg(long, default_value = "etcd")]
        theirs: String,
        /// Where to draw throughput against latency, of what was run with several numbers of clients
        #[arg(long, value_name = "DIRECTORY")]
        charts: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Command::parse().action {
        Action::List => {
            for workload in workloads::ALL {
                println!("{:16} {}", workload.name, workload.about);
            }
            Ok(())
        }
        Action::Run { workload, options } => run(&workload, &options),
        Action::Report {
            file,
            ours,
            theirs,
            charts,
        } => report::report(&file, &ours, &theirs, charts.as_deref()).map(|text| print!("{text}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quorate-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, options: &Options) -> Result<()> {
    let workload = workloads::ALL.iter().find(|workload| workload.name == name);
    let outcome = workloads::run(workload.expect("clap knows the names"), options)?;
    print!("{}", outcome.table());
    if let Some(path) = &options.json {
        let text = serde_json::to_string(&outcome).expect("plain data is JSON");
        std::fs::write(path, text + "\n").map_err(|source| Error::File {
            path: path.display().to_string(),
            source,
        })?;
    }
    Ok(())
}
