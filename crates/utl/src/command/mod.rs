//! The commands.

mod completion;
mod defrag;
mod hash_kv;
mod migrate;
mod restore;
mod status;

use crate::cli::{Cli, Command, Snapshot};
use crate::print::Format;
use crate::{ETCD_VERSION, Result};
use ctl::{Failure, write_out};
use std::path::Path;

pub fn run(cli: Cli) -> Result {
    let timeout = cli.global.timeout;
    let format = || Format::parse(&cli.global.write_out);
    match &cli.command {
        Command::Defrag(flags) => defrag::run(flags, timeout),
        Command::Hashkv(flags) => hash_kv::run(flags, timeout, format()?),
        Command::Snapshot(Snapshot::Restore(flags)) => restore::run(flags, timeout),
        Command::Snapshot(Snapshot::Status(flags)) => status::run(flags, timeout, format),
        Command::Migrate(flags) => migrate::run(flags, timeout),
        Command::Version => {
            let (major_minor, _) = ETCD_VERSION.rsplit_once('.').unwrap_or((ETCD_VERSION, ""));
            let name = crate::cli::program_name();
            write_out(format!("{name} version: {ETCD_VERSION}\nAPI version: {major_minor}\n").as_bytes())
        }
        Command::Completion(flags) => completion::run(flags),
    }
}

/// Go's words for a file that is not there.
fn must_exist(path: &Path) -> Result {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            };
            Err(Failure::error(format!("stat {}: {reason}", path.display())))
        }
    }
}
