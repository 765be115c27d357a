//! The data directory of an etcd that was stopped: its database becomes a store, its log is gone on with.
//!
//! The log needs nothing: its files and entries have etcd's form. The database holds what entries up to its
//! `consistent_index` did; those after it are applied by the member as after any restart.

use anyhow::{Context, bail};
use backup::Database;
use model::Command;
use node::StoreOpener;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use tracing::info;
use wal::{Recovered, Wal};

/// Makes a store where the directory holds etcd's database and no store yet. The database stays as it is.
pub fn take_over(data_dir: &Path, log_dir: &Path, open_store: &StoreOpener) -> anyhow::Result<()> {
    let Some(database) = backup::etcd_database(data_dir)? else {
        return Ok(());
    };
    let doing = || {
        format!(
            "{} is the database of an etcd, which this member cannot go on with; start that etcd again, take a snapshot of \
             it, and see quorateutl snapshot restore",
            database.display()
        )
    };
    convert(&data_dir.join("member"), &database, log_dir, open_store).with_context(doing)
}

fn convert(member: &Path, path: &Path, log_dir: &Path, open_store: &StoreOpener) -> anyhow::Result<()> {
    let file = File::open(path)?;
    // As etcd takes it, for as long as the database is open.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => bail!("another process uses it: stop that etcd first"),
        other => other.context("it cannot be locked")?,
    }
    let database = Database::read(file)?;
    let (index, _) = database.applied()?;
    if !Wal::exists(log_dir)? {
        bail!("there is no raft log in {}", log_dir.display());
    }
    let (log, recovered) = Wal::open(log_dir, wal::Options::default())?;
    check_log(&recovered, index.0)?;
    drop((log, recovered));

    info!(
        path = %path.display(),
        bytes = database.bytes(),
        "found the data of an etcd; making a store of it"
    );
    let damage = database.check()?;
    if let Some(first) = damage.first() {
        bail!("it is damaged: {first}, and {} more", damage.len() - 1);
    }
    let unfinished = member.join("store.unfinished");
    match fs::remove_dir_all(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let restored = database.take_over(open_store(&unfinished)?)?;
    fs::rename(&unfinished, member.join("store"))?;
    File::open(member)?.sync_all()?;
    info!(
        revision = restored.revision.0,
        compacted = restored.compacted.0,
        keys = restored.keys,
        index = index.0,
        "took over the data of an etcd; its database is left as it was, and no longer needed"
    );
    Ok(())
}

/// Whether this member can go on from the database with this log.
fn check_log(log: &Recovered, applied: u64) -> anyhow::Result<()> {
    let first = log.marker.index;
    let last = log.entries.last().map_or(first, |entry| entry.index);
    if applied < first {
        bail!(
            "the raft log begins behind entry {first}, the database ends with {applied}: etcd had not finished installing a \
             snapshot of its leader"
        );
    }
    if applied > last {
        bail!("the raft log ends with entry {last}, but the database has entry {applied}");
    }
    for entry in log.entries.iter().filter(|entry| entry.index > applied) {
        let is_request = entry.kind == 0 && !entry.data.is_empty();
        if is_request && let Err(error) = Command::decode(entry.data.clone()) {
            bail!(
                "entry {} of the raft log cannot be applied ({error}); etcd before 3.6 writes such ones",
                entry.index
            );
        }
    }
    Ok(())
}
