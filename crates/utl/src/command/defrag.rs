//! `defrag`

use crate::cli::Defrag;
use crate::directory::{Directory, replace_database};
use crate::{Result, log};
use ctl::Failure;
use std::path::Path;
use std::time::Duration;

pub fn run(flags: &Defrag, timeout: Duration) -> Result {
    let dir = &flags.data_dir;
    defragment(dir, timeout).map_err(|failure| {
        let reason = failure.message.unwrap_or_default();
        Failure::error(format!(
            "Failed to defragment etcd data[{}] ({reason})",
            dir.display()
        ))
    })
}

fn defragment(dir: &Path, timeout: Duration) -> Result {
    let shown = dir.display().to_string();
    log("info", "defragmenting", &[("path", &shown)]);
    let (before, after) = match Directory::find(dir)? {
        Directory::Etcd { database } => {
            let len = || std::fs::metadata(&database).map(|found| found.len()).unwrap_or(0);
            let before = len();
            replace_database(&database, None, timeout)?;
            (before, len())
        }
        Directory::Quorate(store) => {
            let backend = store.open(timeout)?;
            let (keys, _) =
                mvcc::Store::open(backend.clone(), mvcc::Options::default()).map_err(Failure::error)?;
            let before = backend.sizes().map_err(Failure::error)?.disk;
            // What compactions have marked and not removed yet goes first.
            while let mvcc::Progress::More { .. } = keys.compaction_step(1000).map_err(Failure::error)? {}
            backend.reclaim().map_err(Failure::error)?;
            keys.defragmented().map_err(Failure::error)?;
            backend.flush().map_err(Failure::error)?;
            (before, backend.sizes().map_err(Failure::error)?.disk)
        }
    };
    log(
        "info",
        "finished defragmenting directory",
        &[
            ("path", &shown),
            (
                "current-db-size-bytes-diff",
                &(after as i64 - before as i64).to_string(),
            ),
            ("current-db-size", &ctl::go::bytes(after)),
        ],
    );
    Ok(())
}
